"""The number of tasks at which skill takes over: measured in agents, and forecast from how long they learn.

Where learning the skill takes T steps (half of the score, every episode new), and learning a pool of N tasks by heart
takes a + cN steps, memorising takes longer than the skill from (T - a) / c tasks on.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from incentivize.experiments.analysis.comparisons import by_seed, seed_matrix
from incentivize.experiments.analysis.estimates import normalised_score
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.analysis.thresholds import Location, n_star_of_scores
from incentivize.experiments.settings.schema import PoolSize

MAX_TIMED_POOL = 64  # tasks; a forecast looks at no larger pool but every-episode-new


class ThresholdForecast(NamedTuple):
    """A setting's threshold, measured and forecast.

    Attributes:
        measured: N*; None where a cell is missing.
        forecast: tasks from which memorising takes longer than the skill; None where that cannot be told.
        steps_to_skill: environment steps to half of the score on unseen tasks, every episode new; None where it is not
            reached.
        steps_per_task: environment steps that one more task takes to memorise; None where too few pools are learnt.
        why: why there is no forecast; empty where there is one.
    """

    measured: Location | None = None
    forecast: float | None = None
    steps_to_skill: float | None = None
    steps_per_task: float | None = None
    why: str = ""


def forecast_threshold(
    table: ResultsTable, level: float, pools: Sequence[PoolSize], seeds: Sequence[int], steps: Sequence[int]
) -> ThresholdForecast:
    """Measure the threshold, and forecast it from every-episode-new and from pools up to MAX_TIMED_POOL alone.

    Args:
        table: rows of agents on every pool, with every seed.
        level: success of a blind agent.
        pools: the pools, from small to every-episode-new.
        seeds: the agents' seeds.
        steps: the environment steps at which agents were evaluated, rising.
    """
    if level >= 1:
        return ThresholdForecast(why="a blind agent leaves no room")
    measured = _measure(table, level, pools, seeds, steps[-1])
    timed = [pool for pool in pools if pool is not None and pool <= MAX_TIMED_POOL]
    times = [_half_time(table, level, pool, "seen", seeds, steps) for pool in timed]
    steps_to_skill = _half_time(table, level, None, "unseen", seeds, steps)
    learnt = [(pool, time) for pool, time in zip(timed, times, strict=True) if time is not None]
    if steps_to_skill is None or len(learnt) < 2:
        why = "half of the score is not reached in this budget, or a cell is missing"
        return ThresholdForecast(measured=measured, steps_to_skill=steps_to_skill, why=why)
    sizes, steps_of_sizes = zip(*learnt, strict=True)
    at_none, per_task = np.polynomial.polynomial.polyfit(sizes, steps_of_sizes, 1)
    forecast, why = None, "more tasks take no longer, or the skill is there before one task is"
    if per_task > 0 and steps_to_skill > at_none:
        forecast, why = float((steps_to_skill - at_none) / per_task), ""
    return ThresholdForecast(
        measured=measured,
        forecast=forecast,
        steps_to_skill=steps_to_skill,
        steps_per_task=float(per_task),
        why=why,
    )


def _scores(
    table: ResultsTable, level: float, pool: PoolSize, block: str, seeds: Sequence[int], steps: int
) -> list[float] | None:
    """Return an arm's scores at one pool, block and budget, in the order of `seeds`; None where one is missing."""
    column = by_seed(table.where(pool_size=pool, evaluated_on=block, env_steps=steps))
    if seed_matrix([column], seeds) is None:
        return None
    scores = [normalised_score(column[seed], level) for seed in seeds]
    return [score for score in scores if score is not None]


def _half_time(
    table: ResultsTable, level: float, pool: PoolSize, block: str, seeds: Sequence[int], steps: Sequence[int]
) -> float | None:
    """Return the environment steps at which the mean score first reaches one half; None where it does not."""
    columns = [_scores(table, level, pool, block, seeds, step) for step in steps]
    means = [float(np.mean(scores)) for scores in columns if scores is not None]
    return _first(steps, means, 0.5) if len(means) == len(steps) else None


def _measure(
    table: ResultsTable, level: float, pools: Sequence[PoolSize], seeds: Sequence[int], steps: int
) -> Location | None:
    """Find N* at a budget of so many environment steps; None where a cell is missing."""
    columns = [_scores(table, level, pool, "unseen", seeds, steps) for pool in pools]
    complete = [scores for scores in columns if scores is not None]
    if len(complete) < len(pools):
        return None
    scores = np.array(complete).T
    return n_star_of_scores([pool for pool in pools if pool is not None], scores[:, :-1], scores[:, -1])


def _first(steps: Sequence[int], values: list[float], level: float) -> float | None:
    """Return where values first reach a level, between two budgets on a logarithmic axis; None where they do not."""
    for place, value in enumerate(values):
        if value >= level:
            if not place:
                return float(steps[0])
            share = (level - values[place - 1]) / (value - values[place - 1])
            return math.exp(math.log(steps[place - 1]) + share * math.log(steps[place] / steps[place - 1]))
    return None
