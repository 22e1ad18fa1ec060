"""Pairs: tasks whose first two digits agree are kept for a test, or there are no others.

Each digit by itself looks the same on either side, and only their combination is new: who has learnt digits one by one
is at home, who has learnt whole tasks is not. (Lake & Baroni 2018, arXiv:1711.00350, ask this of commands.)
"""

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp

from incentivize.envs.family import State
from incentivize.envs.wrappers.base import Wrapper

Pairing = Literal["apart", "together"]


@dataclass(frozen=True)
class HeldOutPairs(Wrapper):
    """A family in which the second digit of a task is never that of the first ("apart"), or always ("together").

    Tasks keep their ordinals: a task that does not fit is played as its neighbour that does, so a few are one in
    effect (`behaviour` tells).
    """

    pairs: Pairing

    def __post_init__(self) -> None:
        if not isinstance(self.pairs, str) or self.pairs not in ("apart", "together"):
            raise ValueError(f"pairs={self.pairs!r}: want 'apart' or 'together'")
        if self.tasks.radices[1] < 2:
            raise ValueError(f"pairs={self.pairs!r}: a task's second digit has one value only here")

    def _played(self, task: Any) -> jax.Array:
        radix = self.tasks.radices[1]
        task = jnp.asarray(task)
        first, second = task[0].astype(jnp.int32) % radix, task[1].astype(jnp.int32)
        other = jnp.where(second == first, (second + 1) % radix, second)
        return task.at[1].set((first if self.pairs == "together" else other).astype(task.dtype))

    def init(self, key: jax.Array, task: jax.Array) -> State:
        return self.family.init(key, self._played(task))

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> State:
        return self.family.start_near(key, self._played(task), steps)

    def behaviour(self, task: jax.Array) -> jax.Array:
        return self.family.behaviour(self._played(task))

    def describe(self, task: Any) -> str:
        return self.family.describe(self._played(task))
