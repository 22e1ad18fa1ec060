"""Log-likelihood that a policy gives to the expert's actions: a measure of skill that rises without a jump.

An episode succeeds only if every decision in it is right. So success may jump where single decisions improve smoothly
(Schaeffer et al. 2023, "Are Emergent Abilities of Large Language Models a Mirage?", arXiv:2304.15004).
"""

import jax
import jax.numpy as jnp

from incentivize.agents.evaluate import Policy
from incentivize.agents.memories import Memory
from incentivize.envs.family import Family

MIN_LOG_PROBABILITY = -30.0  # nats: keeps sums finite where a policy rules the expert's actions out


def expert_log_likelihood(
    family: Family, policy: Policy, initial_memory: Memory, tasks: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return the log-probability that the policy gives to the expert's actions, in one episode per task.

    The expert plays and the policy looks on. The expert knows the task where the agent is told the rule, otherwise only
    what the agent was shown. The probabilities of equally good actions are added.

    Args:
        family: the dynamics.
        policy: the policy, unbatched.
        initial_memory: the policy's memory at the start of every episode.
        tasks: digits of the tasks, integers [n, D].
        key: a key for starting states, actions and steps; consumed.

    Returns:
        The log-probabilities summed over decisions, nats, float32 [n], and the number of decisions, int32 [n].
    """
    kind = "informed" if family.reveals_rule else "fair"

    def play(task: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        key_start, key_play = jax.random.split(key)

        def step(carry, inputs):
            state, memory, running, total, decisions = carry
            elapsed, key = inputs
            key_act, key_step, key_think = jax.random.split(key, 3)
            logits, memory = policy(state, elapsed, memory, key_think)
            best = family.expert(state, kind)
            mass = jnp.where(best > 0, jax.nn.softmax(logits), 0).sum()
            total = total + jnp.where(running, jnp.maximum(jnp.log(mass), MIN_LOG_PROBABILITY), 0)
            decisions = decisions + running
            state, outcome = family.step(state, jax.random.categorical(key_act, jnp.log(best)), key_step)
            return (state, memory, running & ~outcome.ends_episode, total, decisions), None

        start = (family.init(key_start, task), initial_memory, jnp.bool_(True), jnp.float32(0), jnp.int32(0))
        inputs = (jnp.arange(family.horizon), jax.random.split(key_play, family.horizon))
        (_, _, _, total, decisions), _ = jax.lax.scan(step, start, inputs)
        return total, decisions

    return jax.vmap(play)(tasks, jax.random.split(key, len(tasks)))
