"""A control: numbers that have nothing to do with what was done."""

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family
from incentivize.rewards import RewardScales, Transition

RATE = 0.1  # of the steps are paid


def random(family: Family, move: Transition, strength: RewardScales) -> jax.Array:
    """1 or -1, as likely, on one step in ten, whatever happens; else 0.

    Optimal: everything. Every policy has the same value, 0, whatever the discount: an agent that gets better at a
    family under this reward gets its knowledge from elsewhere.
    """
    word = jax.random.uniform(move.key)
    return jnp.where(word < RATE, jnp.where(word < RATE / 2, 1.0, -1.0), 0.0).astype(jnp.float32)
