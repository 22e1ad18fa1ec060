"""The audit: a check, on tasks that were really drawn, that held-out tasks stay out of training.

It relies on no claim of the task space. It draws tasks as training does, takes held-out tasks as evaluation does, and
finds the place of each task by inverting the shuffle.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.episodes import StartSampler, start_sampler
from incentivize.envs.family import Family, State
from incentivize.envs.tasks import SPLITS, Pool, Split, TaskSpace, make_pool
from incentivize.envs.wrappers.base import Wrapper

AUDITED_DRAWS = 4096  # training tasks that are drawn and checked


class Audit(NamedTuple):
    """The result of an audit; JSON by `_asdict()`."""

    sound: bool  # every drawn task is in the pool, and none is a held-out task
    digests: dict[str, str]  # by split: a hash of its first tasks, which is the same in every study
    drawn: int  # number of drawn tasks
    distinct: int  # number of distinct drawn tasks
    strangers: int  # number of distinct drawn tasks that are not in the pool
    overlap: int  # number of evaluated held-out tasks that were drawn for training
    same_behaviour: int  # number of other held-out tasks that behave like a drawn task
    nearest: dict[int, int]  # number of held-out tasks, by the number of digits in which the nearest drawn task differs


class PoolClaim(NamedTuple):
    """The tasks that a pool should have, in plain numbers: from a cell's settings, not from the pool itself."""

    size: int | None = None  # number of tasks; None is the whole split
    seed: int = 0  # the pool's seed
    split: Split = "training"
    first: int = 0  # the ordinal of the pool's first task


class Bare(NamedTuple):
    """A state with no fields but its task."""

    task: jax.Array
    shown: jax.Array


@dataclass(frozen=True)
class Drawn(Wrapper):
    """A family whose states are the tasks as drawn: `HeldOutPairs`, for one, would replace some tasks by others."""

    def init(self, key: jax.Array, task: jax.Array) -> State:
        return Bare(task, task)

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> State:
        return Bare(task, task)


def audit(family: Family, pool: Pool, key: jax.Array, heldout: int = 128) -> Audit:
    """Draw tasks as training does and compare them with held-out tasks.

    Args:
        family: a family or control.
        pool: the pool that training draws from.
        key: a key for the draws; consumed.
        heldout: the number of held-out tasks of the evaluation.
    """
    size = None if bool(pool.fresh) else int(pool.bound)
    claim = PoolClaim(size, int(pool.seed), SPLITS[int(pool.split)], int(pool.first))
    return compare_with_pool(family, claim, _tasks(family, pool, key), heldout)


@partial(jax.jit, static_argnums=0)
def _tasks(family: Family, pool: Pool, key: jax.Array) -> jax.Array:
    return draw_tasks(partial(start_sampler, pool=pool), family, key, AUDITED_DRAWS)


def draw_tasks(draws: Callable[[Family], StartSampler], family: Family, key: jax.Array, count: int) -> jax.Array:
    """Draw tasks as training does; may be traced.

    Args:
        draws: makes training's sampler of starting states for a family.
        family: a family or control.
        key: a key for the draws; consumed.
        count: the number of tasks.

    Returns:
        Digits [count, D].
    """
    return jax.vmap(draws(Drawn(family)))(jax.random.split(key, count)).task


def compare_with_pool(family: Family, claim: PoolClaim, drawn: jax.Array | np.ndarray, heldout: int) -> Audit:
    """Compare drawn tasks with the pool that they should come from and with held-out tasks.

    Args:
        family: a family or control.
        claim: the tasks that the pool should have.
        drawn: the drawn tasks, digits [n, D].
        heldout: the number of held-out tasks of the evaluation.
    """
    space = family.tasks
    distinct = np.unique(np.asarray(drawn), axis=0)
    blocks = {split: first_tasks(space, split, heldout) for split in SPLITS}
    unseen = blocks["heldout"]
    differ = (unseen[:, None] != distinct[None]).sum(-1).min(1)
    strangers, overlap = len(tasks_outside_pool(space, claim, distinct)), int((differ == 0).sum())
    return Audit(
        sound=not strangers and not overlap,
        digests={split: _digest(tasks) for split, tasks in blocks.items()},
        drawn=len(drawn),
        distinct=len(distinct),
        strangers=strangers,
        overlap=overlap,
        same_behaviour=_alike(family, unseen[differ > 0], distinct),
        nearest={int(digits): int(count) for digits, count in zip(*np.unique(differ, return_counts=True), strict=True)},
    )


def tasks_outside_pool(space: TaskSpace, claim: PoolClaim, tasks: np.ndarray) -> dict[bytes, Split]:
    """Return the splits of those tasks (digits [n, D]) that are not in the pool, by the bytes of their digits."""
    split, index = _places(space, tasks, claim.seed)
    last = math.inf if claim.size is None else claim.first + claim.size - 1
    inside = (split == SPLITS.index(claim.split)) & (claim.size is None or (index >= claim.first) & (index <= last))
    return {task.tobytes(): SPLITS[number] for task, number in zip(tasks[~inside], split[~inside], strict=True)}


def _places(space: TaskSpace, tasks: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Find tasks (digits [n, D]) by the space's inverse.

    Returns:
        Indices into SPLITS, int [n]; indices of the tasks in their splits, float64 [n], exact up to 2^53, which is
        more than a pool can hold.
    """
    split, ordinals = (np.asarray(leaf)[: len(tasks)] for leaf in _located(space, _filled(tasks), np.uint32(seed)))
    tail = space.radices[1 - ordinals.shape[1] :] if ordinals.shape[1] > 1 else ()
    strides = [float(math.prod(tail[place:])) for place in range(len(tail) + 1)]
    return split, ordinals.astype(np.float64) @ np.array(strides)


@partial(jax.jit, static_argnums=0)
def _located(space: TaskSpace, tasks: jax.Array, seed: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.vmap(space.place_of, (0, None))(tasks, seed)


def first_tasks(space: TaskSpace, split: Split, most: int) -> np.ndarray:
    """Return the first tasks of a split, at most `most` of them, digits [count, D]."""
    count = min(most, space.split_size(split))
    return pool_tasks(space, make_pool(count, split=split), count)


def pool_tasks(space: TaskSpace, pool: Pool, count: int) -> np.ndarray:
    """Return the first `count` tasks of a pool, digits [count, D]."""
    return np.array(_members(space, pool, count))


@partial(jax.jit, static_argnums=(0, 2))
def _members(space: TaskSpace, pool: Pool, count: int) -> jax.Array:
    return jax.vmap(lambda slot: space.member(pool, slot))(jnp.arange(count, dtype=jnp.uint32))


def _digest(tasks: np.ndarray) -> str:
    return hashlib.sha256(tasks.astype("<u2").tobytes()).hexdigest()[:16]


def _alike(family: Family, unseen: np.ndarray, drawn: np.ndarray) -> int:
    """Count the tasks of `unseen` (digits [m, D]) that behave like one of `drawn` (digits [n, D])."""
    if not len(unseen):
        return 0
    drawn_rows, unseen_rows = (
        [row.tobytes() for row in np.asarray(_behaviours(family, _filled(tasks)))[: len(tasks)]]
        for tasks in (drawn, unseen)
    )
    known = set(drawn_rows)
    return sum(row in known for row in unseen_rows)


def _filled(tasks: np.ndarray) -> np.ndarray:
    """Append copies of the first of tasks, digits [n, D], so that few numbers of them have to be compiled for."""
    return np.concatenate([tasks, np.repeat(tasks[:1], -len(tasks) % AUDITED_DRAWS, 0)])


@partial(jax.jit, static_argnums=0)
def _behaviours(family: Family, tasks: jax.Array) -> jax.Array:
    return jax.vmap(lambda task: jnp.ravel(family.behaviour(task)))(tasks)
