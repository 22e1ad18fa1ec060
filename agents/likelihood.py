"""How likely a policy makes the expert's actions: a measure of skill that rises without a jump.

Success asks that every decision of an episode be right, so it may jump where the single decision only gets better
(Schaeffer et al. 2023, "Are Emergent Abilities of Large Language Models a Mirage?", arXiv:2304.15004). Here the expert
plays, the policy looks on, and what it would have done is told at every decision.
"""

import jax
import jax.numpy as jnp

from incentivize.agents.evaluate import Policy
from incentivize.agents.memories import Memory
from incentivize.envs.family import Family

MIN_PROBABILITY = -30.0  # of a logarithm, where float32 sees no probability


def likelihood(
    family: Family, policy: Policy, initial_memory: Memory, tasks: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The logarithm of the probability that the policy gives to the expert's actions, in one episode of every task.

    The expert knows the task where the agent is told it, and else what the agent was shown. Actions that are as good
    count together.

    Args:
        family: the dynamics.
        policy: unbatched.
        initial_memory: at the start of every episode.
        tasks: digits [n, D].
        key: consumed.

    Returns:
        Its sum over the decisions, nats, float32 [n], and how many decisions there were, int32 [n].
    """
    kind = "informed" if family.reveals_rule else "fair"

    def episode(task: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        key_start, key_play = jax.random.split(key)

        def step(carry, now):
            state, memory, running, total, decisions = carry
            elapsed, key = now
            key_act, key_step, key_think = jax.random.split(key, 3)
            logits, memory = policy(state, elapsed, memory, key_think)
            best = family.expert(state, kind)
            mass = jnp.where(best > 0, jax.nn.softmax(logits), 0).sum()
            total = total + jnp.where(running, jnp.maximum(jnp.log(mass), MIN_PROBABILITY), 0)
            decisions = decisions + running
            state, outcome = family.step(state, jax.random.categorical(key_act, jnp.log(best)), key_step)
            return (state, memory, running & ~outcome.ends_episode, total, decisions), None

        start = (family.init(key_start, task), initial_memory, jnp.bool_(True), jnp.float32(0), jnp.int32(0))
        now = (jnp.arange(family.horizon), jax.random.split(key_play, family.horizon))
        (_, _, _, total, decisions), _ = jax.lax.scan(step, start, now)
        return total, decisions

    return jax.vmap(episode)(tasks, jax.random.split(key, len(tasks)))
