"""The audit: do held-out tasks stay out of training, as far as tasks that were really drawn can tell?

It reads no promise of the task space, only what `draw_from` draws for training and what `member` gives for evaluation,
and finds the place of each task by inverting the shuffle.
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

DRAWN = 4096  # training tasks that are drawn and looked at


class Audit(NamedTuple):
    """What an audit found; JSON by `_asdict()`."""

    sound: bool  # no held-out task among those drawn, and none drawn that is not in the pool
    digests: dict[str, str]  # of the first tasks of each split: the same in every study
    drawn: int
    distinct: int  # tasks among those drawn
    strangers: int  # tasks drawn that are not in the pool
    overlap: int  # evaluated held-out tasks that were drawn for training
    same_behaviour: int  # held-out tasks that do what one of those drawn does, under another name
    nearest: dict[int, int]  # held-out tasks by the number of digits in which the nearest one drawn differs


class Claim(NamedTuple):
    """Which tasks are said to be in a pool, in plain numbers: from a cell's settings, not from the pool itself."""

    size: int | None = None  # None: the whole split
    seed: int = 0
    split: Split = "training"
    first: int = 0


class Bare(NamedTuple):
    """A state that is its task and nothing else."""

    task: jax.Array
    shown: jax.Array


@dataclass(frozen=True)
class Drawn(Wrapper):
    """A family of which nothing but the drawing of tasks is left: `pairs` would play some tasks as others."""

    def init(self, key: jax.Array, task: jax.Array) -> State:
        return Bare(task, task)

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> State:
        return Bare(task, task)


def audit(family: Family, pool: Pool, key: jax.Array, heldout: int = 128) -> Audit:
    """Draw tasks as training does and compares them with held-out tasks. Consumes `key`.

    Args:
        family: a family or control.
        pool: what training draws from.
        key: for the draws.
        heldout: how many held-out tasks are evaluated on.
    """
    size = None if bool(pool.fresh) else int(pool.bound)
    claim = Claim(size, int(pool.seed), SPLITS[int(pool.split)], int(pool.first))
    return compared(family, claim, _tasks(family, pool, key), heldout)


@partial(jax.jit, static_argnums=0)
def _tasks(family: Family, pool: Pool, key: jax.Array) -> jax.Array:
    return tasks_of(partial(start_sampler, pool=pool), family, key, DRAWN)


def tasks_of(draws: Callable[[Family], StartSampler], family: Family, key: jax.Array, count: int) -> jax.Array:
    """So many tasks as `draws(family)` draws them for training, digits [count, D]; may be traced. Consumes `key`."""
    return jax.vmap(draws(Drawn(family)))(jax.random.split(key, count)).task


def compared(family: Family, claim: Claim, drawn: jax.Array | np.ndarray, heldout: int) -> Audit:
    """Compare tasks that training draws (digits [n, D]) with its pool, and with the first held-out tasks."""
    space = family.tasks
    distinct = np.unique(np.asarray(drawn), axis=0)
    blocks = {split: first(space, split, heldout) for split in SPLITS}
    unseen = blocks["heldout"]
    differ = (unseen[:, None] != distinct[None]).sum(-1).min(1)
    strangers, overlap = len(strays(space, claim, distinct)), int((differ == 0).sum())
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


def strays(space: TaskSpace, claim: Claim, tasks: np.ndarray) -> dict[bytes, Split]:
    """The splits of those tasks (digits [n, D]) that are not in the pool, by the bytes of their digits."""
    split, index = _places(space, tasks, claim.seed)
    last = math.inf if claim.size is None else claim.first + claim.size - 1
    inside = (split == SPLITS.index(claim.split)) & (claim.size is None or (index >= claim.first) & (index <= last))
    return {task.tobytes(): SPLITS[number] for task, number in zip(tasks[~inside], split[~inside], strict=True)}


def _places(space: TaskSpace, tasks: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Where tasks stand by the space's inverse: splits as in SPLITS, int [n], and indices there, float64 [n].

    Indices are exact up to 2^53, more than a pool can hold.
    """
    split, ordinals = (np.asarray(leaf) for leaf in _located(space, jnp.asarray(tasks), np.uint32(seed)))
    tail = space.radices[1 - ordinals.shape[1] :] if ordinals.shape[1] > 1 else ()
    strides = [float(math.prod(tail[place:])) for place in range(len(tail) + 1)]
    return split, ordinals.astype(np.float64) @ np.array(strides)


@partial(jax.jit, static_argnums=0)
def _located(space: TaskSpace, tasks: jax.Array, seed: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.vmap(space.place_of, (0, None))(tasks, seed)


def first(space: TaskSpace, split: Split, most: int) -> np.ndarray:
    """The first tasks of a split, at most so many, [count, D]."""
    count = min(most, space.split_size(split))
    return members(space, make_pool(count, split=split), count)


def members(space: TaskSpace, pool: Pool, count: int) -> np.ndarray:
    """The first tasks of a pool, digits [count, D]."""
    return np.array(_members(space, pool, count))


@partial(jax.jit, static_argnums=(0, 2))
def _members(space: TaskSpace, pool: Pool, count: int) -> jax.Array:
    return jax.vmap(lambda slot: space.member(pool, slot))(jnp.arange(count, dtype=jnp.uint32))


def _digest(tasks: np.ndarray) -> str:
    return hashlib.sha256(tasks.astype("<u2").tobytes()).hexdigest()[:16]


def _alike(family: Family, unseen: np.ndarray, drawn: np.ndarray) -> int:
    """How many of the tasks `unseen` behave like one of those drawn."""
    if not len(unseen):
        return 0
    behaviour = jax.jit(jax.vmap(lambda task: jnp.ravel(family.behaviour(task))))
    known = {row.tobytes() for row in np.array(behaviour(jnp.asarray(drawn)))}
    return sum(row.tobytes() in known for row in np.array(behaviour(jnp.asarray(unseen))))
