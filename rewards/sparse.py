"""The weak incentive itself: 1 on success, else nothing."""

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family
from incentivize.rewards import RewardScales, Transition


def sparse(family: Family, move: Transition, strength: RewardScales) -> jax.Array:
    """1 where the step succeeded, less what the family charges for it; else 0.

    Optimal: to succeed with the greatest probability, and with a discount below 1, the sooner the better. Nothing else
    distinguishes policies that succeed.
    """
    return move.outcome.succeeded.astype(jnp.float32) - move.outcome.cost
