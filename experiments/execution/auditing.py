"""The audit of a run: every agent trains on tasks of its own pool, and none of those is evaluated as held out."""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize import rewards
from incentivize.agents.hyper import Hyper
from incentivize.agents.learner import start_samplers
from incentivize.agents.teachers import TEACHERS
from incentivize.envs.audit import DRAWN, Claim, compared, first, strays, tasks_of
from incentivize.envs.family import Family
from incentivize.envs.tasks import SPLITS, Pool, Split
from incentivize.experiments.cells import Cell
from incentivize.experiments.errors import RunError
from incentivize.experiments.training.build import family_of, hyper_of, pool_of
from incentivize.experiments.training.trees import stack_trees

SOME = 512  # tasks drawn of each pool, and DRAWN of the largest: a leak of 1 in 50 escapes one time in 30,000


class Use(NamedTuple):
    """How some agent's training draws tasks, and from which pool it is said to."""

    family: Family  # one of those with the same tasks
    tastes: bool  # whether some starts are near success
    frozen: bool  # whether there are only so many starts
    claim: Claim
    own: tuple[float, ...]  # hyperparameters that the drawing depends on


def audit_pools(name: str, cells: Sequence[Cell], heldout: int) -> dict[str, Any]:
    """What an audit of all pools finds that a family's agents are trained on, as `meta.json` has it.

    Its numbers are of the largest pool; `pools` counts all that were looked at.

    Args:
        name: of the family.
        cells: all of the run.
        heldout: how many held-out tasks are evaluated on, and how many validation tasks.

    Raises:
        RunError: where an agent is trained on a task that is not in its pool, or is evaluated as held out.
    """
    uses = _uses(name, cells)
    largest = max(uses, key=lambda use: (use.claim.split == "training", use.claim.size or np.inf))
    drawn = _drawn(uses, largest)
    outside: dict[tuple[str, str], set[bytes]] = {}
    overlap: set[bytes] = set()
    for use, tasks in drawn.items():
        for task, split in strays(use.family.tasks, use.claim, tasks).items():
            outside.setdefault((use.claim.split, split), set()).add(task)
        if use.claim.split == "training":
            overlap |= _evaluated(use.family, heldout) & {task.tobytes() for task in tasks}
    if outside or overlap:
        told = " and ".join(f"{len(tasks)} {_kind(*splits)}" for splits, tasks in sorted(outside.items()))
        more = f", of which {len(overlap)} are evaluated" if overlap else ""
        raise RunError(f"{name}: {told or 'tasks'} are drawn for training{more}: nothing could be concluded")
    found = compared(largest.family, largest.claim, drawn[largest], heldout)
    started = any(cell.training.start_from for cell in cells if name in cell.members)
    before = "on tasks that the file of start_from does not tell" if started else "no"
    return found._asdict() | {"pools": len({use.claim for use in uses}), "trained_before": before}


def _kind(own: str, split: str) -> str:
    """Tasks of a split that are drawn where those of its own pool should be, in words."""
    names = {"heldout": "held-out tasks", "validation": "validation tasks", "training": "training tasks"}
    return names[split] + (" outside the agent's pool" if own == split else "")


def _uses(name: str, cells: Sequence[Cell]) -> dict[Use, tuple[Pool, Hyper]]:
    """How a family's tasks are drawn in a run, and what they are drawn with."""
    found: dict[Use, tuple[Pool, Hyper]] = {}
    families: dict[Any, Family] = {}
    for cell in cells:
        if name not in cell.members:
            continue
        member = family_of(cell).members[cell.members.index(name)]
        family = families.setdefault(member.tasks, member)  # one program draws for all controls
        split: Split = next(name for name in SPLITS if name == cell.pool_split)
        claim = Claim(cell.pool_size, cell.pool_seed, split, cell.pool_first)
        tastes = rewards.make(cell.training.reward).tastes
        for frozen in {teacher is not None and TEACHERS[teacher].frozen for teacher in _teachers(cell)}:
            training = cell.training
            own = (training.near, training.taste) * tastes + (training.demonstrations,) * frozen
            use = Use(family, tastes, frozen, claim, own)
            if use not in found:
                found[use] = pool_of(cell), hyper_of(cell)
    return found


def _teachers(cell: Cell) -> tuple[str | None, ...]:
    """Who teaches while a cell's agent draws tasks: in its training, and in the teaching before it if any."""
    return (cell.teacher,) if cell.learner == "cloning" else tuple({None, cell.teacher})


def _drawn(uses: dict[Use, tuple[Pool, Hyper]], largest: Use) -> dict[Use, np.ndarray]:
    """SOME tasks of each and DRAWN of the largest, as training draws them, digits [count, D]."""
    programs: dict[tuple[Family, bool, bool], list[Use]] = {}
    for use in uses:
        programs.setdefault((use.family, use.tastes, use.frozen), []).append(use)
    found = {}
    for program, mine in programs.items():
        mine = mine + [largest] * (DRAWN // SOME - 1) * (largest in mine)
        pools, hypers = (stack_trees(each) for each in zip(*(uses[use] for use in mine), strict=True))
        tasks = np.asarray(_side_by_side(*program, pools, hypers))
        found |= {use: tasks[[other == use for other in mine]].reshape(-1, tasks.shape[-1]) for use in mine}
    return found


@partial(jax.jit, static_argnums=(0, 1, 2))
def _side_by_side(family: Family, tastes: bool, frozen: bool, pools: Pool, hypers: Hyper) -> jax.Array:
    """Tasks drawn at the start of training from several pools, digits [pools, SOME, D]."""

    def one(key: jax.Array, pool: Pool, hyper: Hyper) -> jax.Array:
        begun = partial(start_samplers, pool=pool, hyper=hyper, steps=jnp.float32(0), tastes=tastes, frozen=frozen)
        return tasks_of(begun, family, key, SOME)

    return jax.vmap(one)(jax.random.split(jax.random.key(0), len(pools.bound)), pools, hypers)


@lru_cache
def _evaluated(family: Family, heldout: int) -> frozenset[bytes]:
    """The digits of the held-out and validation tasks that agents are evaluated on."""
    found = [task for split in ("heldout", "validation") for task in first(family.tasks, split, heldout)]
    return frozenset(task.tobytes() for task in found)
