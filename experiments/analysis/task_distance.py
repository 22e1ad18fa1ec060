"""How far held-out tasks are from the nearest task of a pool: what memorising alone might bridge."""

from functools import lru_cache
from typing import Any

import numpy as np

from incentivize import envs
from incentivize.envs.audit import members
from incentivize.envs.tasks import make_pool

TASKS_PER_CALL = 64  # held-out tasks that are compared with a whole pool


@lru_cache
def distances_to_pool(
    family: str, knobs: tuple[tuple[str, Any], ...], size: int, seed: int, count: int
) -> tuple[int, ...]:
    """The number of digits in which each of the first `count` held-out tasks differs from the nearest of a pool.

    Args:
        family: its name.
        knobs: of it.
        size: of the pool.
        seed: which pool, as cells have it.
        count: of held-out tasks.
    """
    space = envs.make(family, **dict(knobs)).tasks

    known = members(space, make_pool(size, seed=seed), size)
    unseen = members(space, make_pool(count, split="heldout"), count)
    parts = np.array_split(unseen, -(-count // TASKS_PER_CALL))
    return tuple(int(d) for part in parts for d in (part[:, None] != known[None]).sum(-1).min(1))
