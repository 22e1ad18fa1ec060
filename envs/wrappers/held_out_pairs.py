"""Held-out pairs: tasks whose first two digits agree are left out, or are the only ones.

Each digit by itself has the same distribution on either side, and only the combination is new. An agent that has
learnt the digits one by one succeeds there, one that has learnt whole tasks does not. (Lake & Baroni 2018,
arXiv:1711.00350, test this with commands.)
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
    """A family in which the first two digits of a task never agree ("apart"), or always do ("together").

    Tasks keep their ordinals: a task that does not fit is played as a neighbour that does. So a few tasks behave alike,
    which `behaviour` shows.

    Attributes:
        pairs: "apart" or "together".
    """

    pairs: Pairing

    def __post_init__(self) -> None:
        if not isinstance(self.pairs, str) or self.pairs not in ("apart", "together"):
            raise ValueError(f"pairs = {self.pairs!r}: expected 'apart' or 'together'.")
        if self.tasks.radices[1] < 2:
            raise ValueError(
                f"pairs = {self.pairs!r}: the second digit of this family's tasks has one value only. "
                "Change the family's knobs, or leave pairs out."
            )

    def _played(self, task: Any) -> jax.Array:
        """Return the task (digits [D]) that is played instead of a task."""
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
