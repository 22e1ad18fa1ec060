"""Laws are found where they hold, and what is none foretells badly."""

import math

import numpy as np
import pytest
from scipy.special import expit

from incentivize.experiments.analysis.scaling_laws import fit_laws, slope_difference, slopes

STEPS = 2.0 ** np.arange(10, 18)


def test_a_power_law_is_found_and_foretells_better():
    rng = np.random.default_rng(0)
    errors = 20 * STEPS**-0.4 * np.exp(0.05 * rng.normal(size=(8, len(STEPS))))
    best, other = fit_laws(STEPS, errors)
    assert best.name == "power"
    assert best.extrapolation_error < 0.1 < other.extrapolation_error
    exponent = best.values["exponent"]
    assert exponent.low < -0.4 < exponent.high
    assert exponent.mean == pytest.approx(-0.4, abs=0.03)
    assert exponent.n == 8


def test_a_logistic_curve_is_found_and_foretells_better():
    rng = np.random.default_rng(0)
    errors = 1 - 0.9 * expit(1.5 * (np.log(STEPS) - math.log(2**12.5))) + 0.005 * rng.normal(size=(8, len(STEPS)))
    best, other = fit_laws(STEPS, errors)
    assert best.name == "logistic"
    assert best.extrapolation_error < other.extrapolation_error
    assert best.values["top"].mean == pytest.approx(0.9, abs=0.02)
    assert best.values["top"].low < 0.9 < best.values["top"].high


def test_two_seeds_have_no_interval_and_too_few_places_are_refused():
    power = fit_laws(STEPS, np.tile(20 * STEPS**-0.4, (2, 1)))[0]
    assert power.values["exponent"].high == math.inf
    with pytest.raises(ValueError, match="at least 5 places, 2 of them held out"):
        fit_laws(STEPS[:4], np.ones((3, 4)))


def test_slopes_by_hand_and_their_difference():
    curves = np.stack([STEPS**-0.5, 3 * STEPS**-0.25])
    assert slopes(STEPS, curves) == pytest.approx([-0.5, -0.25])
    first, second = np.array([-0.5, -0.6, -0.4]), np.array([-0.2, -0.3, -0.1])
    for paired in (True, False):
        found = slope_difference(first, second, paired)
        assert found.mean == pytest.approx(-0.3)
    assert slope_difference(first, second, paired=True).high < slope_difference(first, second, paired=False).high < 0
