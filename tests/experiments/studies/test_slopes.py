"""Slopes of failures, from synthetic tables for every answer."""

import numpy as np
import pytest

from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.settings.schema import evaluation_budgets
from incentivize.experiments.studies import slopes, weak_incentive
from tests.helpers.counts import counted

SETTINGS = resolve(
    {"study": "slopes"} | slopes.PRESETS["quick"] | {"families": ("mazes",), "seeds": 4},
    presets.training_defaults("quick"),
)
STEPS = np.array(evaluation_budgets(SETTINGS, "mazes"), float)


def table_of(exponents, noise=0.02, leave_out=None):
    """A run in which an arm's failures fall by a power law from .9."""
    rng, rows = np.random.default_rng(0), []
    for cell in slopes.cells(SETTINGS):
        if cell.role == leave_out and cell.seed == 0:
            continue
        shift = noise * rng.normal()
        for point, _ in cell.evaluation_points:
            failures = 0.9 * (point / STEPS[0]) ** (exponents.get(cell.role, 0.0) + shift)
            row = {"cell": cell.id, "family": cell.family, "role": cell.role, "seed": cell.seed, "env_steps": point}
            rows.append(row | {"evaluated_on": "unseen", "success": 1 - failures, "score": 1 - failures / 0.9})
    return ResultsTable(rows, counted(), {"blind": {"mazes": 0.1}})


STEEP = {"taught": -0.3, "shaped": -0.3, "generalist": -0.8}
SHALLOW = {"taught": -0.8, "shaped": -0.8, "generalist": -0.3}


def test_its_cells_are_those_of_weak_incentive():
    other = SETTINGS.model_copy(update={"study": "weak-incentive"})
    assert [cell.id for cell in slopes.cells(SETTINGS)] == [cell.id for cell in weak_incentive.cells(other)]


@pytest.mark.parametrize(
    ("exponents", "own", "expected"),
    [
        (STEEP, {}, ["supported"] * 2),
        (SHALLOW, {}, ["refuted"] * 2),
        (dict.fromkeys(STEEP, -0.5), {"noise": 0.1}, ["inconclusive"] * 2),
        (dict.fromkeys(STEEP, -0.01), {"noise": 0.0}, ["inconclusive"] * 2),  # nobody has learnt it
        (STEEP, {"leave_out": "taught"}, ["inconclusive", "supported"]),
        (STEEP, {"leave_out": "generalist"}, ["inconclusive"] * 2),
    ],
)
def test_every_verdict(exponents, own, expected):
    assert [claim.verdict for claim in slopes.verdicts(table_of(exponents, **own), SETTINGS)] == expected


def test_the_effect_is_the_difference_of_exponents():
    claim, _ = slopes.verdicts(table_of(STEEP), SETTINGS)
    assert claim.effect == pytest.approx(0.5, abs=0.05)


def test_two_budgets_have_no_slope():
    few = SETTINGS.model_copy(update={"evaluations": 2})
    assert {claim.reason for claim in slopes.verdicts(table_of(STEEP), few)} == {"there are fewer than 3 budgets"}


def test_the_figure_and_the_tables_show_what_was_found():
    figure, rows = slopes.figure(table_of(STEEP, noise=0.0), SETTINGS)
    assert len(figure.axes) == 1
    first = {row["series"]: row["mean"] for row in rows if row["x"] == STEPS[0]}
    assert first == pytest.approx(dict.fromkeys(STEEP, 0.9))
    lines, missed = slopes.tables(table_of(STEEP, noise=0.0), SETTINGS).values()
    assert [line["slope"] for line in lines] == ["-0.30", "-0.30", "-0.80"]
    assert all(float(line["power"]) < 0.01 for line in missed)
    lines = next(iter(slopes.tables(table_of(STEEP, leave_out="taught"), SETTINGS).values()))
    assert [line["slope"] == "-" for line in lines] == [True, False, False]
