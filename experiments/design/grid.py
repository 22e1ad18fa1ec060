"""What studies share: a cell of their settings, comparisons within seeds. Does not import jax."""

from functools import lru_cache
from typing import Any

import numpy as np

from incentivize.experiments.analysis.estimates import Estimate, jackknife, student
from incentivize.experiments.analysis.table import Table
from incentivize.experiments.cells import Cell, doubling
from incentivize.experiments.settings.schema import PoolSize, Settings

LEARNT = 0.2  # a score below it: nothing worth a comparison has been learnt
DOUBLINGS = 4  # from the budget at which studies first compare agents to the last: 16 times as many steps


@lru_cache
def hidden(family: str) -> bool:
    """Whether the family's rule has to be found out."""
    from incentivize import envs  # and with it jax, which listing the studies does not need

    return not envs.make(family).reveals_rule


def headline_teacher(family: str) -> str:
    """The strongest teacher to compare with: where the rule is hidden, one who knows what the agent was shown, no more.

    One who knows a hidden rule never shows how to find it out: that its students fail is by construction.
    """
    return "fair-dagger" if hidden(family) else "dagger"


def size_of(pool: PoolSize) -> int | None:
    """A pool size as cells have it."""
    return None if pool == "new" else pool


def tasks_in(size: int | None) -> str:
    """A cell's pool size in words."""
    return "every episode a new task" if size is None else f"{size:,} training task{'s' * (size != 1)}"


def on_pool(pool: PoolSize, seed: int) -> dict[str, Any]:
    """What a cell has that trains on a pool of its own seed."""
    return {"pool_size": size_of(pool), "pool_seed": seed, "seed": seed}


def ending(settings: Settings) -> list[int]:
    """The sizes of the pools that end: all but every-episode-new."""
    return [size for size in settings.pools if size != "new"]


def cell_of(study: str, settings: Settings, family: str, role: str, **own: Any) -> Cell:
    """An incentivized generalist of a family, unless told otherwise; taught first where the settings say so."""
    training = settings.training[family]
    points = tuple((point, "total") for point in budgets_of(settings, family))
    knobs = tuple(sorted(settings.knobs.get(family, {}).items()))
    defaults: dict[str, Any] = {"training": training, "points": points, "knobs": knobs}
    if settings.control != "none":
        defaults["control"] = settings.control
    if training.taught_steps and own.get("learner", "ppo") == "ppo":
        defaults["teacher"] = headline_teacher(family)
    if own.get("pool_split", "training") == "training":  # held-out tasks are the same for every agent
        own["pool_seed"] = settings.pool_seed + own.get("pool_seed", 0)
    merged = defaults | own
    merged["training"] = merged["training"].of(merged.get("learner", "ppo"))
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


def budgets_of(settings: Settings, family: str) -> tuple[int, ...]:
    """The environment steps at which agents are evaluated, rising."""
    training = settings.training[family]
    return doubling(training.budget, settings.evaluations, training.steps_per_update)


def late_budgets(settings: Settings, family: str) -> tuple[int, ...]:
    """Those of the last DOUBLINGS: the first budget compared does not hang on how often agents are evaluated."""
    return budgets_of(settings, family)[-DOUBLINGS - 1 :]


def by_seed(table: Table, key: str = "success") -> dict[int, float]:
    """A column of rows that differ in their seed, where it has a value."""
    return {row["seed"]: row[key] for row in table.rows if row.get(key) is not None}


def floored(scores: dict[int, float]) -> dict[int, float]:
    """Scores, those below 0 as 0: who memorises is worse than blind, and coming up to that is no skill."""
    return {seed: max(score, 0.0) for seed, score in scores.items()}


def unscored(table: Table, family: str) -> str | None:
    """Why a family has no scores, if it has none."""
    level = table.meta["blind"][family]
    if level is None:
        return "a blind agent is missing, and without its level there are no scores"
    return "the blind level leaves no room" if level >= 1 else None


def unlearnt(*arms: dict[int, float]) -> str | None:
    """Why arms are not compared, by their scores: none of them has learnt anything. None where one has, or is missing.

    Every study asks this of the arms that a claim compares; `guards` has what is asked beside it.
    """
    if not arms or any(not scores or sum(scores.values()) / len(scores) >= LEARNT for scores in arms):
        return None
    return f"nobody has learnt it: no arm's score reaches {LEARNT}"


def paired(first: dict[int, float], second: dict[int, float], settings: Settings) -> Estimate | None:
    """The mean difference over seeds, where every seed is there: nothing is imputed, nothing left out.

    Student's t; seeds that agree are not surer than one episode of an evaluation.
    """
    seeds = set(range(settings.seeds))
    if set(first) != seeds or set(second) != seeds:
        return None
    finest = 1 / (settings.eval_tasks * settings.eval_instances)
    return student([first[seed] - second[seed] for seed in sorted(seeds)], finest)


def crossed(generalists: Table, specialists: Table, settings: Settings) -> Estimate | None:
    """Generalists minus specialists, a mean over seeds x tasks, either of which may have been others (`jackknife`).

    Args:
        generalists: rows in the specialty, one a seed.
        specialists: rows of those that were trained on its tasks.
        settings: which say how many of either there are; None where one is missing.
    """
    found = differences(generalists, specialists, settings)
    return None if found is None else jackknife(lambda *kept: found[np.ix_(*kept)].mean(), found.shape)


def differences(generalists: Table, specialists: Table, settings: Settings) -> np.ndarray | None:
    """Success of generalists minus that of specialists [seeds, tasks], as in `crossed`; None where one is missing."""
    mine, theirs = specialty(generalists, settings), specialists.per_task("specialty")
    if mine is None or set(theirs) != set(range(settings.specialists)):
        return None
    return mine - np.array([theirs[task] for task in sorted(theirs)])


def specialty(generalists: Table, settings: Settings) -> np.ndarray | None:
    """Success of generalists on the specialists' tasks [seeds, tasks]; None where one is missing."""
    found = []
    for seed in range(settings.seeds):
        mine = generalists.where(seed=seed).per_task("specialty")
        if set(mine) != set(range(settings.specialists)):
            return None
        found.append([mine[task] for task in sorted(mine)])
    return np.array(found)
