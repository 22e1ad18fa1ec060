"""Specialists: agents whose pool is one held-out task, taught or incentivized. Does not import jax."""

from typing import Any, NamedTuple

from incentivize.experiments.cells import Cell
from incentivize.experiments.design.grid import cell_of
from incentivize.experiments.settings.schema import Settings, finite_pools
from incentivize.experiments.settings.training import Training

ROLES = {"taught": "specialist", "incentivized": "incentivized specialist"}
"""The role of specialists in a study, by what they learn from: all else about them is the same."""

SIGNALS: dict[str, dict[str, Any]] = {
    "taught": {"learner": "cloning", "teacher": "dagger"},
    "incentivized": {"learner": "ppo"},
}
"""Fields of a specialist's cell, by what it learns from.

One task's rule is always the same: a teacher who knows it teaches nothing that could not be known.
"""

MET = "met"
"""The role of generalists whose pool has the specialists' tasks in it."""

MIN_LARGE_UPDATES = 16  # a specialist with fewer updates of the generalist's batch takes small batches instead


class SpecialistPoints(NamedTuple):
    """Budgets at which specialists are evaluated, in environment steps, rounded down to whole updates.

    Attributes:
        at_large: kinds of budget ("full", "equal_share", "share") by steps, of specialists with the generalist's batch.
        at_small: kinds of budget by steps, of specialists with small batches.
        shares: steps by pool size N, of the share B/N of the generalist's budget B; a share below one small update is
            left out: it is censored, not drawn.
    """

    at_large: dict[int, str]
    at_small: dict[int, str]
    shares: dict[int, int]


def specialist_points(settings: Settings, training: Training) -> SpecialistPoints:
    """Return the budgets at which specialists are evaluated.

    Args:
        settings: the run's settings.
        training: training settings of the generalist.
    """
    budget, sizes = training.budget, finite_pools(settings)
    budgets = [(budget // size, "share") for size in sizes]
    budgets += [(budget // settings.specialists, "equal_share"), (budget, "full")]
    large, small = training.steps_per_update, small_batch(settings, training).steps_per_update
    at_large: dict[int, str] = {}
    at_small: dict[int, str] = {}
    for steps, kind in budgets:
        if kind == "full" or steps >= MIN_LARGE_UPDATES * large:
            at_large[steps // large * large] = kind
        elif steps >= small:
            at_small[steps // small * small] = kind
    shares = {}
    for size in sizes:
        whole_large, whole_small = (budget // size // update * update for update in (large, small))
        if whole_large in at_large:
            shares[size] = whole_large
        elif whole_small in at_small:
            shares[size] = whole_small
    return SpecialistPoints(at_large, at_small, shares)


def small_batch(settings: Settings, training: Training, budget: int | None = None) -> Training:
    """Return training settings with the small batches of specialists, and another budget where one is given."""
    update: dict[str, Any] = {"num_envs": settings.specialist_envs}
    return training.model_copy(update=update | ({} if budget is None else {"budget": budget}))


def own_training(settings: Settings, training: Training, budget: int) -> Training:
    """Return training settings of a specialist that never has more than a budget, in whole updates, one at least.

    Batches are small where the generalist's would be few. The entropy bonus falls as much sooner as the budget is
    smaller: the schedule of a long run would leave a short one exploring to its end.

    Args:
        settings: the run's settings.
        training: training settings of the generalist.
        budget: the specialist's budget in environment steps.
    """
    if budget < MIN_LARGE_UPDATES * training.steps_per_update:
        training = small_batch(settings, training)
    update = training.steps_per_update
    whole = max(budget // update, 1) * update
    entropy_steps = training.entropy_steps * whole // training.budget
    return training.model_copy(update={"budget": whole, "entropy_steps": entropy_steps})


def specialist(study: str, settings: Settings, family: str, learner: str, task: int, **cell_fields: Any) -> Cell:
    """Make the specialist of one held-out task.

    Args:
        study: the study's name.
        settings: the run's settings.
        family: the family's name.
        learner: what the specialist learns from, a key of ROLES.
        task: the ordinal of the held-out task.
        cell_fields: further fields of `Cell`, such as `training`.
    """
    pool: dict[str, Any] = {"pool_size": 1, "pool_split": "heldout", "pool_first": task, "seed": task}
    return cell_of(study, settings, family, ROLES[learner], **pool, **SIGNALS[learner], **cell_fields)


def specialists(study: str, settings: Settings, family: str) -> list[Cell]:
    """Make the specialists of a family: of either learner, at either batch size, one for every task."""
    training = settings.training[family]
    points = specialist_points(settings, training)
    small = small_batch(settings, training, max(points.at_small, default=0))
    cells = []
    for learner in settings.specialist_learners:
        for kinds, specialist_training in ((points.at_large, training), (points.at_small, small)):
            for task in range(settings.specialists if kinds else 0):
                at = tuple(sorted(kinds.items()))
                fields: dict[str, Any] = {"training": specialist_training, "evaluation_points": at}
                cells.append(specialist(study, settings, family, learner, task, **fields))
    return cells


def generalists_trained_on_specialty(study: str, settings: Settings, family: str) -> list[Cell]:
    """Make generalists with the specialists' tasks in the largest finite pool; none where that is too small."""
    size = max(finite_pools(settings), default=0)
    if size < settings.specialists:
        return []
    pool: dict[str, Any] = {"pool_size": size, "pool_split": "heldout"}
    return [cell_of(study, settings, family, MET, seed=seed, **pool) for seed in range(settings.seeds)]
