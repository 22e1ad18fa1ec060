"""Shared parts of grids: a cell of the settings, a pool, blind agents, the teacher. Does not import jax."""

from functools import lru_cache
from typing import Any

from incentivize.experiments.cells import Cell
from incentivize.experiments.settings.schema import PoolSize, Settings, evaluation_budgets


@lru_cache
def has_hidden_rule(family: str) -> bool:
    """Return whether agents have to find out the family's rule."""
    from incentivize import envs  # and with it jax, which listing the studies does not need

    return not envs.make(family).reveals_rule


def headline_teacher(family: str) -> str:
    """Return the strongest teacher to compare with: where the rule is hidden, one who knows what the agent was shown.

    A teacher who knows a hidden rule never shows how to find it out: that its students fail is by construction.
    """
    return "fair-dagger" if has_hidden_rule(family) else "dagger"


def on_pool(pool: PoolSize, seed: int) -> dict[str, Any]:
    """Return the fields of a cell that trains on a pool of its own seed, for `cell_of`."""
    return {"pool_size": pool, "pool_seed": seed, "seed": seed}


def cell_of(study: str, settings: Settings, family: str, role: str, **cell_fields: Any) -> Cell:
    """Make a cell: an incentivized generalist, taught first where the settings say so.

    Args:
        study: the study's name.
        settings: the run's settings.
        family: the family's name.
        role: the part that the agent plays in the study, such as "generalist".
        cell_fields: fields of `Cell` that differ from the generalist's, such as `learner`, `training` or those of
            `on_pool`.
    """
    training = settings.training[family]
    points = tuple((point, "total") for point in evaluation_budgets(settings, family))
    knobs = tuple(sorted(settings.knobs.get(family, {}).items()))
    defaults: dict[str, Any] = {"training": training, "evaluation_points": points, "knobs": knobs}
    if settings.control != "none":
        defaults["control"] = settings.control
    if training.taught_steps and cell_fields.get("learner", "ppo") == "ppo":
        defaults["teacher"] = headline_teacher(family)
    if cell_fields.get("pool_split", "training") == "training":  # held-out tasks are the same for every agent
        cell_fields["pool_seed"] = settings.pool_seed + cell_fields.get("pool_seed", 0)
    merged = defaults | cell_fields
    merged["training"] = merged["training"].for_learner(merged.get("learner", "ppo"))
    return Cell(
        study=study,
        role=role,
        family=family,
        life=settings.life,
        eval_tasks=settings.eval_tasks,
        eval_instances=settings.eval_instances,
        eval_specialists=settings.specialists,
        likelihood=settings.likelihood,
        **merged,
    )


def blind_cells(study: str, settings: Settings, family: str) -> list[Cell]:
    """Make agents that are shown no description, every episode a new task: without them there are no scores."""
    seeds = range(settings.control_seeds)
    return [cell_of(study, settings, family, "blind", control="blind", seed=seed, pool_seed=seed) for seed in seeds]
