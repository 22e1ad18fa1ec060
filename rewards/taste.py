"""A taste of success: some episodes begin near it."""

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family
from incentivize.rewards import RewardScales, Transition


def taste(family: Family, move: Transition, strength: RewardScales) -> jax.Array:
    """Nothing: a share of episodes begins at most `near` expert steps from success instead, to be added to a prize.

    Optimal: what was optimal without it, as only the distribution of starting states differs. What is learnt may
    differ, which is the point: success is met before it could be found. The share falls to 0 over `taste_steps`.
    """
    return jnp.float32(0)


def share(strength: RewardScales, steps: jax.Array) -> jax.Array:
    """The share of episodes that begin near success after so many environment steps (float32 []), float32 []."""
    left = 1.0 - steps / jnp.maximum(strength.taste_steps, 1.0)
    return strength.taste * jnp.clip(left, 0.0, 1.0)
