"""A taste of success: some episodes begin near it."""

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family
from incentivize.rewards import RewardScales, Transition


def taste(family: Family, move: Transition, scales: RewardScales) -> jax.Array:
    """Pay nothing: a share of the episodes begins at most `near` expert steps from success; added to a prize.

    Optimal: the same policies as without it, as only the distribution of starting states differs. Learning may differ,
    which is the purpose: the agent meets success before it could find it. The share falls to 0 over `taste_steps`.
    """
    return jnp.float32(0)


def near_share(scales: RewardScales, steps: jax.Array) -> jax.Array:
    """Return the share of episodes that begin near success after `steps` (float32 []) environment steps, float32 []."""
    left = 1.0 - steps / jnp.maximum(scales.taste_steps, 1.0)
    return scales.taste * jnp.clip(left, 0.0, 1.0)
