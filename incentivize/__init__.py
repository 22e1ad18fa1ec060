"""One agent, very many generated tasks, a sparse reward: does general skill appear, and do specialists keep up?

The four packages inside are the folders of the same names in the repository; here they are links to them:

    envs         task spaces, families, experts, controls, the Gymnasium environments
    rewards      the agent's reward for every step
    agents       networks, learners, search, evaluation
    experiments  studies, their statistics, runs, reports, the command `incentivize`

Imports run experiments -> agents -> rewards -> envs. `import incentivize` registers the Gymnasium ids, as in
`gymnasium.make("incentivize/Errands-v0")`; `gymnasium.make("incentivize:incentivize/Errands-v0")` imports it first.
"""

import gymnasium

from incentivize import agents, envs, experiments, rewards

__all__ = ["agents", "envs", "experiments", "rewards"]

for _name, _entry in envs.FAMILIES.entries().items():
    gymnasium.register(
        f"incentivize/{_entry.attr}-v0",
        entry_point="incentivize.envs.gym:FamilyEnv",
        vector_entry_point="incentivize.envs.gym_vector:FamilyVectorEnv",
        kwargs={"family": _name},
    )
