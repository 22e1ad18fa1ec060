"""Where curves turn: the threshold N*, crossings, and whether there is a jump. NumPy and SciPy only."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression, least_squares
from scipy.special import expit

from incentivize.experiments.analysis.estimates import MIN_SEEDS, jackknife

MIN_TOP_SCORE = 0.1  # of score that every-episode-new has to reach, or else there is nothing to have half of


class Location(NamedTuple):
    """Where on an axis something happens, with its 95% interval.

    Attributes:
        at: the place; None where it is not identified.
        low: infinite where the interval has no end there.
        high: likewise.
        n: seeds.
        why: it is not identified, or has no interval.
    """

    at: float | None
    low: float
    high: float
    n: int
    why: str = ""


def describe(place: Location | None) -> str:
    """A place for a table, or why there is none; a dash where it could not be asked for."""
    if place is None:
        return "-"
    if place.at is None:
        return f"not identified: {place.why}"
    ends = [f"{end:,.0f}" if 0 < end < math.inf else "open" for end in (place.low, place.high)]
    return f"{place.at:,.0f} ({ends[0]} to {ends[1]}, n = {place.n})"


def n_star_of_scores(sizes: Sequence[float], scores: np.ndarray, top: np.ndarray) -> Location:
    """N*: the pool at which the score on unseen tasks is half of what every-episode-new reaches.

    A logistic curve in log N, from a level of its own to that of every-episode-new, is fitted to the mean over seeds;
    the interval is of log N*, by leaving out every seed once (`statistics.jackknife`).

    Args:
        sizes: of the pools, rising [N].
        scores: on unseen tasks [seeds, N].
        top: likewise at every-episode-new [seeds].
    """
    x, scores, top = np.log(np.asarray(sizes, float)), np.asarray(scores, float), np.asarray(top, float)
    n = len(scores)
    if scores.shape != (n, len(x)) or top.shape != (n,) or len(x) < 4:
        raise ValueError(f"want scores [seeds, pools] of 4 pools at least and one top a seed, not {scores.shape}")
    if top.mean() < MIN_TOP_SCORE:
        return Location(
            None, -np.inf, np.inf, n, f"every episode new scores {top.mean():.2f}: there is no skill to find"
        )
    at, start = _half(x, scores.mean(0), float(top.mean()), None)
    if math.isinf(at):
        side = "below the smallest" if at < 0 else "beyond the largest"
        return Location(None, -np.inf, np.inf, n, f"it lies {side} pool")
    rising = isotonic_regression(scores.mean(0)).x
    low, high = x[rising < top.mean() / 2][-1], x[rising >= top.mean() / 2][0]
    slack = np.diff(x).max() / 4  # of the distance of two pools: what is measured at either may be off a little
    if not low - slack <= at <= high + slack:
        return Location(None, -np.inf, np.inf, n, "no logistic curve up to every episode new fits the pools")

    def one(mine: np.ndarray) -> float:
        level = float(top[mine].mean())
        return _half(x, scores[mine].mean(0), level, start)[0] if level >= MIN_TOP_SCORE else np.inf

    return _place(one, (n,), x)


def _half(x: np.ndarray, y: np.ndarray, top: float, start: np.ndarray | None) -> tuple[float, np.ndarray | None]:
    """Where a curve has half of `top`, infinite where that is not within its ends; and the curve that was fitted."""
    if y[0] >= top / 2:
        return -np.inf, None
    if y[-1] < top / 2:
        return np.inf, None
    curve = _fit(x, y, top, start)
    level, steep, middle = curve.tolist()
    share = (top / 2 - level) / (top - level)
    return float(np.clip(middle + math.log(share / (1 - share)) / steep, x[0], x[-1])), curve


def _fit(x: np.ndarray, y: np.ndarray, top: float, start: np.ndarray | None) -> np.ndarray:
    """A logistic curve up to `top`: its lowest level, which is less than half of that, its steepness, its middle."""
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


def _place(one: Callable[..., float], sizes: Sequence[int], x: np.ndarray) -> Location:
    """A place, of which `one` gives the logarithm by the units that are kept, with the interval that these leave.

    Beyond the axis `x` an end of it is open: nothing was measured there.
    """
    found = jackknife(one, sizes)
    if found.n < MIN_SEEDS:
        why = f"n = {found.n}: no interval from fewer than {MIN_SEEDS}"
        return Location(math.exp(found.mean), -np.inf, np.inf, found.n, why)
    low = math.exp(found.low) if found.low >= x[0] else -math.inf
    high = math.exp(found.high) if found.high <= x[-1] else math.inf
    return Location(math.exp(found.mean), low, high, found.n)


def crossing(x: Sequence[float], differences: np.ndarray) -> Location:
    """Where paired differences go from below 0 to above it for good, along a logarithmic axis.

    Of the mean differences the nearest rising sequence is taken (isotonic regression), and between its last place below
    0 and its first above, where a straight line crosses. It counts as identified where the 95% interval over seeds has
    the difference below 0 somewhere, and above 0 somewhere beyond.

    Args:
        x: places, rising, above 0 [X].
        differences: second curve minus first, within seeds [seeds, X]; or within seeds and tasks [seeds, tasks, X], if
            tasks may have been others too.
    """
    places, differences = np.log(np.asarray(x, float)), np.asarray(differences, float)
    *sizes, last = differences.shape
    if last != len(places) or len(places) < 2 or len(sizes) not in (1, 2):
        raise ValueError(f"want differences [seeds, places] of 2 places at least, not {differences.shape}")
    n = min(sizes)

    def mean(*kept: np.ndarray) -> np.ndarray:
        return differences[np.ix_(*kept)].reshape(-1, last).mean(0)

    each = [jackknife(lambda *kept, place=place: float(mean(*kept)[place]), sizes) for place in range(last)]
    below = [place for place, found in zip(places, each, strict=True) if found.high < 0]
    above = [place for place, found in zip(places, each, strict=True) if found.low > 0]
    if below and above and max(below) > max(above) > min(below):
        return Location(None, -np.inf, np.inf, n, "it falls back")
    if not below or not above or min(below) > max(above):
        missing = "nowhere surely below 0" if not below else "nowhere surely above 0"
        return Location(None, -np.inf, np.inf, n, missing if not (below and above) else "it falls instead of rising")
    if math.isinf(_zero(places, mean(*map(np.arange, sizes)))):
        return Location(None, -np.inf, np.inf, n, "no place of change fits")
    return _place(lambda *kept: _zero(places, mean(*kept)), sizes, places)


def _zero(x: np.ndarray, y: np.ndarray) -> float:
    """Where the nearest rising sequence crosses 0; infinite where it does not."""
    rising = isotonic_regression(y).x
    if rising[0] >= 0:
        return -np.inf
    if rising[-1] <= 0:
        return np.inf
    last, first = np.flatnonzero(rising < 0)[-1], np.flatnonzero(rising > 0)[0]
    share = -rising[last] / (rising[first] - rising[last])
    return float(x[last] + share * (x[first] - x[last]))


class Shape(NamedTuple):
    """How well curves fit, by the Bayesian information criterion (Schwarz 1978; less is better).

    Attributes:
        bic: of every curve, by name.
        best: the name of the best.
        ahead: by how much "jump" is ahead of "smooth" and "line", or behind where below 0: 2 is hardly worth a mention,
            10 very strong (Kass & Raftery 1995).
    """

    bic: dict[str, float]
    best: str
    ahead: float


def jump_or_smooth(x: Sequence[float], y: Sequence[float] | np.ndarray) -> Shape:
    """Whether a curve jumps: one level up to some place and another beyond, against smooth curves and none.

    Args:
        x: above 0, taken on a logarithmic axis [X].
        y: [X], or [seeds, X]: then every seed's value is a point.
    """
    places, y = np.log(np.asarray(x, float)), np.atleast_2d(np.asarray(y, float))
    if len(places) < 5 or y.shape[1] != len(places):
        raise ValueError(f"want 5 places at least and a value for each, not {y.shape}")
    at, values = np.tile(places, len(y)), y.ravel()
    steps = [_levels(at > place, values) for place in places[:-1]]
    line = np.polynomial.polynomial.polyfit(at, values, 1)
    left = {
        "flat": (np.sum((values - values.mean()) ** 2), 1),
        "line": (np.sum((values - np.polynomial.polynomial.polyval(at, line)) ** 2), 2),
        "jump": (min(steps), 3),
        "smooth": (_logistic(at, values), 4),
    }
    n, noise = len(values), 1e-6 * len(values)  # what no measurement is finer than
    bic = {name: float(n * math.log((squares + noise) / n) + p * math.log(n)) for name, (squares, p) in left.items()}
    smooth = min(bic["smooth"], bic["line"])
    return Shape(bic, min(bic, key=lambda name: bic[name]), smooth - bic["jump"])


def _levels(beyond: np.ndarray, values: np.ndarray) -> float:
    return float(sum(np.sum((side - side.mean()) ** 2) for side in (values[beyond], values[~beyond])))


def _logistic(x: np.ndarray, y: np.ndarray) -> float:
    """What the best logistic curve, that is no jump, leaves of the sum of squares.

    From a tenth of its height to nine tenths it takes two of the axis' places at least; steeper ones are jumps.
    """
    known = np.unique(x)
    wide, steepest = known[-1] - known[0], 2 * math.log(9) / (2 * np.diff(known).max())
    bounds = ([-np.inf, -np.inf, 0.1 / wide, known[0] - wide], [np.inf, np.inf, steepest, known[-1] + wide])
    starts = [(y.min(), np.ptp(y), steepest / 2, middle) for middle in np.quantile(known, (0.25, 0.5, 0.75))]
    starts += [(y.max(), -np.ptp(y), steepest / 2, float(np.median(known)))]
    fits = [
        least_squares(lambda p: p[0] + p[1] * expit(p[2] * (x - p[3])) - y, start, bounds=bounds) for start in starts
    ]
    return float(min(2 * fit.cost for fit in fits))
