"""A control: numbers that have nothing to do with what was done."""

from typing import Any

import jax
import jax.numpy as jnp

from envs.family import Outcome

RATE = 0.1  # of the steps are paid


def random(before: Any, action: jax.Array, after: Any, outcome: Outcome, t: jax.Array, key: jax.Array) -> jax.Array:
    """1 or -1, as likely, on one step in ten, whatever happens; else 0.

    Every policy has the same value, 0, whatever the discount, so that every policy is optimal: an agent that gets
    better at a family under this reward gets its knowledge from elsewhere.
    """
    word = jax.random.uniform(key)
    return jnp.where(word < RATE, jnp.where(word < RATE / 2, 1.0, -1.0), 0.0).astype(jnp.float32)
