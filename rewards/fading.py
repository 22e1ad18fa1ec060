"""A prize that shrinks with time: the pressure of hunger without a penalty for failure."""

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family
from incentivize.rewards import RewardScales, Transition


def fading(family: Family, move: Transition, scales: RewardScales) -> jax.Array:
    """Pay 1 - `hunger` x steps of the episode on success, but at least 0; used instead of `sparse`.

    Optimal: as for `sparse` with `hunger`, except that failing on purpose never helps: a failure is worth 0, success at
    least as much. Once success would come too late to be worth anything, every policy is optimal.
    """
    steps = (move.elapsed + 1).astype(jnp.float32)
    prize = jnp.maximum(1.0 - scales.hunger * steps, 0.0)
    return jnp.where(move.outcome.succeeded, prize, 0.0) - move.outcome.cost
