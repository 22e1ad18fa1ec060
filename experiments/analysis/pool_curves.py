"""Unseen success by the pool's size: where it reaches its half, and where more training turns from harm to help."""

import numpy as np

from incentivize.experiments.analysis.comparisons import by_seed, seed_matrix
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.analysis.thresholds import Location, crossing, n_star_of_scores
from incentivize.experiments.settings.schema import PoolSize, Settings, evaluation_budgets, finite_pools

MIN_POOLS = 5  # four that a curve is fitted to, and every-episode-new


def unseen(
    table: ResultsTable, family: str, role: str, pool: PoolSize, key: str = "success", steps: int | None = None
) -> dict[int, float]:
    """Return a column of an arm on unseen tasks, by seed.

    Args:
        table: rows of the run.
        family: the family's name.
        role: the arm's part in the study, such as "generalist".
        pool: the pool that its agents were trained on.
        key: the column, "success" or another.
        steps: the budget in environment steps; None for the last one.

    Returns:
        Values of the column, float, by seed; seeds without a value are left out.
    """
    rows = table.where(family=family, evaluated_on="unseen", role=role, pool_size=pool)
    return by_seed(rows.final() if steps is None else rows.where(env_steps=steps), key)


def _curves(
    table: ResultsTable, settings: Settings, family: str, role: str, key: str, steps: int | None = None
) -> np.ndarray | None:
    """Return an arm's curve over pools, every-episode-new last.

    Returns:
        Values of the column `key`, float64 [seeds, pools]; None where a cell is missing or pools are too few.
    """
    if len(settings.pools) < MIN_POOLS or settings.pools[-1] is not None:
        return None
    return seed_matrix(
        [unseen(table, family, role, pool, key, steps) for pool in settings.pools], range(settings.seeds)
    )


def n_star(
    table: ResultsTable, settings: Settings, family: str, role: str, steps: int | None = None
) -> Location | None:
    """Find N*, the pool at which an arm's score on unseen tasks is half of its score where every episode is new.

    Args:
        table: rows of the run.
        settings: the run's settings.
        family: the family's name.
        role: the arm's part in the study, such as "generalist".
        steps: the budget in environment steps; None for the last one.

    Returns:
        The location; None where a cell is missing, or there are not 4 pools and every-episode-new.
    """
    scores = _curves(table, settings, family, role, "score", steps)
    return None if scores is None else n_star_of_scores(finite_pools(settings), scores[:, :-1], scores[:, -1])


def break_even_pool(table: ResultsTable, settings: Settings, family: str, role: str) -> Location | None:
    """Find the pool from which twice the training is better on unseen tasks, and below which it is worse.

    There the curves of the last two budgets cross; budgets double.

    Returns:
        The location; None where there is one budget, and where `n_star` gives None.
    """
    budgets = evaluation_budgets(settings, family)
    if len(budgets) < 2:
        return None
    less, more = (_curves(table, settings, family, role, "success", steps) for steps in budgets[-2:])
    if less is None or more is None:
        return None
    return crossing(finite_pools(settings), (more - less)[:, :-1])
