"""Help on the way: potential-based shaping by the expert's distance."""

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family
from incentivize.rewards import RewardScales, Transition


def shaped(family: Family, move: Transition, strength: RewardScales) -> jax.Array:
    """What the potential gained on the way to success, as the expert measures it.

    That is gamma phi(after) - phi(before), with phi = -`shaping` x the expert's steps to success / horizon, and 0 after
    an end. What cannot be won in time any more is a horizon away and no further: phi is never below -`shaping`.

    Optimal: what was optimal without it. Over an episode the sum is -phi of its start, whatever the policy (Ng, Harada
    and Russell 1999); where time runs out, the value of what follows makes up for phi of the last state.
    """

    def potential(state: jax.Array) -> jax.Array:
        steps = jnp.minimum(family.distance(state), family.horizon)
        return -strength.shaping * steps.astype(jnp.float32) / family.horizon

    after = jnp.where(move.outcome.ends_episode, 0.0, potential(move.after))
    return (strength.gamma * after - potential(move.before)).astype(jnp.float32)
