"""The weak incentive: 1 on success, else nothing."""

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family
from incentivize.rewards import RewardScales, Transition


def sparse(family: Family, move: Transition, scales: RewardScales) -> jax.Array:
    """Pay 1 on success, and charge the family's own cost of the step.

    Optimal: success with the greatest probability, and with a discount below 1 the sooner the better. Nothing else
    distinguishes policies that succeed.
    """
    return move.outcome.succeeded.astype(jnp.float32) - move.outcome.cost
