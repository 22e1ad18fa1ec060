"""Random rewards: a control in which pay does not depend on behaviour."""

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family
from incentivize.rewards import RewardScales, Transition

RATE = 0.1  # share of the steps with a reward other than 0


def random(family: Family, move: Transition, scales: RewardScales) -> jax.Array:
    """Pay 1 or -1, equally likely, on one step in ten, whatever happens; else 0.

    Optimal: every policy. All have the value 0 at any discount: an agent that improves at a family under this reward
    gets its knowledge from another source.
    """
    uniform = jax.random.uniform(move.key)
    return jnp.where(uniform < RATE, jnp.where(uniform < RATE / 2, 1.0, -1.0), 0.0).astype(jnp.float32)
