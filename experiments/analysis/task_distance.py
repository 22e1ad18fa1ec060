"""Distances of held-out tasks to the nearest task of a pool, which memorising alone might bridge."""

from functools import lru_cache
from typing import Any

import numpy as np

from incentivize import envs
from incentivize.envs.pool_audit import pool_tasks
from incentivize.envs.tasks import make_pool

TASKS_PER_CALL = 64  # held-out tasks that are compared with a whole pool at a time, which bounds the memory


@lru_cache
def distances_to_pool(
    family: str, knobs: tuple[tuple[str, Any], ...], size: int, seed: int, count: int
) -> tuple[int, ...]:
    """Count the digits in which held-out tasks differ from the nearest task of a pool.

    Args:
        family: the family's name.
        knobs: the family's knobs, pairs of name and value.
        size: the pool's number of tasks.
        seed: the pool's seed, as cells have it.
        count: the number of held-out tasks, from the first one on.

    Returns:
        The number of digits that differ, int [count], one per held-out task.
    """
    space = envs.make(family, **dict(knobs)).tasks
    pool = pool_tasks(space, make_pool(size, seed=seed), size)
    unseen = pool_tasks(space, make_pool(count, split="heldout"), count)
    parts = np.array_split(unseen, -(-count // TASKS_PER_CALL))
    return tuple(int(d) for part in parts for d in (part[:, None] != pool[None]).sum(-1).min(1))
