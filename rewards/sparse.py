"""The weak incentive itself: 1 on success, else nothing."""

from typing import Any

import jax
import jax.numpy as jnp

from envs.family import Outcome


def sparse(before: Any, action: jax.Array, after: Any, outcome: Outcome, t: jax.Array, key: jax.Array) -> jax.Array:
    """1 where the step succeeded, less what the family charges for it; else 0.

    With a discount below 1, shorter ways to success are worth more; nothing else distinguishes policies that succeed.
    """
    return outcome.succeeded.astype(jnp.float32) - outcome.cost
