"""Estimates by hand, and intervals that hold what they are for."""

import math

import numpy as np
import pytest

from incentivize.experiments.analysis.estimates import (
    bootstrap,
    iqm,
    jackknife,
    mean,
    normalised_score,
    performance_profile,
    probability_of_improvement,
    t_interval,
    welch_interval,
)


def test_student_by_hand():
    found = t_interval([1.0, 2.0, 3.0])
    assert found.mean == 2
    assert found.high - 2 == pytest.approx(4.302653 / math.sqrt(3))  # t(0.975, 2) times s / sqrt(n)
    assert 2 - found.low == pytest.approx(found.high - 2)
    assert found.n == 3


def test_welch_by_hand():
    found = welch_interval([1.0, 2.0, 3.0], [1.0, 1.0, 1.0])
    assert found == pytest.approx(
        (1, 1 - 4.302653 / math.sqrt(3), 1 + 4.302653 / math.sqrt(3), 3)
    )  # 2 degrees of freedom
    assert welch_interval([1.0] * 3, [0.5] * 4) == (0.5, 0.5, 0.5, 3)


def test_two_values_decide_nothing():
    assert t_interval([0.1, 0.1]) == (0.1, -math.inf, math.inf, 2)
    assert welch_interval([0.3, 0.3], [0.1] * 5)[1:] == (-math.inf, math.inf, 2)
    assert bootstrap(np.full((2, 5, 9), 0.5)) == (0.5, -math.inf, math.inf, 2)
    assert bootstrap(np.full((9, 5, 2), 0.5)).n == 2
    assert bootstrap(np.full((9, 5, 2), 0.5), over_tasks=False).n == 9


def test_nothing_is_refused():
    with pytest.raises(ValueError, match=r"values.shape = \(0,\): expected \[n\] with n >= 1"):
        t_interval([])
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap(np.zeros((3, 0, 4)))
    with pytest.raises(ValueError, match="not imputed"):
        bootstrap(np.full((3, 1, 4), np.nan))


def test_scores_by_hand():
    assert normalised_score(0.75, 0.5) == 0.5
    assert normalised_score(0.25, 0.5) == -0.5
    assert normalised_score(1.0, 1.0) is None


def test_aggregates_by_hand():
    sample = np.arange(8.0).reshape(2, 1, 4)
    assert mean(sample) == 3.5
    assert iqm(sample) == 3.5  # of 2 3 4 5
    assert iqm(np.where(sample == 7, 100, sample)) == 3.5
    assert iqm(np.stack([sample, sample + 1])).tolist() == [3.5, 4.5]
    assert probability_of_improvement(np.array([[1.0], [2.0]]), np.array([[1.0], [0.0]])) == pytest.approx(
        (0.5 + 1 + 1 + 1) / 4
    )
    assert probability_of_improvement(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])) == 0.5
    assert performance_profile(np.array([[0.0, 0.5], [0.5, 1.0]]), [-1, 0, 0.5, 1]).tolist() == [1, 0.75, 0.25, 0]


@pytest.mark.parametrize("n", [3, 5, 10])
def test_student_covers_95_percent(n):
    samples = np.random.default_rng(0).normal(1, 2, (4000, n))
    covered = np.mean([found.low <= 1 <= found.high for found in map(t_interval, samples)])
    assert 0.94 < covered < 0.96


def covered(sample_of, statistic=mean, true=0.0, times=600, **how):
    """How often an interval has the true value."""
    rng = np.random.default_rng(1)
    found = [bootstrap(sample_of(rng), statistic, draws=500, seed=i, **how) for i in range(times)]
    return np.mean([one.low <= true <= one.high for one in found])


@pytest.mark.parametrize(
    "spread",
    [
        {"pools": 1.0, "tasks": 0.0, "noise": 0.0},
        pytest.param({"pools": 1.0, "tasks": 1.0, "noise": 0.5}, marks=pytest.mark.slow),  # between its neighbours
        {"pools": 0.3, "tasks": 1.0, "noise": 1.0},
        pytest.param(  # test_seeds_of_a_pool_are_not_drawn_anew is the quicker one
            {"pools": 1.0, "seeds": 1.0, "tasks": 0.5, "noise": 0.5}, marks=pytest.mark.slow
        ),
    ],
    ids=str,
)
def test_the_bootstrap_covers_95_percent_at_ten_pools(spread):
    seeds, tasks = (2 if "seeds" in spread else 1), 32

    def sample(rng):
        parts = [(10, 1, 1), (10, seeds, 1), (1, 1, tasks), (10, seeds, tasks)]
        return sum(
            spread.get(name, 0.0) * rng.normal(size=size)
            for name, size in zip(("pools", "seeds", "tasks", "noise"), parts, strict=True)
        )

    wide = 0.99 if spread["noise"] >= spread["pools"] > 0 else 0.97  # where little but noise is drawn it is too wide
    assert 0.93 <= covered(sample) <= wide
    assert 0.93 <= covered(sample, iqm) <= wide


@pytest.mark.parametrize("over_tasks", [True, False])
def test_seeds_of_a_pool_are_not_drawn_anew(over_tasks):
    """So they count as their mean, which is the only value of each pool and task that is drawn."""
    sample = np.random.default_rng(0).normal(size=(10, 3, 32))
    found, of_means = (bootstrap(one, over_tasks=over_tasks) for one in (sample, sample.mean(1, keepdims=True)))
    assert found == pytest.approx(of_means)


def test_the_bootstrap_covers_successes_at_ten_seeds():
    """As runs have them: a level for every seed, a difficulty for every task, a few episodes of each."""
    truth = np.random.default_rng(0)

    def chances(rng, pools, tasks):
        return 1 / (1 + np.exp(-(0.5 + 0.7 * rng.normal(size=(pools, 1, 1)) + 1.2 * rng.normal(size=(1, 1, tasks)))))

    true = np.mean([chances(truth, 200, 200).mean() for _ in range(200)])

    def sample(rng):
        return rng.binomial(8, chances(rng, 10, 64)) / 8

    assert 0.93 <= covered(sample, true=true) <= 0.97


def test_one_kind_of_unit_left_out_once_each_is_student():
    values = np.array([0.1, 0.4, 0.3, 0.9])
    found, known = jackknife(lambda kept: values[kept].mean(), (4,)), t_interval(values)
    assert found == pytest.approx(known)


def test_a_place_that_flees_when_a_unit_is_left_out_opens_that_end():
    found = jackknife(lambda kept: np.inf if 0 not in kept else float(kept.mean()), (5,))
    assert found.high == np.inf
    assert np.isfinite(found.low)


@pytest.mark.parametrize(
    ("sizes", "spread"), [((3, 32), (1, 1)), ((5, 32), (1, 3)), ((5, 32), (3, 1)), ((10, 10), (1, 1))]
)
def test_units_crossed_with_each_other_cover_95_percent(sizes, spread):
    rng, hits = np.random.default_rng(0), []
    for _ in range(500):
        rows, columns = (s * rng.normal(size=n) for s, n in zip(spread, sizes, strict=True))
        found = rows[:, None] / np.sqrt(sizes[1]) * 2 + columns / 2 + 0.5 * rng.normal(size=sizes)
        one = jackknife(lambda *kept, found=found: found[np.ix_(*kept)].mean(), sizes)
        hits.append(one.low <= 0 <= one.high)
    assert 0.93 <= np.mean(hits) <= 0.985


def test_values_that_agree_are_not_surer_than_what_was_measured():
    assert t_interval([0.5, 0.5, 0.5]).low == 0.5
    assert t_interval([0.5, 0.5, 0.5], finest=1 / 16).low == pytest.approx(0.5 - 4.303 / 16 / np.sqrt(3), abs=1e-3)
    assert t_interval([0.4, 0.5, 0.6], finest=1 / 1000) == t_interval([0.4, 0.5, 0.6])
