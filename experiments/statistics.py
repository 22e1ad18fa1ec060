"""Intervals. NumPy and SciPy only."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit  # not scipy.stats, which takes long to import


class Estimate(NamedTuple):
    """A mean with its 95% interval; the interval is infinite where n < 3, so that it decides nothing."""

    mean: float
    low: float
    high: float
    n: int


def student(values: Sequence[float] | np.ndarray) -> Estimate:
    """The mean of independent values with Student's t interval, which keeps its coverage at few seeds.

    With no spread at all (every value the same), the interval is the mean itself.
    """
    sample = np.asarray(values, float)
    if sample.ndim != 1 or not len(sample):
        raise ValueError(f"want a vector of at least one value, not shape {sample.shape}")
    mean, n = float(sample.mean()), len(sample)
    if n < 3:
        return Estimate(mean, -np.inf, np.inf, n)
    half = float(stdtrit(n - 1, 0.975) * sample.std(ddof=1) / np.sqrt(n))
    return Estimate(mean, mean - half, mean + half, n)
