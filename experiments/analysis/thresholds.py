"""Thresholds, crossings and jumps of curves. NumPy and SciPy only."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression, least_squares
from scipy.special import expit

from incentivize.experiments.analysis.estimates import MIN_SEEDS, jackknife

MIN_TOP_SCORE = 0.1  # of every-episode-new: half of less is not told from noise


class Location(NamedTuple):
    """Location on an axis, with its 95% interval.

    Attributes:
        at: the place on the axis; None where it is not identified.
        low: the interval's lower end; -inf where it is open.
        high: the interval's upper end; inf where it is open.
        n: seeds.
        why: why the place is not identified, or has no interval; empty where it has one.
    """

    at: float | None
    low: float
    high: float
    n: int
    why: str = ""


def _unidentified(n: int, why: str) -> Location:
    return Location(None, -np.inf, np.inf, n, why)


def describe(place: Location | None) -> str:
    """Write a location for a table, or why it is not identified; a dash where there is none."""
    if place is None:
        return "-"
    if place.at is None:
        return f"not identified: {place.why}"
    ends = [f"{end:,.0f}" if 0 < end < math.inf else "open" for end in (place.low, place.high)]
    return f"{place.at:,.0f} ({ends[0]} to {ends[1]}, n = {place.n})"


def n_star_of_scores(sizes: Sequence[float], scores: np.ndarray, top: np.ndarray) -> Location:
    """Find N*: the pool at which the score on unseen tasks is half of what every-episode-new reaches.

    A logistic curve in log N, from a level of its own to that of every-episode-new, is fitted to the mean over seeds.
    The interval is of log N*, by leaving out every seed once (`estimates.jackknife`).

    Args:
        sizes: the pools' numbers of tasks, rising, float64 [N], N >= 4.
        scores: scores on unseen tasks, float64 [seeds, N].
        top: scores on unseen tasks at every-episode-new, float64 [seeds].

    Raises:
        ValueError: where shapes differ, or pools are fewer than 4.
    """
    x, scores, top = np.log(np.asarray(sizes, float)), np.asarray(scores, float), np.asarray(top, float)
    n = len(scores)
    if scores.shape != (n, len(x)) or top.shape != (n,) or len(x) < 4:
        raise ValueError(
            f"scores.shape = {scores.shape}, top.shape = {top.shape}: expected [seeds, pools] with at least 4 pools, "
            "and [seeds]."
        )
    if top.mean() < MIN_TOP_SCORE:
        return _unidentified(n, f"every episode new scores {top.mean():.2f}: there is no skill to find")
    at, start = _half(x, scores.mean(0), float(top.mean()), None)
    if math.isinf(at):
        return _unidentified(n, f"it lies {'below the smallest' if at < 0 else 'beyond the largest'} pool")
    rising = isotonic_regression(scores.mean(0)).x
    low, high = x[rising < top.mean() / 2][-1], x[rising >= top.mean() / 2][0]
    slack = np.diff(x).max() / 4  # of the distance of two pools: what is measured at either may be off a little
    if not low - slack <= at <= high + slack:
        return _unidentified(n, "no logistic curve up to every episode new fits the pools")

    def log_place(kept: np.ndarray) -> float:
        level = float(top[kept].mean())
        return _half(x, scores[kept].mean(0), level, start)[0] if level >= MIN_TOP_SCORE else np.inf

    return _locate(log_place, (n,), x)


def _half(x: np.ndarray, y: np.ndarray, top: float, start: np.ndarray | None) -> tuple[float, np.ndarray | None]:
    """Find where a curve has half of `top`, by a logistic fit.

    Args:
        x: places, rising, float64 [X].
        y: the curve, float64 [X].
        top: the level that the logistic curve rises to.
        start: parameters to begin the fit with, float64 [3]; None for several beginnings.

    Returns:
        The place, infinite where it is beyond an end of `x`, and the parameters of the fit, float64 [3].
    """
    if y[0] >= top / 2:
        return -np.inf, None
    if y[-1] < top / 2:
        return np.inf, None
    curve = _fit(x, y, top, start)
    level, steep, middle = curve.tolist()
    share = (top / 2 - level) / (top - level)
    return float(np.clip(middle + math.log(share / (1 - share)) / steep, x[0], x[-1])), curve


def _fit(x: np.ndarray, y: np.ndarray, top: float, start: np.ndarray | None) -> np.ndarray:
    """Fit a logistic curve up to `top`; arguments are those of `_half`.

    Returns:
        Its lowest level, which is less than half of `top`, its steepness and its middle, float64 [3].
    """
    wide, most = x[-1] - x[0], 0.499 * top
    low, high = np.array([-1.0, 0.5 / wide, x[0] - wide]), np.array([most, 100.0 / wide, x[-1] + wide])
    middle = float(x[np.argmin(np.abs(y - top / 2))])
    starts = [(y[0], steep / wide, middle) for steep in (5.0, 20.0)] if start is None else [start]
    inside = 1e-6 * (high - low)
    fits = [
        least_squares(
            lambda p: p[0] + (top - p[0]) * expit(p[1] * (x - p[2])) - y,
            np.clip(begin, low + inside, high - inside),
            bounds=(low, high),
        )
        for begin in starts
    ]
    return min(fits, key=lambda fit: fit.cost).x


def _locate(log_place: Callable[..., float], sizes: Sequence[int], x: np.ndarray) -> Location:
    """Return a place with its jackknife interval, open where an end lies beyond the axis: nothing was measured there.

    Args:
        log_place: the logarithm of the place, by the indices of the units that are kept, int64 [kept] of each kind.
        sizes: the number of units of each kind.
        x: logarithms of the axis' places, rising, float64 [X].
    """
    estimate = jackknife(log_place, sizes)
    if estimate.n < MIN_SEEDS:
        why = f"n = {estimate.n}: no interval from fewer than {MIN_SEEDS}"
        return Location(math.exp(estimate.mean), -np.inf, np.inf, estimate.n, why)
    low = math.exp(estimate.low) if estimate.low >= x[0] else -math.inf
    high = math.exp(estimate.high) if estimate.high <= x[-1] else math.inf
    return Location(math.exp(estimate.mean), low, high, estimate.n)


def crossing(x: Sequence[float], differences: np.ndarray) -> Location:
    """Find where paired differences go from below 0 to above it for good, along a logarithmic axis.

    The mean differences are replaced by the nearest rising sequence (isotonic regression). The place is where a
    straight line between its last value below 0 and its first above crosses 0. It counts as identified where the 95%
    interval over seeds has the difference below 0 at some place, and above 0 at some place beyond.

    Args:
        x: places, rising, above 0, float64 [X], X >= 2.
        differences: second curve minus first, within seeds, float64 [seeds, X]; or within seeds and tasks, float64
            [seeds, tasks, X], if the tasks are a sample of more.

    Raises:
        ValueError: where shapes differ, or there are fewer than 2 places.
    """
    places, differences = np.log(np.asarray(x, float)), np.asarray(differences, float)
    *sizes, last = differences.shape
    if last != len(places) or len(places) < 2 or len(sizes) not in (1, 2):
        raise ValueError(
            f"differences.shape = {differences.shape}: expected [seeds, places] or [seeds, tasks, places] with "
            "at least 2 places."
        )
    n = min(sizes)

    def mean(*kept: np.ndarray) -> np.ndarray:
        return differences[np.ix_(*kept)].reshape(-1, last).mean(0)

    estimates = [jackknife(lambda *kept, place=place: float(mean(*kept)[place]), sizes) for place in range(last)]
    below = [place for place, estimate in zip(places, estimates, strict=True) if estimate.high < 0]
    above = [place for place, estimate in zip(places, estimates, strict=True) if estimate.low > 0]
    if not below:
        return _unidentified(n, "nowhere surely below 0")
    if not above:
        return _unidentified(n, "nowhere surely above 0")
    if max(below) > max(above) > min(below):
        return _unidentified(n, "it falls back")
    if min(below) > max(above):
        return _unidentified(n, "it falls instead of rising")
    if math.isinf(_zero(places, mean(*map(np.arange, sizes)))):
        return _unidentified(n, "no place of change fits")
    return _locate(lambda *kept: _zero(places, mean(*kept)), sizes, places)


def _zero(x: np.ndarray, y: np.ndarray) -> float:
    """Return where the rising sequence nearest to y, float64 [X], crosses 0; infinite where it does not."""
    rising = isotonic_regression(y).x
    if rising[0] >= 0:
        return -np.inf
    if rising[-1] <= 0:
        return np.inf
    last, first = np.flatnonzero(rising < 0)[-1], np.flatnonzero(rising > 0)[0]
    share = -rising[last] / (rising[first] - rising[last])
    return float(x[last] + share * (x[first] - x[last]))


class Shape(NamedTuple):
    """Goodness of fit of the curves, by the Bayesian information criterion (Schwarz 1978; less is better).

    Attributes:
        bic: the criterion by the curve's name: "flat", "line", "jump" and "smooth".
        best: the name of the curve with the least criterion.
        jump_lead: by how much "jump" is better than the better of "smooth" and "line", or worse where below 0: 2 is
            hardly worth a mention, 10 very strong (Kass & Raftery 1995).
    """

    bic: dict[str, float]
    best: str
    jump_lead: float


def jump_or_smooth(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> Shape:
    """Compare a jump, one level up to some place and another beyond, with smooth curves and with none.

    Args:
        x: places above 0, taken on a logarithmic axis, float64 [X], X >= 5.
        y: values, float64 [X], or [seeds, X]: then every seed's value is a point.

    Raises:
        ValueError: where shapes differ, or there are fewer than 5 places.
    """
    places, y = np.log(np.asarray(x, float)), np.atleast_2d(np.asarray(y, float))
    if len(places) < 5 or y.shape[1] != len(places):
        raise ValueError(f"y.shape = {y.shape}: expected a value for each of at least 5 places.")
    at, values = np.tile(places, len(y)), y.ravel()
    jumps = [_squares_of_levels(at > place, values) for place in places[:-1]]
    line = np.polynomial.polynomial.polyfit(at, values, 1)
    left = {  # sum of squares that a curve leaves, and its number of parameters
        "flat": (np.sum((values - values.mean()) ** 2), 1),
        "line": (np.sum((values - np.polynomial.polynomial.polyval(at, line)) ** 2), 2),
        "jump": (min(jumps), 3),
        "smooth": (_squares_of_logistic(at, values), 4),
    }
    n, noise = len(values), 1e-6 * len(values)  # what no measurement is finer than
    bic = {name: float(n * math.log((squares + noise) / n) + p * math.log(n)) for name, (squares, p) in left.items()}
    smooth = min(bic["smooth"], bic["line"])
    return Shape(bic, min(bic, key=lambda name: bic[name]), smooth - bic["jump"])


def _squares_of_levels(beyond: np.ndarray, values: np.ndarray) -> float:
    """Return the sum of squares that two levels leave of values, float64 [n]; `beyond`, bool [n], are on the second."""
    return float(sum(np.sum((side - side.mean()) ** 2) for side in (values[beyond], values[~beyond])))


def _squares_of_logistic(x: np.ndarray, y: np.ndarray) -> float:
    """Return the sum of squares that the best logistic curve leaves of y at x, both float64 [n].

    From a tenth of its height to nine tenths it takes two of the axis' places at least; steeper ones are jumps.
    """
    places = np.unique(x)
    wide, steepest = places[-1] - places[0], 2 * math.log(9) / (2 * np.diff(places).max())
    bounds = ([-np.inf, -np.inf, 0.1 / wide, places[0] - wide], [np.inf, np.inf, steepest, places[-1] + wide])
    starts = [(y.min(), np.ptp(y), steepest / 2, middle) for middle in np.quantile(places, (0.25, 0.5, 0.75))]
    starts += [(y.max(), -np.ptp(y), steepest / 2, float(np.median(places)))]
    fits = [
        least_squares(lambda p: p[0] + p[1] * expit(p[2] * (x - p[3])) - y, start, bounds=bounds) for start in starts
    ]
    return float(min(2 * fit.cost for fit in fits))
