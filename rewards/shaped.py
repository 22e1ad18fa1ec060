"""Potential-based shaping by the expert's distance to success."""

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family
from incentivize.rewards import RewardScales, Transition


def shaped(family: Family, move: Transition, scales: RewardScales) -> jax.Array:
    """Pay the gain in potential: gamma phi(after) - phi(before), where phi falls with the expert's distance to success.

    phi = -`shaping` x the expert's steps to success / horizon, and 0 after the end of an episode. Distances beyond the
    horizon, from which success would come too late, count as the horizon: phi is never below -`shaping`.

    Optimal: the same policies as without it. The discounted sum over an episode is -phi of its start under any policy
    (Ng, Harada and Russell 1999). At the time limit, the bootstrapped value makes up for phi of the last state.
    """

    def potential(state: jax.Array) -> jax.Array:
        steps = jnp.minimum(family.distance(state), family.horizon)
        return -scales.shaping * steps.astype(jnp.float32) / family.horizon

    after = jnp.where(move.outcome.ends_episode, 0.0, potential(move.after))
    return (scales.gamma * after - potential(move.before)).astype(jnp.float32)
