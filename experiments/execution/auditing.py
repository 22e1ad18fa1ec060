"""The audit of a run: every agent trains on tasks of its own pool, and none of them is evaluated as held out."""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize import rewards
from incentivize.agents.hyperparameters import Hyper
from incentivize.agents.learner import training_start_sampler
from incentivize.agents.teachers import TEACHERS
from incentivize.envs.family import Family
from incentivize.envs.pool_audit import (
    AUDITED_DRAWS,
    PoolClaim,
    compare_with_pool,
    draw_tasks,
    first_tasks,
    tasks_outside_pool,
)
from incentivize.envs.tasks import SPLITS, Pool, Split
from incentivize.experiments.cells import Cell
from incentivize.experiments.errors import RunError
from incentivize.experiments.training.build import family_of, hyper_of, pool_of
from incentivize.experiments.training.pytrees import stack_trees

DRAWS_PER_POOL = 512  # and DRAWN of the largest pool: a leak of 1 task in 50 escapes one time in 30,000


class Use(NamedTuple):
    """A way in which training draws tasks, and the pool that they are claimed to be from.

    Attributes:
        family: a family with these tasks.
        tastes: whether some episodes start near success.
        frozen: whether there is a fixed number of starting states.
        claim: the claimed pool.
        hyperparameters: values of the hyperparameters on which drawing depends.
    """

    family: Family
    tastes: bool
    frozen: bool
    claim: PoolClaim
    hyperparameters: tuple[float, ...]


def audit_pools(name: str, cells: Sequence[Cell], heldout: int) -> dict[str, Any]:
    """Audit the tasks on which a family's agents are trained, of all pools.

    Args:
        name: name of the family.
        cells: all cells of the run.
        heldout: number of held-out tasks that are evaluated, and of validation tasks.

    Returns:
        The entry of `meta.json`: numbers of the largest pool, and `pools`, the number of pools audited.

    Raises:
        RunError: if an agent is trained on a task that is not in its pool, or is evaluated as held out.
    """
    uses = _uses(name, cells)
    largest = max(uses, key=lambda use: (use.claim.split == "training", use.claim.size or np.inf))
    drawn = _draw(uses, largest)
    outside: dict[tuple[str, str], set[bytes]] = {}
    overlap: set[bytes] = set()
    for use, tasks in drawn.items():
        for task, split in tasks_outside_pool(use.family.tasks, use.claim, tasks).items():
            outside.setdefault((use.claim.split, split), set()).add(task)
        if use.claim.split == "training":
            overlap |= _evaluated(use.family, heldout) & {task.tobytes() for task in tasks}
    if outside or overlap:
        counts = " and ".join(f"{len(tasks)} {_describe(*splits)}" for splits, tasks in sorted(outside.items()))
        more = f", {len(overlap)} of them evaluated" if overlap else ""
        raise RunError(
            f"{name}: training draws {counts or 'tasks'}{more}. "
            "Correct the family's task space or its control; no verdict is given."
        )
    comparison = compare_with_pool(largest.family, largest.claim, drawn[largest], heldout)
    has_start_file = any(cell.training.start_from for cell in cells if name in cell.members)
    before = "on tasks that the file of start_from does not tell" if has_start_file else "no"
    return comparison._asdict() | {"pools": len({use.claim for use in uses}), "trained_before": before}


def _describe(claimed: str, split: str) -> str:
    """Name the tasks of a split that are drawn in place of a pool of the claimed split."""
    names = {"heldout": "held-out tasks", "validation": "validation tasks", "training": "training tasks"}
    return f"{names[split]} outside the agent's pool" if claimed == split else names[split]


def _uses(name: str, cells: Sequence[Cell]) -> dict[Use, tuple[Pool, Hyper]]:
    """Return the ways in which a family's tasks are drawn in a run, with a pool and hyperparameters to draw with."""
    uses: dict[Use, tuple[Pool, Hyper]] = {}
    families: dict[Any, Family] = {}
    for cell in cells:
        if name not in cell.members:
            continue
        member = family_of(cell).members[cell.members.index(name)]
        family = families.setdefault(member.tasks, member)  # one program draws for all controls
        split: Split = next(name for name in SPLITS if name == cell.pool_split)
        claim = PoolClaim(cell.pool_size, cell.pool_seed, split, cell.pool_first)
        training = cell.training
        tastes = rewards.make(training.reward).tastes
        for frozen in {teacher is not None and TEACHERS[teacher].frozen for teacher in _teachers(cell)}:
            near_success = (training.near, training.taste) if tastes else ()
            hyperparameters = (*near_success, *((training.demonstrations,) if frozen else ()))
            use = Use(family, tastes, frozen, claim, hyperparameters)
            if use not in uses:
                uses[use] = pool_of(cell), hyper_of(cell)
    return uses


def _teachers(cell: Cell) -> tuple[str | None, ...]:
    """Return the teachers of a cell, None for training without: of its warm start, too."""
    return (cell.teacher,) if cell.learner == "cloning" else tuple({None, cell.teacher})


def _draw(uses: dict[Use, tuple[Pool, Hyper]], largest: Use) -> dict[Use, np.ndarray]:
    """Draw tasks as training does, digits [count, D]: DRAWN for the largest use, DRAWS_PER_POOL for the others."""
    programs: dict[tuple[Family, bool, bool], list[Use]] = {}
    for use in uses:
        programs.setdefault((use.family, use.tastes, use.frozen), []).append(use)
    drawn = {}
    for program, alike in programs.items():
        lanes = [*alike, *([largest] * (AUDITED_DRAWS // DRAWS_PER_POOL - 1) if largest in alike else [])]
        pools, hypers = (stack_trees(trees) for trees in zip(*(uses[use] for use in lanes), strict=True))
        tasks = np.asarray(_side_by_side(*program, pools, hypers))
        drawn |= {use: tasks[[lane == use for lane in lanes]].reshape(-1, tasks.shape[-1]) for use in lanes}
    return drawn


@partial(jax.jit, static_argnums=(0, 1, 2))
def _side_by_side(family: Family, tastes: bool, frozen: bool, pools: Pool, hypers: Hyper) -> jax.Array:
    """Draw tasks as at the start of training from several pools, digits [pools, DRAWS_PER_POOL, D]."""

    def draw(key: jax.Array, pool: Pool, hyper: Hyper) -> jax.Array:
        sampler = partial(
            training_start_sampler, pool=pool, hyper=hyper, steps=jnp.float32(0), tastes=tastes, frozen=frozen
        )
        return draw_tasks(sampler, family, key, DRAWS_PER_POOL)

    return jax.vmap(draw)(jax.random.split(jax.random.key(0), len(pools.bound)), pools, hypers)


@lru_cache
def _evaluated(family: Family, heldout: int) -> frozenset[bytes]:
    """Return the digits, as bytes, of the held-out and validation tasks on which agents are evaluated."""
    tasks = [task for split in ("heldout", "validation") for task in first_tasks(family.tasks, split, heldout)]
    return frozenset(task.tobytes() for task in tasks)
