"""Columns are stacked by seed where all of them have every seed."""

import pytest

from incentivize.experiments.analysis.comparisons import seed_matrix


def test_columns_are_stacked_in_the_order_of_the_seeds():
    assert seed_matrix([{1: 0.1, 0: 0.0}, {0: 1.0, 1: 1.1}], range(2)).tolist() == [[0.0, 1.0], [0.1, 1.1]]


@pytest.mark.parametrize("column", [{0: 1.0}, {0: 1.0, 2: 1.0}, {0: 1.0, 1: 1.0, 2: 1.0}, {}])
def test_a_seed_that_is_missing_or_not_asked_for_leaves_nothing(column):
    assert seed_matrix([{0: 1.0, 1: 1.0}, column], range(2)) is None
