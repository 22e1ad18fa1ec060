"""Hunger: every step costs."""

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family
from incentivize.rewards import RewardScales, Transition


def hunger(family: Family, move: Transition, strength: RewardScales) -> jax.Array:
    """Less `hunger` at every step, to be added to a prize.

    Optimal, beside `sparse` without a discount: to succeed by the shortest way, as long as success is worth its steps.
    A failure ends the paying too: where hunger x the steps that are left is more than the chance of success, to fail
    quickly is better than to try, so keep hunger well below 1 / horizon.
    """
    return -jnp.asarray(strength.hunger, jnp.float32)
