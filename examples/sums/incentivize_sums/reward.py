"""Stakes: a failure costs as much as success pays."""

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family
from incentivize.rewards import RewardScales, Transition


def stakes(family: Family, move: Transition, strength: RewardScales) -> jax.Array:
    """Pay -1 on failure, else 0; added to a prize.

    Optimal: the same policies as without it, if every episode ends in success or failure.
    """
    return -move.outcome.failed.astype(jnp.float32)
