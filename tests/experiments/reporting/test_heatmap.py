"""Pools and budgets in one figure, against a table whose threshold is known."""

import json
import math

import numpy as np
import pytest

from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.reporting.heatmap import LINE_COLOUR, NSTAR, heat_map, interactive_panels
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.settings.schema import evaluation_budgets
from incentivize.experiments.studies import signal_and_scope
from tests.helpers.counts import counted

POOLS = (1, 4, 16, 64, 256, 1024, None)
BLIND = 0.2


def settings_of(**own):
    base = {"study": "signal-and-scope"} | signal_and_scope.PRESETS["quick"]
    given = {"families": ("errands",), "seeds": 4, "pools": POOLS, "evaluations": 3} | own
    return resolve(base | given, presets.training_defaults("quick"), {})


SETTINGS = settings_of()
BUDGETS = evaluation_budgets(SETTINGS, "errands")
TURNS = dict(zip(BUDGETS, (None, 20.0, 80.0), strict=True))  # at the first nothing is learnt


def table_of(settings=SETTINGS, blind=BLIND, leave_out=None):
    """Scores that turn where TURNS says, with a little noise of the seeds' own."""
    rng, rows = np.random.default_rng(0), []
    for family in settings.families:
        for seed in range(settings.seeds):
            for pool in settings.pools:
                for steps in BUDGETS:
                    if (seed, pool) == leave_out:
                        continue
                    at = math.inf if pool is None else pool
                    turn = TURNS[steps]
                    score = 0.0 if turn is None else 1 / (1 + (turn / at) ** 2)
                    score += 0.01 * rng.normal()
                    row = {"cell": f"{pool}-{seed}", "family": family, "role": "generalist", "evaluated_on": "unseen"}
                    row |= {"seed": seed, "pool_size": pool, "env_steps": steps, "simulations": 0}
                    rows.append(row | {"success": BLIND + 0.8 * score, "score": None if blind is None else score})
    return ResultsTable(rows, counted(), {"blind": dict.fromkeys(settings.families, blind)})


def test_every_pool_at_every_budget_is_a_row_with_the_threshold_of_that_budget():
    _, drawn = heat_map(table_of(), SETTINGS)
    assert list(drawn[0]) == ["family", "pool", "budget", "success", "n", "N*", "low", "high", "method"]
    assert [(row["pool"], row["budget"]) for row in drawn] == [
        (pool or "new", steps) for steps in BUDGETS for pool in POOLS
    ]
    assert {row["n"] for row in drawn} == {4}
    top = [row["success"] for row in drawn if row["pool"] == "new"]
    np.testing.assert_allclose(top, [0.2, 1.0, 1.0], atol=0.02)
    for steps, turn in TURNS.items():
        (told,) = {(row["N*"], row["low"], row["high"], row["method"]) for row in drawn if row["budget"] == steps}
        if turn is None:
            assert told[:3] == ("", "", "")
            assert told[3].startswith("not identified: every episode new scores ")
        else:
            assert told[0] == pytest.approx(turn, rel=0.1)
            assert told[1] < turn < told[2]
            assert told[3] == "logistic in log N, 95% by leaving seeds out in turn"


def test_the_page_has_the_tiles_and_the_line_and_they_say_what_they_are():
    figure, drawn = heat_map(table_of(), SETTINGS)
    (panel,) = interactive_panels(figure, drawn)
    json.dumps(panel, allow_nan=False)
    assert panel["arms"] == [[NSTAR, LINE_COLOUR, "solid"]]
    (tiles,) = (trace for trace in panel["data"] if trace.get("type") == "heatmap")
    assert (len(tiles["y"]), len(tiles["x"])) == (len(BUDGETS) + 1, len(POOLS) + 2)  # edges, and a gap before "new"
    assert (tiles["zmin"], tiles["zmax"], tiles["colorscale"]) == (0, 1, "Viridis")
    for edges, places in ((tiles["x"], (1, 4, 16, 64, 256, 1024, None, 8192)), (tiles["y"], BUDGETS)):
        for low, place, high in zip(edges, places, edges[1:], strict=False):
            assert place is None or low < place < high
    assert [row[-2] for row in tiles["z"]] == [None] * 3
    last = {row["pool"]: row["success"] for row in drawn if row["budget"] == BUDGETS[-1]}
    np.testing.assert_allclose(
        [tiles["z"][-1][place] for place in (0, 3, -1)], [last[1], last[64], last["new"]], atol=1e-3
    )
    assert (
        tiles["text"][-1][-1]
        == f"every episode new<br>{BUDGETS[-1]:,} steps<br>success {last['new']:.3f}<br>n = 4 seeds"
    )
    assert tiles["text"][0][3].startswith("pool 64<br>")
    (line,) = (trace for trace in panel["data"] if trace.get("text") and "mode" in trace)
    assert line["x"][0] is None  # not identified
    np.testing.assert_allclose(line["x"][1:], [20, 80], rtol=0.1)
    assert line["text"][0] == ""
    assert line["text"][2].startswith("N* 8") or line["text"][2].startswith("N* 7")
    assert panel["layout"]["yaxis"]["type"] == "log"
    assert panel["layout"]["yaxis"]["tickvals"] == list(BUDGETS)


def test_a_threshold_that_cannot_be_asked_for_leaves_the_tiles():
    for table, why in (
        (table_of(blind=None), "a blind agent is missing"),
        (table_of(leave_out=(0, 4)), "fewer than 4 pools beside every-episode-new, or cells are missing"),
    ):
        figure, drawn = heat_map(table, SETTINGS)
        assert {row["N*"] for row in drawn} == {""}
        assert all(row["method"].startswith(f"not identified: {why}") for row in drawn)
        assert figure.get_suptitle().endswith("N* is not identified at any budget")
        assert not figure.legends
    assert {row["n"] for row in drawn if row["pool"] == 4} == {3}


def test_a_pool_that_is_missing_at_one_budget_is_an_empty_tile():
    table = table_of().where(lambda row: (row["pool_size"], row["env_steps"]) != (4, BUDGETS[0]))
    figure, drawn = heat_map(table, SETTINGS)
    (tiles,) = (trace for trace in interactive_panels(figure, drawn)[0]["data"] if trace.get("type") == "heatmap")
    assert (tiles["z"][0][1], tiles["text"][0][1]) == (None, "")
    assert tiles["text"][1][1].startswith("pool 4<br>")


def test_families_have_panels_and_those_with_nothing_to_compare_none():
    settings = settings_of(families=("errands", "puzzles", "mazes", "codebooks"))
    figure, drawn = heat_map(table_of(settings), settings)
    assert [panel["title"] for panel in interactive_panels(figure, drawn)] == list(settings.families)
    table = table_of(settings)
    one_pool = table.where(lambda row: row["family"] == "puzzles" or row["pool_size"] is None)
    figure, drawn = heat_map(one_pool, settings)
    assert [panel["title"] for panel in interactive_panels(figure, drawn)] == ["puzzles"]
    assert heat_map(table.where(pool_size=None), settings) is None
    assert heat_map(table.where(env_steps=BUDGETS[-1]), settings) is None
    assert heat_map(table.where(role="taught"), settings) is None
