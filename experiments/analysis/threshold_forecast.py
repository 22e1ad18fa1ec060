"""The number of tasks at which skill takes over, measured in agents, and foretold from how long they learn.

Where learning the skill takes T steps (half of the score, every episode new), and pools of a few tasks take a + cN to
be learnt by heart, memorising takes longer than the skill from (T - a) / c tasks on.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from incentivize.experiments.analysis.comparisons import by_seed
from incentivize.experiments.analysis.estimates import normalised_score
from incentivize.experiments.analysis.table import ResultsTable
from incentivize.experiments.analysis.thresholds import Location, n_star_of_scores
from incentivize.experiments.settings.schema import PoolSize, size_of

MEMORISED = 64  # pools up to this are timed; what lies beyond is foretold


class ThresholdForecast(NamedTuple):
    """A setting's threshold.

    Attributes:
        measured: N*; None where a cell is missing.
        foretold: None where it cannot be, and `why`.
        skill: steps after which half of the score is reached on unseen tasks, every episode new.
        task: steps that one more task takes to memorise.
    """

    measured: Location | None
    forecast: float | None
    skill: float | None
    task: float | None
    why: str = ""


def forecast_threshold(
    mine: ResultsTable, level: float, pools: Sequence[PoolSize], seeds: Sequence[int], steps: Sequence[int]
) -> ThresholdForecast:
    """Measured and foretold, of which the latter never looks at a pool between MEMORISED and every-episode-new.

    Args:
        mine: the rows of agents on every pool, with every seed.
        level: success of a blind agent.
        pools: from small to every-episode-new.
        seeds: of the agents.
        steps: at which they were evaluated.
    """
    if level >= 1:
        return ThresholdForecast(None, None, None, None, "a blind agent leaves no room")

    def column(pool: Any, split: str, step: int) -> list[float] | None:
        found = by_seed(mine.where(pool_size=size_of(pool), evaluated_on=split, env_steps=step))
        scores = [normalised_score(found[seed], level) for seed in seeds if seed in found]
        return [score for score in scores if score is not None] if set(found) == set(seeds) else None

    def half_time(pool: Any, split: str) -> float | None:
        columns = [column(pool, split, step) for step in steps]
        known = [float(np.mean(scores)) for scores in columns if scores is not None]
        return _first(steps, known, 0.5) if len(known) == len(steps) else None

    finite = [pool for pool in pools if pool != "new"]
    measured = [column(pool, "unseen", steps[-1]) for pool in pools]
    whole = [scores for scores in measured if scores is not None]
    place = None
    if len(whole) == len(pools):
        scores = np.array(whole).T
        place = n_star_of_scores(finite, scores[:, :-1], scores[:, -1])
    small = [pool for pool in finite if pool <= MEMORISED]
    times, skill = [half_time(pool, "seen") for pool in small], half_time("new", "unseen")
    known = [(pool, time) for pool, time in zip(small, times, strict=True) if time is not None]
    if skill is None or len(known) < 2:
        return ThresholdForecast(
            place, None, skill, None, "half of the score is not reached in this budget, or a cell is missing"
        )
    sizes, each = zip(*known, strict=True)
    at, task = np.polynomial.polynomial.polyfit(sizes, each, 1)
    if task <= 0 or skill <= at:
        return ThresholdForecast(
            place, None, skill, float(task), "more tasks take no longer, or the skill is there before one task is"
        )
    return ThresholdForecast(place, float((skill - at) / task), skill, float(task))


def _first(steps: Sequence[int], values: list[float], level: float) -> float | None:
    """When values first reach a level, between two budgets on a logarithmic axis; None where they do not."""
    for place, value in enumerate(values):
        if value >= level:
            if not place:
                return float(steps[0])
            share = (level - values[place - 1]) / (value - values[place - 1])
            return math.exp(math.log(steps[place - 1]) + share * math.log(steps[place] / steps[place - 1]))
    return None
