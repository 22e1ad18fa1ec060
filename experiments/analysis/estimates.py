"""Estimates and their intervals. NumPy and SciPy only."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, stdtrit  # not scipy.stats, which takes long to import

DRAWS = 2000  # resamples of an interval
CHUNK = 2**21  # values that are resampled at a time
MIN_SEEDS = 3  # independent units below which no interval is given
Statistic = Callable[[np.ndarray], np.ndarray]
"""Of a sample [..., P, S, T], or of many at once; gives [...]."""


class Estimate(NamedTuple):
    """A mean or another statistic with its 95% interval, which is infinite where n < 3, so that it decides nothing."""

    mean: float
    low: float
    high: float
    n: int


def t_interval(values: Sequence[float] | np.ndarray, finest: float = 0.0) -> Estimate:
    """The mean of independent values with Student's t interval, which keeps its coverage at few seeds.

    Args:
        values: [n].
        finest: the least spread to reckon with, such as one episode of an evaluation: that values agree proves nothing.
            With none, and every value the same, the interval is the mean itself.
    """
    sample = np.asarray(values, float)
    if sample.ndim != 1 or not len(sample):
        raise ValueError(f"want a vector of at least one value, not shape {sample.shape}")
    mean, n = float(sample.mean()), len(sample)
    if n < MIN_SEEDS:
        return Estimate(mean, -np.inf, np.inf, n)
    half = float(stdtrit(n - 1, 0.975) * max(sample.std(ddof=1), finest) / np.sqrt(n))
    return Estimate(mean, mean - half, mean + half, n)


def welch_interval(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> Estimate:
    """The difference of two means, unpaired and of unequal spread (Welch 1947); n is that of the smaller sample."""
    samples = [np.asarray(values, float) for values in (first, second)]
    n, difference = min(map(len, samples)), float(samples[0].mean() - samples[1].mean())
    if n < MIN_SEEDS:
        return Estimate(difference, -np.inf, np.inf, n)
    parts = [sample.var(ddof=1) / len(sample) for sample in samples]
    error = sum(parts)
    if not error:
        return Estimate(difference, difference, difference, n)
    freedom = error**2 / sum(part**2 / (len(sample) - 1) for part, sample in zip(parts, samples, strict=True))
    half = float(stdtrit(freedom, 0.975) * math.sqrt(error))
    return Estimate(difference, difference - half, difference + half, n)


def jackknife(statistic: Callable[..., float], sizes: Sequence[int]) -> Estimate:
    """A statistic of units crossed with each other, with an interval that keeps its coverage where they are few.

    Every unit is left out once; what that changes is Student's t interval for one kind of unit (Tukey 1958; Efron &
    Tibshirani 1993, ch. 11). For several, such as seeds x tasks, the variances add up (a little too many: Owen 2007),
    with as many degrees of freedom as they are worth together (Satterthwaite 1946). Of the mean of one kind of unit it
    is `student`.

    Args:
        statistic: of the indices of those kept, an array for each kind. It may be infinite, which opens that end.
        sizes: how many units there are of each kind.

    Returns:
        n is that of the fewest.
    """
    everyone = [np.arange(size) for size in sizes]
    found, n = float(statistic(*everyone)), min(sizes)
    if n < MIN_SEEDS or not math.isfinite(found):
        return Estimate(found, -np.inf, np.inf, n)
    parts, ends = [], [False, False]
    for kind, size in enumerate(sizes):
        others = [[*everyone[:kind], np.delete(everyone[kind], unit), *everyone[kind + 1 :]] for unit in range(size)]
        without = np.array([statistic(*kept) for kept in others], float)
        ends = [ends[0] or bool((without == -np.inf).any()), ends[1] or bool((without == np.inf).any())]
        pseudo = size * found - (size - 1) * without[np.isfinite(without)]
        if len(pseudo) < 2:
            return Estimate(found, -np.inf, np.inf, n)
        parts.append((pseudo.var(ddof=1) / len(pseudo), len(pseudo) - 1))
    error = sum(part for part, _ in parts)
    freedom = error**2 / sum(part**2 / free for part, free in parts) if error else np.inf
    half = float(stdtrit(freedom, 0.975) * math.sqrt(error)) if error else 0.0
    low, high = (
        end if not open_ else side
        for end, open_, side in zip((found - half, found + half), ends, (-np.inf, np.inf), strict=True)
    )
    return Estimate(found, low, high, n)


def normalised_score(success: float, blind: float) -> float | None:
    """The score: 0 at the blind level, 1 at the expert, who always succeeds; None where there is no room between."""
    return (success - blind) / (1 - blind) if blind < 1 else None


def mean(sample: np.ndarray) -> np.ndarray:
    """The mean over the last three axes."""
    return sample.mean((-3, -2, -1))


def iqm(sample: np.ndarray) -> np.ndarray:
    """The interquartile mean over the last three axes: of what is left without a quarter at either end.

    Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice".
    """
    flat = np.sort(sample.reshape(*sample.shape[:-3], -1), -1)
    cut = flat.shape[-1] // 4
    return flat[..., cut : flat.shape[-1] - cut].mean(-1)


def bootstrap(
    sample: np.ndarray, statistic: Statistic = mean, draws: int = DRAWS, seed: int = 0, over_tasks: bool = True
) -> Estimate:
    """A hierarchical bootstrap over pools, seeds and tasks.

    Pools are drawn anew, each with all of its seeds (drawing these too would count their spread twice: Davison &
    Hinkley 1997, 3.8), and so are tasks, the same for all, as every agent meets the same ones (the pigeonhole
    bootstrap: Owen 2007, a little too wide where neither matters much). The interval is of percentiles, set further
    apart as far as a t interval from so few units is wider than a normal one (`tails`), with as many units as pools and
    tasks are worth together (Satterthwaite 1946).

    Args:
        sample: [pools, seeds of each, tasks].
        statistic: what to estimate.
        draws: how many resamples.
        seed: of the resamples.
        over_tasks: whether tasks are a sample too, of all that there are.

    Returns:
        The statistic of the sample, its interval, and as n the number of pools, or of tasks where there are fewer.
    """
    sample = np.asarray(sample, float)
    if sample.ndim != 3 or not sample.size:
        raise ValueError(f"want [pools, seeds, tasks] of at least one value, not shape {sample.shape}")
    if not np.isfinite(sample).all():
        raise ValueError("want finite values: what is missing is not imputed")
    pools, _, tasks = sample.shape
    n = min(pools, tasks) if over_tasks else pools
    found = float(statistic(sample))
    if n < MIN_SEEDS:
        return Estimate(found, -np.inf, np.inf, n)
    rng = np.random.default_rng(seed)
    worth = float(pools)
    if over_tasks:
        parts = [
            _resampled(sample, statistic, draws // 2, rng, *which).var() for which in ((True, False), (False, True))
        ]
        if sum(parts):
            worth = 1 + sum(parts) ** 2 / (parts[0] ** 2 / (pools - 1) + parts[1] ** 2 / (tasks - 1))
    low, high = np.quantile(_resampled(sample, statistic, draws, rng, True, over_tasks), tails(worth))
    return Estimate(found, float(low), float(high), n)


def _resampled(
    sample: np.ndarray, statistic: Statistic, draws: int, rng: np.random.Generator, over_pools: bool, over_tasks: bool
) -> np.ndarray:
    """The statistic of resamples [draws]."""
    pools, _, tasks = sample.shape
    values = []
    for some in np.array_split(np.arange(draws), -(-draws * sample.size // CHUNK)):
        rows = rng.integers(pools, size=(len(some), pools)) if over_pools else np.arange(pools)[None]
        columns = rng.integers(tasks, size=(len(some), tasks)) if over_tasks else np.arange(tasks)[None]
        values.append(
            statistic(sample[rows[:, :, None, None], np.arange(sample.shape[1])[:, None], columns[:, None, None]])
        )
    return np.concatenate(values)


def tails(n: float) -> tuple[float, float]:
    """Percentiles of resamples between which a 95% interval from n units lies: those of a normal one, set apart.

    Hesterberg 2015, "What Teachers Should Know About the Bootstrap", 4.3: the expanded percentile interval.
    """
    low = float(ndtr(math.sqrt(n / (n - 1)) * stdtrit(n - 1, 0.025)))
    return low, 1 - low


def probability_of_improvement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The probability that a run of the first does better than one of the second, ties shared, averaged over tasks.

    Agarwal et al. 2021; for every task it is the Mann-Whitney U over the number of pairs.

    Args:
        first: [..., runs, tasks].
        second: likewise, with any number of runs.

    Returns:
        [...].
    """
    pairs = first[..., :, None, :] - second[..., None, :, :]
    return ((pairs > 0) + 0.5 * (pairs == 0)).mean((-3, -2, -1))


def performance_profile(scores: np.ndarray, levels: Sequence[float] | np.ndarray) -> np.ndarray:
    """The performance profile: which share of all scores lies above each level (Dolan & Moré 2002; Agarwal et al.).

    Args:
        scores: of any shape.
        levels: [L].

    Returns:
        [L].
    """
    return (np.asarray(scores, float).ravel() > np.asarray(levels, float)[:, None]).mean(1)
