import math

import numpy as np
import pytest

from experiments.statistics import student


def test_student_by_hand():
    found = student([1.0, 2.0, 3.0])
    assert found.mean == 2
    assert found.high - 2 == pytest.approx(4.302653 / math.sqrt(3))  # t(0.975, 2) times s / sqrt(n)
    assert 2 - found.low == pytest.approx(found.high - 2)
    assert found.n == 3


def test_two_values_decide_nothing():
    assert student([0.1, 0.1]) == (0.1, -math.inf, math.inf, 2)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_student_covers_95_percent(n):
    samples = np.random.default_rng(0).normal(1, 2, (4000, n))
    covered = np.mean([found.low <= 1 <= found.high for found in map(student, samples)])
    assert 0.94 < covered < 0.96


def test_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one value"):
        student([])
