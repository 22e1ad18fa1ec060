"""Specialists: agents whose pool is one held-out task, taught or incentivized. Does not import jax."""

from typing import Any

from incentivize.experiments.cells import Cell
from incentivize.experiments.design.grid import cell_of
from incentivize.experiments.settings.schema import Settings, Training, finite_pools

ROLES = {"taught": "specialist", "incentivized": "incentivized specialist"}
"""The part that specialists play, by what they learn from: all else about them is the same."""

SIGNALS: dict[str, dict[str, Any]] = {
    "taught": {"learner": "cloning", "teacher": "dagger"},
    "incentivized": {"learner": "ppo"},
}
"""One task's rule is always the same: a teacher who knows it teaches nothing that could not be known."""

MET = "met"
"""The part of generalists whose pool has the specialists' tasks in it."""

SMALL = 16  # a specialist with fewer updates of the generalist's batch than this takes small batches instead


def specialist_points(settings: Settings, training: Training) -> tuple[dict[int, str], dict[int, str]]:
    """Budgets at which specialists are evaluated, by batch size: the generalist's batch, and the small one.

    Shares below one small update are left out: they are censored, not drawn.
    """
    budget = training.budget
    wanted = [(budget // size, "share") for size in finite_pools(settings)]
    wanted += [(budget // settings.specialists, "equal_share"), (budget, "full")]
    large, small = training.steps_per_update, small_batch(settings, training).steps_per_update
    at_large: dict[int, str] = {}
    at_small: dict[int, str] = {}
    for steps, kind in wanted:
        if kind == "full" or steps >= SMALL * large:
            at_large[steps // large * large] = kind
        elif steps >= small:
            at_small[steps // small * small] = kind
    return at_large, at_small


def small_batch(settings: Settings, training: Training, budget: int | None = None) -> Training:
    """Training with the small batches of specialists, and a budget of its own where one is given."""
    update: dict[str, Any] = {"num_envs": settings.specialist_envs}
    return training.model_copy(update=update | ({} if budget is None else {"budget": budget}))


def own_training(settings: Settings, training: Training, budget: int) -> Training:
    """Training with a budget that is all that a specialist will ever have, in whole updates, one at least.

    Batches are small where the generalist's would be few, and the entropy bonus falls as much sooner as the budget is
    smaller: the schedule of a long run would leave a short one exploring to its end.
    """
    if budget < SMALL * training.steps_per_update:
        training = small_batch(settings, training)
    update = training.steps_per_update
    whole = max(budget // update, 1) * update
    sooner = training.entropy_steps * whole // training.budget
    return training.model_copy(update={"budget": whole, "entropy_steps": sooner})


def specialist(study: str, settings: Settings, family: str, learner: str, task: int, **own: Any) -> Cell:
    """The specialist of one held-out task."""
    pool: dict[str, Any] = {"pool_size": 1, "pool_split": "heldout", "pool_first": task, "seed": task}
    return cell_of(study, settings, family, ROLES[learner], **pool, **SIGNALS[learner], **own)


def specialists(study: str, settings: Settings, family: str) -> list[Cell]:
    """The specialists of a family: of either learner, at either batch size, one for every task."""
    training = settings.training[family]
    at_large, at_small = specialist_points(settings, training)
    small = small_batch(settings, training, max(at_small, default=0))
    cells = []
    for learner in settings.specialist_learners:
        for points, own in ((at_large, training), (at_small, small)):
            for task in range(settings.specialists if points else 0):
                at = tuple(sorted(points.items()))
                cells.append(specialist(study, settings, family, learner, task, training=own, evaluation_points=at))
    return cells


def generalists_trained_on_specialty(study: str, settings: Settings, family: str) -> list[Cell]:
    """Generalists with the specialists' tasks in their pool, the largest that ends; none where it is too small."""
    size = max(finite_pools(settings), default=0)
    if size < settings.specialists:
        return []
    pool: dict[str, Any] = {"pool_size": size, "pool_split": "heldout"}
    return [cell_of(study, settings, family, MET, seed=seed, **pool) for seed in range(settings.seeds)]
