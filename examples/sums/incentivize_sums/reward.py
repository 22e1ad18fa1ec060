"""Stakes: a failure costs as much as success pays."""

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family
from incentivize.rewards import RewardScales, Transition


def stakes(family: Family, move: Transition, strength: RewardScales) -> jax.Array:
    """-1 where an episode fails, 0 else. The best policy stays the best where every episode ends in either."""
    return -move.outcome.failed.astype(jnp.float32)
