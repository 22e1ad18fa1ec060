"""Unseen success by the pool's size: where it turns, and where more training turns from harm to help."""

import numpy as np

from incentivize.experiments.analysis.comparisons import by_seed
from incentivize.experiments.analysis.table import ResultsTable
from incentivize.experiments.analysis.thresholds import Location, crossing, n_star_of_scores
from incentivize.experiments.settings.schema import PoolSize, Settings, evaluation_budgets, finite_pools, size_of


def unseen(
    table: ResultsTable, family: str, role: str, pool: PoolSize, key: str = "success", steps: int | None = None
) -> dict[int, float]:
    """Success on unseen tasks, or another column of the rows, by seed: at the last budget, if not at `steps`."""
    mine = table.where(family=family, evaluated_on="unseen", role=role, pool_size=size_of(pool))
    return by_seed(mine.final() if steps is None else mine.where(env_steps=steps), key)


def _curves(
    table: ResultsTable, settings: Settings, family: str, role: str, key: str, steps: int | None = None
) -> np.ndarray | None:
    """[seeds, pools], every-episode-new last; None where a cell is missing, or these are too few to ask for a turn."""
    if len(settings.pools) < 5 or settings.pools[-1] != "new":
        return None
    columns = [unseen(table, family, role, pool, key, steps) for pool in settings.pools]
    seeds = range(settings.seeds)
    if any(set(column) != set(seeds) for column in columns):
        return None
    return np.array([[column[seed] for column in columns] for seed in seeds])


def n_star(
    table: ResultsTable, settings: Settings, family: str, role: str, steps: int | None = None
) -> Location | None:
    """N*: the pool at which an arm's score on unseen tasks is half of what it has where every episode is new.

    At the last budget, if not at `steps`. None where a cell is missing, or there are not 4 pools and every-episode-new
    beside them.
    """
    scores = _curves(table, settings, family, role, "score", steps)
    return None if scores is None else n_star_of_scores(finite_pools(settings), scores[:, :-1], scores[:, -1])


def break_even_pool(table: ResultsTable, settings: Settings, family: str, role: str) -> Location | None:
    """The pool from which twice the training is better on unseen tasks, and below which it is worse.

    Where the curves of the last budget and of the one before it cross. None as in `half`, or where there is one budget.
    """
    budgets = evaluation_budgets(settings, family)
    if len(budgets) < 2:
        return None
    less, more = (_curves(table, settings, family, role, "success", steps) for steps in budgets[-2:])
    if less is None or more is None:
        return None
    return crossing(finite_pools(settings), (more - less)[:, :-1])
