"""Thresholds, crossings and jumps: found where they were put, not where there are none, and as often as they say."""

import math

import numpy as np
import pytest
from scipy.special import expit

from incentivize.experiments.analysis.thresholds import crossing, jump_or_smooth, n_star_of_scores

SIZES = [1, 4, 16, 64, 256, 1024, 4096, 16384]


def scores(rng, at, steep=1.5, top=0.9, low=0.05, seeds=10, shift=0.3, noise=0.02):
    """Curves in log N whose middle differs from seed to seed."""
    middles = math.log(at) + shift * rng.normal(size=(seeds, 1))
    tops = top + 0.01 * rng.normal(size=seeds)
    found = low + (tops[:, None] - low) * expit(steep * (np.log(SIZES) - middles))
    return found + noise * rng.normal(size=found.shape), tops


@pytest.mark.parametrize("at", [8, 200, 3000])
def test_the_threshold_is_where_it_was_put(at):
    found = n_star_of_scores(SIZES, *scores(np.random.default_rng(0), at, low=0.0, seeds=200, noise=0.01))
    assert found.at == pytest.approx(at, rel=0.1)
    assert found.low < at < found.high
    assert found.n == 200


def test_half_is_half_of_every_episode_new_whatever_the_lowest_level():
    x = np.log(SIZES)
    curve = 0.3 + 0.5 * expit(2 * (x - math.log(300)))  # half of .8 where the share is .2
    found = n_star_of_scores(SIZES, np.tile(curve, (3, 1)), np.full(3, 0.8))
    assert found.at == pytest.approx(300 * math.exp(math.log(0.2 / 0.8) / 2), rel=0.02)


def test_a_threshold_that_is_not_there_is_not_identified():
    rng = np.random.default_rng(0)
    for at, why in ((0.02, "below the smallest"), (1e6, "beyond the largest")):
        found = n_star_of_scores(SIZES, *scores(rng, at))
        assert (found.at, found.low, found.high) == (None, -math.inf, math.inf)
        assert why in found.why
    flat = n_star_of_scores(SIZES, rng.normal(0, 0.01, (10, len(SIZES))), rng.normal(0, 0.01, 10))
    assert flat.at is None
    assert "no skill" in flat.why
    few = n_star_of_scores(SIZES, *scores(rng, 200, seeds=2))
    assert few.at is not None
    assert (few.low, few.high) == (-math.inf, math.inf)
    assert "fewer than 3" in few.why


@pytest.mark.parametrize("curve", [(0, 0, 0.5, 0.5, 0.5, 0.5), (0, 0.05, 0.55, 0.6, 0.6, 0.6)])
def test_where_pools_level_off_below_every_episode_new_no_curve_is_bent_to_fit(curve):
    found = n_star_of_scores(SIZES[:6], np.tile(curve, (3, 1)), np.full(3, 0.9))
    assert found.at is None
    assert "no logistic curve" in found.why


def test_an_end_that_resamples_do_not_find_is_open():
    rng = np.random.default_rng(2)
    found = n_star_of_scores(SIZES, *scores(rng, 12_000, shift=1.0, seeds=5))
    assert found.at is not None
    assert found.high == math.inf
    assert 0 < found.low < found.at


SEEDS = [3, pytest.param(5, marks=pytest.mark.slow), 10]  # 3 and 10, on either side, guard the one between them


@pytest.mark.parametrize("n", SEEDS)
def test_its_interval_covers_95_percent(n):
    rng = np.random.default_rng(3)
    found = [n_star_of_scores(SIZES, *scores(rng, 200, low=0.0, noise=0.01, seeds=n)) for _ in range(150)]
    curves, tops = scores(rng, 200, low=0.0, seeds=2000, noise=0.01)
    truth = n_star_of_scores(SIZES, curves.mean(0, keepdims=True), tops.mean(keepdims=True)).at  # without an interval
    assert 0.91 <= np.mean([one.low <= truth <= one.high for one in found]) <= 0.99


@pytest.mark.parametrize("n", SEEDS)
def test_the_interval_of_a_crossing_covers_95_percent(n):
    rng = np.random.default_rng(4)
    straight = 0.1 * (np.log(SIZES) - math.log(100))
    wide = (len(SIZES),)
    found = [
        crossing(SIZES, straight + 0.1 * rng.normal(size=(n, 1)) + 0.03 * rng.normal(size=(n, *wide)))
        for _ in range(400)
    ]
    found = [one for one in found if one.at is not None]
    assert len(found) > 300
    assert np.mean([one.low <= 100 <= one.high for one in found]) >= 0.91


def test_tasks_that_may_have_been_others_widen_the_interval_of_a_crossing():
    rng = np.random.default_rng(5)
    straight = 0.1 * (np.log(SIZES) - math.log(100))
    cube = straight + 0.02 * rng.normal(size=(10, 1, 1)) + 0.2 * rng.normal(size=(1, 20, 1)) + np.zeros((10, 20, 8))
    over_both, over_seeds = crossing(SIZES, cube), crossing(SIZES, cube.mean(1))
    assert over_both.at == pytest.approx(over_seeds.at)
    assert over_both.high / over_both.low > 2 * over_seeds.high / over_seeds.low


def test_a_crossing_is_where_it_was_put():
    rng = np.random.default_rng(0)
    straight = 0.1 * (np.log(SIZES) - math.log(100))
    found = crossing(SIZES, straight + 0.03 * rng.normal(size=(10, len(SIZES))))
    assert found.at == pytest.approx(100, rel=0.3)
    assert found.low < 100 < found.high
    assert crossing(SIZES, np.tile(straight, (3, 1))).at == pytest.approx(100)


@pytest.mark.parametrize(
    ("curve", "why"),
    [
        (lambda x: 0.1 + 0 * x, "nowhere surely below"),
        (lambda x: -0.1 + 0 * x, "nowhere surely above"),
        (lambda x: 0.3 * np.sign(4 - x), "falls instead of rising"),
        (lambda x: np.where((x > 3) & (x < 7), 0.3, -0.3), "it falls back"),
    ],
)
def test_curves_that_do_not_cross_are_not_identified(curve, why):
    noise = 0.02 * np.random.default_rng(0).normal(size=(5, len(SIZES)))
    found = crossing(SIZES, curve(np.log(SIZES)) + noise)
    assert found.at is None
    assert why in found.why


def test_noise_seldom_crosses():
    rng = np.random.default_rng(0)
    found = [crossing(SIZES, rng.normal(size=(5, len(SIZES)))).at is not None for _ in range(300)]
    assert np.mean(found) < 0.1


@pytest.mark.parametrize(
    ("curve", "best"),
    [
        (lambda x: 0.5 + 0 * x, "flat"),
        (lambda x: 0.1 * x, "line"),
        (lambda x: np.where(x > 5, 0.9, 0.1), "jump"),
        (lambda x: expit(1.0 * (x - 5)), "smooth"),
    ],
)
def test_shapes_are_told_apart(curve, best):
    rng = np.random.default_rng(0)
    found = [jump_or_smooth(SIZES, curve(np.log(SIZES)) + 0.03 * rng.normal(size=(5, len(SIZES)))) for _ in range(20)]
    assert np.mean([one.best == best for one in found]) >= 0.8
    if best in ("jump", "smooth"):
        assert all((one.jump_lead > 0) == (best == "jump") for one in found)


def test_too_little_is_refused():
    with pytest.raises(ValueError, match="at least 4 pools"):
        n_star_of_scores([1, 4, 16], np.zeros((3, 3)), np.ones(3))
    with pytest.raises(ValueError, match="at least 2 places"):
        crossing([1], np.zeros((3, 1)))
    with pytest.raises(ValueError, match="at least 5 places"):
        jump_or_smooth([1, 2, 3], np.zeros(3))
