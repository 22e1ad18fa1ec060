"""Values as people read them."""

import pytest

from incentivize.experiments.presentation.tables import mean_or_dash


@pytest.mark.parametrize(("values", "text"), [([0.25, 0.5], "0.38"), ({0: 1.0}.values(), "1.00"), ([], "-")])
def test_a_mean_has_two_places_and_nothing_is_a_dash(values, text):
    assert mean_or_dash(values) == text
