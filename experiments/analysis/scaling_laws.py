"""Laws of scale: power laws and logistic curves, what they foretell, whose slope is steeper. NumPy and SciPy only."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

from incentivize.experiments.analysis.estimates import Estimate, jackknife, t_interval, welch_interval


class Law(NamedTuple):
    """A curve that was fitted.

    Attributes:
        name: "power" or "logistic".
        values: its parameters by name, each with the interval over seeds (`statistics.jackknife`).
        missed: root mean square, in the logarithm of the error, by which it misses what it was not fitted to.
    """

    name: str
    values: dict[str, Estimate]
    extrapolation_error: float


def power(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The power law y = scale * x**exponent, by least squares in logarithms: (log scale, exponent)."""
    return np.polynomial.polynomial.polyfit(np.log(x), np.log(y), 1)


def logistic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The error y = 1 - top * expit(steep * (log x - middle)), which falls to 1 - top: (top, steep, middle)."""
    logs = np.log(x)
    wide = max(np.ptp(logs), 1e-9)
    bounds = ([0.0, 0.01 / wide, logs[0] - 3 * wide], [1.0, 100 / wide, logs[-1] + 3 * wide])
    fits = [
        least_squares(lambda p: 1 - p[0] * expit(p[1] * (logs - p[2])) - y, (0.9, 5 / wide, middle), bounds=bounds)
        for middle in (logs[0], float(logs.mean()), logs[-1])
    ]
    return min(fits, key=lambda fit: fit.cost).x


def _power_at(law: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.exp(law[0]) * x ** law[1]


def _logistic_at(law: np.ndarray, x: np.ndarray) -> np.ndarray:
    return 1 - law[0] * expit(law[1] * (np.log(x) - law[2]))


Fit = Callable[[np.ndarray, np.ndarray], np.ndarray]
LAWS: dict[str, tuple[Fit, Fit, tuple[str, ...]]] = {
    "power": (power, _power_at, ("log scale", "exponent")),
    "logistic": (logistic, _logistic_at, ("top", "steepness", "middle")),
}
MIN_POINTS = 1e-3  # an error below is not told from none: half a failure in 500 episodes


def fit_laws(x: Sequence[float], errors: np.ndarray, held: int = 2) -> list[Law]:
    """A power law and a logistic curve through errors that fall with scale, and how well each foretells the rest.

    Their parameters are of all places. Fitted again to all but the largest, they are held against those: a power law
    that is none shows there.

    Args:
        x: scale, rising, above 0 [X].
        errors: 1 - score [seeds, X]; cut to LEAST from below.
        held: how many of the largest places are held out.

    Returns:
        Both, that which foretells better first.
    """
    places, errors = np.asarray(x, float), np.maximum(np.asarray(errors, float), MIN_POINTS)
    n = len(errors)
    if errors.shape != (n, len(places)) or len(places) - held < 3:
        raise ValueError(
            f"want errors [seeds, places], 3 places at least beside the {held} held out, not {errors.shape}"
        )
    found = []
    for name, (fit, at, names) in LAWS.items():
        fitted = lru_cache(lambda kept, fit=fit: fit(places, errors[list(kept)].mean(0)).tolist())
        values = {
            known: jackknife(lambda kept, place=place, fitted=fitted: fitted(tuple(kept))[place], (n,))
            for place, known in enumerate(names)
        }
        early = fit(places[:-held], errors[:, :-held].mean(0))
        foretold = np.maximum(at(early, places[-held:]), MIN_POINTS)
        missed = np.sqrt(np.mean((np.log(foretold) - np.log(errors[:, -held:].mean(0))) ** 2))
        found.append(Law(name, values, float(missed)))
    return sorted(found, key=lambda law: law.extrapolation_error)


def slopes(x: Sequence[float], y: np.ndarray) -> np.ndarray:
    """Of log y against log x, seed by seed.

    Args:
        x: above 0 [X].
        y: above 0 [seeds, X].

    Returns:
        [seeds].
    """
    return np.array([power(np.asarray(x, float), np.asarray(row, float))[1] for row in y])


def slope_difference(first: np.ndarray, second: np.ndarray, paired: bool) -> Estimate:
    """By how much the slopes of one arm exceed another's, over seeds; Student's t within seeds, or else Welch's."""
    return t_interval(np.asarray(first) - np.asarray(second)) if paired else welch_interval(first, second)
