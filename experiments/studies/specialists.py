"""Specialists: agents whose pool is one held-out task, taught or incentivized. Does not import jax."""

from typing import Any

from experiments.cells import Cell
from experiments.settings import Settings, Training
from experiments.studies.common import cell_of

ROLES = {"taught": "specialist", "incentivized": "incentivized specialist"}
"""The part that specialists play, by what they learn from: all else about them is the same."""

SMALL = 16  # a specialist with fewer updates of the generalist's batch than this takes small batches instead


def specialist_points(settings: Settings, training: Training) -> tuple[dict[int, str], dict[int, str]]:
    """Budgets at which specialists are evaluated, by batch size: the generalist's batch, and the small one.

    Shares below one small update are left out: they are censored, not drawn.
    """
    budget = training.budget
    wanted = [(budget // size, "share") for size in settings.pools if size != "new"]
    wanted += [(budget // settings.specialists, "split"), (budget, "full")]
    large, small = training.steps_per_update, settings.specialist_envs * training.rollout_steps
    at_large: dict[int, str] = {}
    at_small: dict[int, str] = {}
    for steps, kind in wanted:
        if kind == "full" or steps >= SMALL * large:
            at_large[steps // large * large] = kind
        elif steps >= small:
            at_small[steps // small * small] = kind
    return at_large, at_small


def specialists(study: str, settings: Settings, family: str) -> list[Cell]:
    """The specialists of a family: of either learner, at either batch size, one for every task."""
    training = settings.training[family]
    at_large, at_small = specialist_points(settings, training)
    small = {"num_envs": settings.specialist_envs, "budget": max(at_small, default=0)}
    batches = ((at_large, training), (at_small, training.model_copy(update=small)))
    signals = {"taught": {"learner": "cloning", "teacher": "dagger"}, "incentivized": {"learner": "ppo"}}
    cells = []
    for learner in settings.specialist_learners:
        for points, own in batches:
            for task in range(settings.specialists if points else 0):
                pool: dict[str, Any] = {"pool_size": 1, "pool_split": "heldout", "pool_first": task}
                at = tuple(sorted(points.items()))
                more = pool | signals[learner] | {"training": own, "seed": task, "points": at}
                cells.append(cell_of(study, settings, family, ROLES[learner], **more))
    return cells
