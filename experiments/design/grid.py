"""What studies share: a cell of their settings, comparisons within seeds. Does not import jax."""

from functools import lru_cache
from typing import Any

from incentivize.experiments.cells import Cell
from incentivize.experiments.settings.schema import PoolSize, Settings, evaluation_budgets, size_of


@lru_cache
def has_hidden_rule(family: str) -> bool:
    """Whether the family's rule has to be found out."""
    from incentivize import envs  # and with it jax, which listing the studies does not need

    return not envs.make(family).reveals_rule


def headline_teacher(family: str) -> str:
    """The strongest teacher to compare with: where the rule is hidden, one who knows what the agent was shown, no more.

    One who knows a hidden rule never shows how to find it out: that its students fail is by construction.
    """
    return "fair-dagger" if has_hidden_rule(family) else "dagger"


def on_pool(pool: PoolSize, seed: int) -> dict[str, Any]:
    """What a cell has that trains on a pool of its own seed."""
    return {"pool_size": size_of(pool), "pool_seed": seed, "seed": seed}


def cell_of(study: str, settings: Settings, family: str, role: str, **own: Any) -> Cell:
    """An incentivized generalist of a family, unless told otherwise; taught first where the settings say so."""
    training = settings.training[family]
    points = tuple((point, "total") for point in evaluation_budgets(settings, family))
    knobs = tuple(sorted(settings.knobs.get(family, {}).items()))
    defaults: dict[str, Any] = {"training": training, "evaluation_points": points, "knobs": knobs}
    if settings.control != "none":
        defaults["control"] = settings.control
    if training.taught_steps and own.get("learner", "ppo") == "ppo":
        defaults["teacher"] = headline_teacher(family)
    if own.get("pool_split", "training") == "training":  # held-out tasks are the same for every agent
        own["pool_seed"] = settings.pool_seed + own.get("pool_seed", 0)
    merged = defaults | own
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
    """Agents that are shown no description, every episode a new task: without them there are no scores."""
    few = range(settings.control_seeds)
    return [cell_of(study, settings, family, "blind", control="blind", seed=seed, pool_seed=seed) for seed in few]
