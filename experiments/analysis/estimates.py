"""Estimates and their intervals. NumPy and SciPy only."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, stdtrit  # not scipy.stats, which takes long to import

DRAWS = 2000  # resamples of an interval
MAX_RESAMPLED_VALUES = 2**21  # values that are resampled at a time, which bounds the memory
MIN_SEEDS = 3  # independent units below which no interval is given
Statistic = Callable[[np.ndarray], np.ndarray]
"""A function of samples, float64 [..., P, S, T], that gives one value each, float64 [...]."""


class Estimate(NamedTuple):
    """A mean, or another statistic, with its 95% interval.

    Attributes:
        mean: the statistic of the sample.
        low: the interval's lower end; -inf where n < 3, so that the estimate decides nothing.
        high: the interval's upper end; inf where n < 3.
        n: independent units, such as seeds; the fewest where there are several kinds.
    """

    mean: float
    low: float
    high: float
    n: int


def t_interval(values: Sequence[float] | np.ndarray, finest: float = 0.0) -> Estimate:
    """Estimate the mean of independent values with Student's t interval, which keeps its coverage at few seeds.

    Args:
        values: the values, float64 [n], n >= 1.
        finest: lower bound on the standard deviation, such as one episode of an evaluation; equal values are no proof
            of precision. With 0, and every value the same, the interval is the mean itself.

    Raises:
        ValueError: where `values` is no vector, or empty.
    """
    sample = np.asarray(values, float)
    if sample.ndim != 1 or not len(sample):
        raise ValueError(f"values.shape = {sample.shape}: expected [n] with n >= 1.")
    mean, n = float(sample.mean()), len(sample)
    if n < MIN_SEEDS:
        return Estimate(mean, -np.inf, np.inf, n)
    half = float(stdtrit(n - 1, 0.975) * max(sample.std(ddof=1), finest) / np.sqrt(n))
    return Estimate(mean, mean - half, mean + half, n)


def welch_interval(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> Estimate:
    """Estimate the difference of two means, first minus second, unpaired and of unequal spread (Welch 1947).

    Args:
        first: values of the first sample, float64 [n], n >= 1.
        second: values of the second sample, float64 [m], m >= 1.

    Returns:
        The difference with its interval; n is that of the smaller sample.
    """
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
    """Estimate a statistic of crossed units with an interval that keeps its coverage where units are few.

    Every unit is left out once; what that changes gives Student's t interval for one kind of unit (Tukey 1958; Efron &
    Tibshirani 1993, ch. 11). For several kinds, such as seeds x tasks, the variances add up (a little too many: Owen
    2007), with as many degrees of freedom as they are worth together (Satterthwaite 1946). For the mean of one kind of
    unit it is `t_interval`.

    Args:
        statistic: a function of the indices of the units that are kept, one array int64 [kept] per kind. Its value may
            be infinite, which opens that end of the interval.
        sizes: the number of units of each kind.

    Returns:
        The statistic of all units with its interval; n is that of the kind with the fewest.
    """
    everyone = [np.arange(size) for size in sizes]
    value, n = float(statistic(*everyone)), min(sizes)
    if n < MIN_SEEDS or not math.isfinite(value):
        return Estimate(value, -np.inf, np.inf, n)
    parts, low_is_open, high_is_open = [], False, False
    for kind, size in enumerate(sizes):
        others = [[*everyone[:kind], np.delete(everyone[kind], unit), *everyone[kind + 1 :]] for unit in range(size)]
        without = np.array([statistic(*kept) for kept in others], float)
        low_is_open = low_is_open or bool((without == -np.inf).any())
        high_is_open = high_is_open or bool((without == np.inf).any())
        pseudo = size * value - (size - 1) * without[np.isfinite(without)]
        if len(pseudo) < 2:
            return Estimate(value, -np.inf, np.inf, n)
        parts.append((pseudo.var(ddof=1) / len(pseudo), len(pseudo) - 1))
    error = sum(part for part, _ in parts)
    freedom = error**2 / sum(part**2 / free for part, free in parts) if error else np.inf
    half = float(stdtrit(freedom, 0.975) * math.sqrt(error)) if error else 0.0
    low = -np.inf if low_is_open else value - half
    high = np.inf if high_is_open else value + half
    return Estimate(value, low, high, n)


def normalised_score(success: float, blind: float) -> float | None:
    """Return the score: 0 at the blind level, 1 at the expert, who always succeeds; None where the blind level is 1."""
    return (success - blind) / (1 - blind) if blind < 1 else None


def mean(sample: np.ndarray) -> np.ndarray:
    """Return the mean of samples, float64 [..., P, S, T] -> [...]."""
    return sample.mean((-3, -2, -1))


def iqm(sample: np.ndarray) -> np.ndarray:
    """Return the interquartile mean of samples, float64 [..., P, S, T] -> [...]: a quarter is left out at either end.

    Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice".
    """
    flat = np.sort(sample.reshape(*sample.shape[:-3], -1), -1)
    cut = flat.shape[-1] // 4
    return flat[..., cut : flat.shape[-1] - cut].mean(-1)


def bootstrap(
    sample: np.ndarray, statistic: Statistic = mean, draws: int = DRAWS, seed: int = 0, over_tasks: bool = True
) -> Estimate:
    """Estimate a statistic by a hierarchical bootstrap over pools, seeds and tasks.

    Pools are drawn anew, each with all of its seeds: to draw these too would count their spread twice (Davison &
    Hinkley 1997, 3.8). Tasks are drawn anew as well, the same for all, as every agent meets the same ones: the
    pigeonhole bootstrap (Owen 2007), a little too wide where neither matters much. The interval is the expanded
    percentile interval (`tails`), with as many units as pools and tasks are worth together (Satterthwaite 1946).

    Args:
        sample: finite values, float64 [P, S, T]: pools, seeds of each pool, tasks.
        statistic: the statistic to estimate.
        draws: the number of resamples.
        seed: the seed of the resamples.
        over_tasks: whether the tasks are a sample of many more, or all that there are.

    Returns:
        The statistic of the sample with its interval; n is the number of pools, or of tasks where these are fewer.

    Raises:
        ValueError: where `sample` has another number of axes, is empty, or holds a value that is not finite.
    """
    sample = np.asarray(sample, float)
    if sample.ndim != 3 or not sample.size:
        raise ValueError(f"sample.shape = {sample.shape}: expected [pools, seeds, tasks] with at least one value.")
    if not np.isfinite(sample).all():
        raise ValueError("sample: must be finite, as missing values are not imputed. Leave such pools out.")
    pools, _, tasks = sample.shape
    n = min(pools, tasks) if over_tasks else pools
    value = float(statistic(sample))
    if n < MIN_SEEDS:
        return Estimate(value, -np.inf, np.inf, n)
    rng = np.random.default_rng(seed)
    worth = float(pools)
    if over_tasks:
        parts = [_resampled(sample, statistic, draws // 2, rng, *over).var() for over in ((True, False), (False, True))]
        if sum(parts):
            worth = 1 + sum(parts) ** 2 / (parts[0] ** 2 / (pools - 1) + parts[1] ** 2 / (tasks - 1))
    low, high = np.quantile(_resampled(sample, statistic, draws, rng, True, over_tasks), tails(worth))
    return Estimate(value, float(low), float(high), n)


def _resampled(
    sample: np.ndarray, statistic: Statistic, draws: int, rng: np.random.Generator, over_pools: bool, over_tasks: bool
) -> np.ndarray:
    """Return the statistic of resamples, float64 [draws], of a sample [P, S, T]."""
    pools, _, tasks = sample.shape
    values = []
    for chunk in np.array_split(np.arange(draws), -(-draws * sample.size // MAX_RESAMPLED_VALUES)):
        rows = rng.integers(pools, size=(len(chunk), pools)) if over_pools else np.arange(pools)[None]
        columns = rng.integers(tasks, size=(len(chunk), tasks)) if over_tasks else np.arange(tasks)[None]
        values.append(
            statistic(sample[rows[:, :, None, None], np.arange(sample.shape[1])[:, None], columns[:, None, None]])
        )
    return np.concatenate(values)


def tails(n: float) -> tuple[float, float]:
    """Return the two levels, between 0 and 1, whose quantiles of resamples are the ends of a 95% interval from n units.

    They are those of a normal interval, widened by the ratio of t to normal quantiles: the expanded percentile interval
    (Hesterberg 2015, "What Teachers Should Know About the Bootstrap", 4.3).
    """
    low = float(ndtr(math.sqrt(n / (n - 1)) * stdtrit(n - 1, 0.025)))
    return low, 1 - low


def probability_of_improvement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the probability that a run of the first does better than one of the second, averaged over tasks.

    Ties count one half. For every task it is the Mann-Whitney U over the number of pairs (Agarwal et al. 2021).

    Args:
        first: scores of the first, float64 [..., R, T]: runs, tasks.
        second: scores of the second on the same tasks, float64 [..., Q, T].

    Returns:
        Probabilities, float64 [...].
    """
    pairs = first[..., :, None, :] - second[..., None, :, :]
    return ((pairs > 0) + 0.5 * (pairs == 0)).mean((-3, -2, -1))


def performance_profile(scores: np.ndarray, levels: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the performance profile: the share of scores above each level (Dolan & Moré 2002; Agarwal et al. 2021).

    Args:
        scores: scores, float64 of any shape.
        levels: levels of score, float64 [L].

    Returns:
        Shares, float64 [L].
    """
    return (np.asarray(scores, float).ravel() > np.asarray(levels, float)[:, None]).mean(1)
