"""The study's grid, and its rule fed with synthetic tables for every answer."""

import numpy as np
import pytest

from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.errors import InputError
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.studies import inference_search as study
from tests.helpers.counts import counted

BASE = {"study": "test-time"} | study.PRESETS["quick"]
SETTINGS = resolve(
    BASE | {"families": ("puzzles",), "seeds": 3, "simulations": (0, 16)}, presets.training_defaults("quick")
)
LAST = study.cells(SETTINGS)[0].evaluation_points[-1][0]


def table_of(untrained, thinking, alone, noise=0.01):
    """A run in which success grows in a straight line with the share of the budget, with and without search."""
    rng, rows = np.random.default_rng(0), []
    for cell in study.cells(SETTINGS):
        for point, _ in cell.evaluation_points:
            share = point / LAST
            for simulations, start, end in ((0, 0.0, alone), (16, untrained, thinking)):
                # With search the end is reached at a quarter of the budget.
                success = start + (end - start) * min(share * (4 if simulations else 1), 1) + noise * rng.normal()
                row = {"cell": cell.id, "family": "puzzles", "role": "generalist", "seed": cell.seed}
                row |= {"env_steps": point, "evaluated_on": "unseen", "simulations": simulations}
                rows.append(row | {"success": success, "success_best": success + 0.1})
    rows.append({"cell": "uniform", "family": "puzzles", "role": "uniform", "evaluated_on": "unseen", "env_steps": 0})
    return ResultsTable([{"simulations": 0, "seed": None, "success": 0.05} | row for row in rows], counted(), {})


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ({"untrained": 0.3, "thinking": 0.9, "alone": 0.7}, "supported"),
        ({"untrained": 0.3, "thinking": 0.6, "alone": 0.9}, "refuted"),
        ({"untrained": 0.88, "thinking": 0.9, "alone": 0.7}, "refuted"),  # search alone does it
        ({"untrained": 0.3, "thinking": 0.9, "alone": 0.9, "noise": 0.05}, "inconclusive"),
    ],
)
def test_every_verdict(levels, expected):
    (claim,) = study.verdicts(table_of(**levels), SETTINGS)
    assert claim.verdict == expected


def test_without_search_there_is_no_verdict():
    settings = SETTINGS.model_copy(update={"simulations": (0,)})
    (claim,) = study.verdicts(table_of(0.3, 0.9, 0.7), settings)
    assert claim.verdict == "inconclusive"


def test_equal_scores_are_read_off_between_budgets():
    table = table_of(0.2, 0.9, 0.8, noise=0.0)
    needed = study.equal_scores(table, SETTINGS, "puzzles", 0.4)
    assert needed[0] == pytest.approx(LAST / 2, rel=0.02)
    assert needed[16] == pytest.approx(LAST / 4 * 2 / 7, rel=0.1)
    assert study.equal_scores(table, SETTINGS, "puzzles", 0.1)[16] == 0
    assert study.equal_scores(table, SETTINGS, "puzzles", 0.95) == {0: None, 16: None}
    (lines,) = study.tables(table, SETTINGS).values()
    assert lines[3]["0 sims"] == "-"


def test_cells_begin_with_an_agent_that_has_learnt_nothing():
    cells = study.cells(SETTINGS)
    assert {cell.evaluation_points[0][0] for cell in cells} == {0}
    assert {cell.simulations for cell in cells} == {(0, 16)}


def test_a_hidden_rule_is_refused_before_anything_runs():
    hidden = resolve(BASE | {"families": ("codebooks",)}, presets.training_defaults("quick"))
    with pytest.raises(InputError, match="families = 'codebooks': its rule is hidden"):
        study.cells(hidden)


def test_the_figure_has_a_curve_for_every_number_of_simulations():
    figure, rows = study.figure(table_of(0.3, 0.9, 0.7), SETTINGS)
    assert {row["series"] for row in rows} == {
        "the policy alone", "the policy alone, best of 4 attempts", "16 simulations a step"
    }  # fmt: skip
    assert next(row["x"] for row in rows if row["series"] == "the policy alone") == 0
    assert len(figure.axes) == 1
