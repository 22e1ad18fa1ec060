"""The study's grid, and its rules fed with synthetic tables for every answer."""

import numpy as np
import pytest

from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.studies import taste_and_hunger
from tests.helpers.counts import counted

OWN = {"families": ("mazes",), "seeds": 4, "tastes": (0.0, 0.25, 0.5), "hungers": (0.0, 0.02)}
SETTINGS = resolve(
    {"study": "taste-and-hunger"} | taste_and_hunger.PRESETS["quick"] | OWN, presets.training_defaults("quick")
)


def table_of(gain=0.0, saved=0.0, noise=0.01, leave_out=None):
    """A run in which any taste adds `gain` to success, and hunger saves a share of the way."""
    rng, rows = np.random.default_rng(0), []
    for cell in taste_and_hunger.cells(SETTINGS):
        if cell.role == leave_out and cell.seed == 0:
            continue
        for point, _ in cell.evaluation_points:
            success = 0.5 + gain * ("taste" in cell.training.reward) + noise * rng.normal()
            path = 1.5 - saved * ("hunger" in cell.training.reward) + noise * rng.normal()
            row = {"cell": cell.id, "family": cell.family, "role": cell.role, "seed": cell.seed, "env_steps": point}
            rows += [row | {"evaluated_on": split, "success": success, "path": path} for split in ("seen", "unseen")]
    return ResultsTable(rows, counted(), {})


def verdicts(**own):
    return [claim.verdict for claim in taste_and_hunger.verdicts(table_of(**own), SETTINGS)]


def test_rewards_are_sums_of_what_is_varied_and_nothing_else_differs():
    cells = taste_and_hunger.cells(SETTINGS)
    assert {cell.training.reward for cell in cells} == {
        "sparse", "sparse+taste", "sparse+hunger", "sparse+taste+hunger"
    }  # fmt: skip
    assert len({cell.id for cell in cells}) == len(cells) == 3 * 2 * 4
    plain = {cell.training.model_copy(update={"reward": "", "taste": 0, "hunger": 0}) for cell in cells}
    assert len(plain) == 1


@pytest.mark.parametrize(
    ("effects", "expected"),
    [
        ({"gain": 0.3, "saved": 0.2}, ["supported", "supported"]),
        ({"gain": 0.0, "saved": -0.2}, ["refuted", "refuted"]),
        ({"gain": 0.05, "saved": 0.0, "noise": 0.1}, ["inconclusive", "inconclusive"]),
        ({"gain": 0.3, "saved": 0.2, "leave_out": "taste 0 hunger 0"}, ["inconclusive", "inconclusive"]),
    ],
)
def test_every_verdict(effects, expected):
    assert verdicts(**effects) == expected


def test_the_figure_and_the_table_show_what_was_found():
    figure, rows = taste_and_hunger.figure(table_of(0.3, 0.2), SETTINGS)
    assert len(figure.axes) == 3
    path = {row["x"]: row["mean"] for row in rows if row["series"] == "path, taste 0"}
    assert path[0.0] == pytest.approx(1.5, abs=0.02)
    assert path[0.02] == pytest.approx(1.3, abs=0.02)
    last = [row for row in rows if row["series"] == "success, taste 0.5, hunger 0"][-1]
    assert last["low"] < 0.8 < last["high"]
    (summary,) = taste_and_hunger.tables(table_of(0.3, 0.2, noise=0.0), SETTINGS).values()
    assert [line["unseen"] for line in summary] == ["0.50", "0.50", "0.80", "0.80", "0.80", "0.80"]
