"""Laws of scale: power laws and logistic curves, how they extrapolate, slopes. NumPy and SciPy only."""

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
        values: parameters by name, each with its interval over seeds (`estimates.jackknife`).
        extrapolation_error: root mean square, in the logarithm of the error, by which the curve misses the places that
            it was not fitted to.
    """

    name: str
    values: dict[str, Estimate]
    extrapolation_error: float


def power(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fit the power law y = scale * x**exponent by least squares in logarithms.

    Args:
        x: places above 0, float64 [X].
        y: values above 0, float64 [X].

    Returns:
        The logarithm of the scale, and the exponent, float64 [2].
    """
    return np.polynomial.polynomial.polyfit(np.log(x), np.log(y), 1)


def logistic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fit the error y = 1 - top * expit(steep * (log x - middle)), which falls to 1 - top, by least squares.

    Args:
        x: places above 0, rising, float64 [X].
        y: errors, float64 [X].

    Returns:
        The highest score, the steepness per log x and the logarithm of the middle place, float64 [3].
    """
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
"""By name: the fit, the curve's values at given places, and the names of the parameters."""
MIN_ERROR = 1e-3  # half a failure in 500 episodes: an error below is not told from none


def fit_laws(x: Sequence[float], errors: np.ndarray, held: int = 2) -> list[Law]:
    """Fit a power law and a logistic curve to errors that fall with scale, and measure how well each extrapolates.

    The parameters are of all places. For the extrapolation error the curve is fitted again to all but the largest
    places, and compared with the errors there: a relation that is no power law shows itself so.

    Args:
        x: scale, rising, above 0, float64 [X].
        errors: 1 - score, float64 [seeds, X]; values below MIN_ERROR count as MIN_ERROR.
        held: the number of largest places to hold out.

    Returns:
        Both laws, that with the smaller extrapolation error first.

    Raises:
        ValueError: where shapes differ, or fewer than 3 places are left to fit to.
    """
    places, errors = np.asarray(x, float), np.maximum(np.asarray(errors, float), MIN_ERROR)
    n = len(errors)
    if errors.shape != (n, len(places)) or len(places) - held < 3:
        raise ValueError(
            f"errors.shape = {errors.shape}: expected [seeds, places] with at least {held + 3} places, {held} of them "
            "held out."
        )
    laws = []
    for name, (fit, at, parameters) in LAWS.items():
        fitted = lru_cache(lambda kept, fit=fit: fit(places, errors[list(kept)].mean(0)).tolist())
        values = {
            parameter: jackknife(lambda kept, index=index, fitted=fitted: fitted(tuple(kept))[index], (n,))
            for index, parameter in enumerate(parameters)
        }
        early = fit(places[:-held], errors[:, :-held].mean(0))
        extrapolated = np.maximum(at(early, places[-held:]), MIN_ERROR)
        misses = np.log(extrapolated) - np.log(errors[:, -held:].mean(0))
        laws.append(Law(name, values, float(np.sqrt(np.mean(misses**2)))))
    return sorted(laws, key=lambda law: law.extrapolation_error)


def slopes(x: Sequence[float], y: np.ndarray) -> np.ndarray:
    """Return the slopes of log y against log x, seed by seed.

    Args:
        x: places above 0, float64 [X].
        y: values above 0, float64 [seeds, X].

    Returns:
        Slopes, float64 [seeds].
    """
    return np.array([power(np.asarray(x, float), np.asarray(row, float))[1] for row in y])


def slope_difference(first: np.ndarray, second: np.ndarray, paired: bool) -> Estimate:
    """Estimate the mean slope of one arm minus that of another, over seeds.

    Args:
        first: slopes of the first arm, float64 [seeds].
        second: slopes of the second arm, float64 [seeds]; the number of seeds may differ unless `paired`.
        paired: whether to subtract within seeds (Student's t interval) or not (Welch's).
    """
    return t_interval(np.asarray(first) - np.asarray(second)) if paired else welch_interval(first, second)
