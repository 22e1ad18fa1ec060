"""Hunger: a cost for every step."""

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family
from incentivize.rewards import RewardScales, Transition


def hunger(family: Family, move: Transition, scales: RewardScales) -> jax.Array:
    """Charge `hunger` for every step; added to a prize.

    Optimal, with `sparse` and no discount: success by the shortest way, as long as success is worth its steps. Failure
    ends the costs, too: if hunger x steps left exceeds the chance of success, failing quickly is better than trying. So
    keep hunger well below 1 / horizon.
    """
    return -jnp.asarray(scales.hunger, jnp.float32)
