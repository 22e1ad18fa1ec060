"""Comparisons of arms: within seeds, over seeds and tasks, and why there are none. Does not import jax."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from incentivize.experiments.analysis.estimates import Estimate, jackknife, t_interval
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.settings.schema import Settings

LEARNT_SCORE = 0.2
"""An arm whose score is below this has learnt nothing worth a comparison."""


def by_seed(table: ResultsTable, key: str = "success") -> dict[int, float]:
    """Return a column by seed, without the rows that have no value in it; the rows differ in their seed."""
    return {row["seed"]: row[key] for row in table.rows if row.get(key) is not None}


def seed_matrix(columns: Sequence[Mapping[int, float]], seeds: Iterable[int]) -> np.ndarray | None:
    """Stack columns by seed, where every column has every seed and no other: nothing is imputed, nothing left out.

    Args:
        columns: values by seed, one mapping per column.
        seeds: the seeds that a column has to have, in the order of the rows.

    Returns:
        Values, float64 [seeds, columns]; None where a seed is missing, or is not asked for.
    """
    order = list(seeds)
    if any(set(column) != set(order) for column in columns):
        return None
    return np.array([[column[seed] for column in columns] for seed in order], float)


def floor_at_zero(scores: dict[int, float]) -> dict[int, float]:
    """Raise scores below 0 to 0: an agent that memorises is worse than blind, and to come up to that is no skill."""
    return {seed: max(score, 0.0) for seed, score in scores.items()}


def why_unscored(table: ResultsTable, family: str) -> str | None:
    """Say why a family has no scores; None where it has them."""
    level = table.meta["blind"][family]
    if level is None:
        return "a blind agent is missing, and without its level there are no scores"
    return "the blind level leaves no room" if level >= 1 else None


def why_not_learnt(*arms: dict[int, float]) -> str | None:
    """Say that no arm has learnt anything, by the scores of each by seed; None where one has, or is missing.

    Every study asks this of the arms that a claim compares; `guards` has the other questions.
    """
    if not arms or any(not scores or sum(scores.values()) / len(scores) >= LEARNT_SCORE for scores in arms):
        return None
    return f"nobody has learnt it: no arm's score reaches {LEARNT_SCORE}"


def paired_difference(first: dict[int, float], second: dict[int, float], settings: Settings) -> Estimate | None:
    """Estimate the mean difference within seeds, first minus second, with Student's t interval.

    The standard deviation is at least one episode of an evaluation: equal values are no proof of precision.

    Returns:
        The estimate; None where a seed is missing from either arm.
    """
    values = seed_matrix((first, second), range(settings.seeds))
    if values is None:
        return None
    return t_interval(values[:, 0] - values[:, 1], 1 / (settings.eval_tasks * settings.eval_instances))


def seeds_by_tasks(generalists: ResultsTable, specialists: ResultsTable, settings: Settings) -> Estimate | None:
    """Estimate success of generalists minus that of specialists, a mean over seeds x tasks, with a jackknife interval.

    Args:
        generalists: rows of generalists in the specialty, one per seed.
        specialists: rows of the specialists that were trained on these tasks, one per task.
        settings: the run's settings, which say how many seeds and specialists there are.

    Returns:
        The estimate; None where a seed or a specialist is missing.
    """
    differences = difference_matrix(generalists, specialists, settings)
    if differences is None:
        return None
    return jackknife(lambda *kept: differences[np.ix_(*kept)].mean(), differences.shape)


def difference_matrix(generalists: ResultsTable, specialists: ResultsTable, settings: Settings) -> np.ndarray | None:
    """Subtract the success of specialists from that of generalists; arguments are those of `seeds_by_tasks`.

    Returns:
        Differences, float64 [seeds, tasks]; None where a seed or a specialist is missing.
    """
    general, special = specialty_matrix(generalists, settings), specialists.per_task("specialty")
    if general is None or set(special) != set(range(settings.specialists)):
        return None
    return general - np.array([special[task] for task in sorted(special)])


def specialty_matrix(generalists: ResultsTable, settings: Settings) -> np.ndarray | None:
    """Return the success of generalists on the specialists' tasks.

    Returns:
        Success, float64 [seeds, tasks]; None where a seed or a task is missing.
    """
    seeds = []
    for seed in range(settings.seeds):
        success = generalists.where(seed=seed).per_task("specialty")
        if set(success) != set(range(settings.specialists)):
            return None
        seeds.append([success[task] for task in sorted(success)])
    return np.array(seeds)
