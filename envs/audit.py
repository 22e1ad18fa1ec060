"""The audit: do the tasks of training and evaluation keep apart, as far as tasks that were really drawn can tell?

It reads no promise of the task space, only what `sample` draws for training and what `member` gives for evaluation, and
finds the split of each task by inverting the shuffle.
"""

import hashlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from envs.family import Family
from envs.tasks import SPLITS, Pool, Split, TaskSpace, make_pool

DRAWN = 4096  # training tasks that are drawn and looked at


class Audit(NamedTuple):
    """What an audit found; JSON by `_asdict()`."""

    sound: bool  # no held-out task among those drawn, and none drawn from another split
    digests: dict[str, str]  # of the first tasks of each split: the same in every study
    drawn: int
    distinct: int  # tasks among those drawn
    strangers: int  # drawn for training, but of another split
    overlap: int  # held-out tasks that were drawn for training
    same_behaviour: int  # held-out tasks that do what one of those drawn does, under another name
    nearest: dict[int, int]  # held-out tasks by the number of digits in which the nearest one drawn differs


def audit(family: Family, pool: Pool, key: jax.Array, heldout: int = 128) -> Audit:
    """Draws tasks as training does and compares them with held-out tasks. Consumes `key`.

    Args:
        family: a family or control.
        pool: what training draws from.
        key: for the draws.
        heldout: how many held-out tasks are evaluated on.
    """
    space = family.tasks
    drawn = np.array(jax.jit(jax.vmap(lambda k: space.sample(k, pool)))(jax.random.split(key, DRAWN)))
    distinct = np.unique(drawn, axis=0)
    blocks = {split: _first(space, split, heldout) for split in SPLITS}
    unseen = blocks["heldout"]
    differ = (unseen[:, None] != distinct[None]).sum(-1).min(1)
    strangers = sum(split != "training" for split in _splits(family, distinct))
    overlap = int((differ == 0).sum())
    return Audit(
        sound=not strangers and not overlap,
        digests={split: _digest(tasks) for split, tasks in blocks.items()},
        drawn=DRAWN,
        distinct=len(distinct),
        strangers=strangers,
        overlap=overlap,
        same_behaviour=_alike(family, unseen[differ > 0], distinct),
        nearest={int(digits): int(count) for digits, count in zip(*np.unique(differ, return_counts=True), strict=True)},
    )


def _first(space: TaskSpace, split: Split, most: int) -> np.ndarray:
    """The first tasks of a split, at most so many, [count, D]."""
    count = min(most, space.split_size(split))
    return members(space, make_pool(count, split=split), count)


def members(space: TaskSpace, pool: Pool, count: int) -> np.ndarray:
    """The first tasks of a pool, digits [count, D]."""
    slots = jnp.arange(count, dtype=jnp.uint32)
    return np.array(jax.jit(jax.vmap(lambda slot: space.member(pool, slot)))(slots))


def _digest(tasks: np.ndarray) -> str:
    return hashlib.sha256(tasks.astype("<u2").tobytes()).hexdigest()[:16]


def _splits(family: Family, tasks: np.ndarray) -> list[str]:
    """The split of each task, by the task space's inverse."""
    return [SPLITS[index] for index in np.array(jax.jit(jax.vmap(family.tasks.split_of))(jnp.asarray(tasks)))]


def _alike(family: Family, unseen: np.ndarray, drawn: np.ndarray) -> int:
    """How many of the tasks `unseen` behave like one of those drawn."""
    if not len(unseen):
        return 0
    behaviour = jax.jit(jax.vmap(lambda task: jnp.ravel(family.behaviour(task))))
    known = {row.tobytes() for row in np.array(behaviour(jnp.asarray(drawn)))}
    return sum(row.tobytes() in known for row in np.array(behaviour(jnp.asarray(unseen))))
