"""A prize that shrinks with time: hunger that does not punish those who fail."""

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family
from incentivize.rewards import RewardScales, Transition


def fading(family: Family, move: Transition, strength: RewardScales) -> jax.Array:
    """On success 1 less `hunger` for every step of the episode, but not below 0; instead of `sparse`.

    Optimal: as for `sparse` with `hunger`, but never to fail on purpose: a failure is worth 0, and success at least
    that. Where success may come too late to be worth anything, the policy does not matter any more.
    """
    steps = (move.elapsed + 1).astype(jnp.float32)
    prize = jnp.maximum(1.0 - strength.hunger * steps, 0.0)
    return jnp.where(move.outcome.succeeded, prize, 0.0) - move.outcome.cost
