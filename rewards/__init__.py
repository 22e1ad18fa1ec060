"""What the agent is told: a number for every step, from the family's outcome. A new reward is one file and one line."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import jax

    from envs.family import Outcome

# Strings, so that listing the rewards does not import jax.
REWARDS = {
    "random": "rewards.random:random",
    "sparse": "rewards.sparse:sparse",
}


class Reward(Protocol):
    """A pure, unbatched function from a step to a number.

    Args:
        before: the state the action was taken in.
        action: int [].
        after: the state it led to, before any reset.
        outcome: what it brought.
        t: int32 [], steps taken before this one in the episode.
        key: for what is drawn; consumed.

    Returns:
        float32 [].
    """

    def __call__(
        self, before: Any, action: jax.Array, after: Any, outcome: Outcome, t: jax.Array, key: jax.Array
    ) -> jax.Array: ...


def names() -> tuple[str, ...]:
    """The names of the registered rewards."""
    return tuple(REWARDS)


def make(name: str) -> Reward:
    """A reward by name.

    Raises:
        ValueError: where there is none of that name.
    """
    if name not in REWARDS:
        raise ValueError(f"reward={name!r}: want one of {', '.join(REWARDS)}")
    module, _, function = REWARDS[name].partition(":")
    return getattr(importlib.import_module(module), function)
