"""Thresholds foretold from learning times, in synthetic tables whose turn is known."""

import math

import numpy as np
import pytest
from scipy.special import expit

from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.errors import InputError
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.studies import threshold_prediction as study
from tests.helpers.counts import counted


def settings_of(**own):
    base = {"study": study.STUDY, "preset": "quick"} | study.PRESETS["quick"] | {"families": ("errands",)}
    return resolve(base, presets.training_defaults("quick"), own)


SETTINGS = settings_of()
NAMES = [setting.name for setting in study.SETTINGS["errands"]]
BLIND = 0.2
SKILL, ONE, TASK = 300_000, 50_000, 1_000  # steps to the skill, to a first task, and to each further one


def table_of(turn=(SKILL - ONE) / TASK, leave_out=None, skill=SKILL, spread=1.0):
    """Runs in which half of the score comes when the constants say, and unseen success turns at a pool of `turn`.

    With a spread, tasks take longer to memorise in one setting than in another, and skill takes over the sooner.
    """
    rows, rng, middle = [], np.random.default_rng(0), turn
    for cell in study.cells(SETTINGS):
        if (cell.role, cell.seed % 1000) == (leave_out, 0):
            continue
        slower = spread ** (NAMES.index(cell.role.removesuffix(": blind")) / (len(NAMES) - 1) - 0.5)
        turn = middle / slower
        row = {
            "cell": cell.id,
            "family": cell.family,
            "role": cell.role,
            "pool_size": cell.pool_size,
            "seed": cell.seed,
        }
        size = math.inf if cell.pool_size is None else cell.pool_size
        for point, _ in cell.evaluation_points:
            rise = {
                "seen": ONE + TASK * slower * min(size, 10**6),
                "unseen": skill,
            }
            for split, half in rise.items():
                score = expit(4 * math.log(point / half))
                if split == "unseen":
                    score *= expit(2 * math.log(size / turn)) if math.isfinite(size) else 1
                if cell.control == "blind":
                    score = 0
                success = BLIND + (1 - BLIND) * score + 0.002 * rng.normal() * (cell.control is None)
                rows.append(
                    row | {"evaluated_on": split, "env_steps": point, "success": success, "success_greedy": success}
                )
    return ResultsTable(rows, counted(), {})


def test_settings_differ_in_what_they_say():
    cells = study.cells(SETTINGS)
    assert len({cell.id for cell in cells}) == len(cells) == len(NAMES) * (3 * 8 + 1)
    of = {cell.role: cell for cell in cells}
    assert dict(of["errands, 64 values"].knobs) == {"values": 64}
    assert of["errands, width 32"].training.width == 32
    assert of["errands, half the budget"].evaluation_points[-1][0] <= of["errands"].evaluation_points[-1][0] / 2
    assert of["errands: blind"].control == "blind"
    seeds = {name: {cell.seed for cell in cells if cell.role == name} for name in NAMES}
    assert seeds["errands"].isdisjoint(seeds["errands, half the budget"])  # else one would begin as the other


def test_the_threshold_is_foretold_by_what_every_task_takes_without_a_look_at_the_turn():
    found = study.forecast_of(table_of(), SETTINGS, "errands", study.SETTINGS["errands"][0])
    assert found.steps_per_task == pytest.approx(TASK, rel=0.15)
    assert found.steps_to_skill == pytest.approx(SKILL, rel=0.1)
    assert found.forecast == pytest.approx(250, rel=0.25)
    elsewhere = study.forecast_of(table_of(turn=2000), SETTINGS, "errands", study.SETTINGS["errands"][0])
    assert elsewhere.forecast == pytest.approx(found.forecast, rel=0.05)
    assert elsewhere.measured.at > 4 * found.measured.at


@pytest.mark.parametrize(
    ("own", "verdict"),
    [
        ({}, "supported"),
        ({"turn": 4000}, "refuted"),
        ({"skill": 10**8}, "inconclusive"),
        ({"turn": 10**9}, "inconclusive"),
    ],
)
def test_every_verdict(own, verdict):
    claim, _ = study.verdicts(table_of(**own), SETTINGS)
    assert claim.verdict == verdict


@pytest.mark.parametrize(
    ("own", "verdict"),
    [
        ({"spread": 20.0}, "supported"),
        ({"turn": 4000}, "refuted"),
        ({"spread": 20.0, "skill": 10**8}, "inconclusive"),
        ({"spread": 1.5}, "inconclusive"),
    ],
)
def test_it_has_to_be_better_than_what_other_settings_have(own, verdict):
    _, claim = study.verdicts(table_of(**own), SETTINGS)
    assert claim.verdict == verdict


def test_a_missing_cell_leaves_its_setting_out_and_few_seeds_decide_nothing():
    for claim in study.verdicts(table_of(leave_out="errands, 4 values"), SETTINGS):
        assert claim.n == len(NAMES) - 1
    for claim in study.verdicts(table_of(), SETTINGS.model_copy(update={"seeds": 2})):
        assert claim.verdict == "inconclusive"


def test_figure_and_table_tell_of_every_setting():
    table = table_of(leave_out="errands: blind")
    figure, rows = study.figure(table, SETTINGS)
    assert {row["series"] for row in rows} == set(NAMES) - {"errands"}
    ((title, lines),) = study.tables(table, SETTINGS).items()
    assert title.startswith(f"N*: {len(NAMES) - 1} of {len(NAMES)} settings foretold within a factor of 3")
    assert lines[0]["foretold"] == "not: a blind agent is missing"
    assert float(lines[1]["foretold / measured"]) == pytest.approx(1, abs=0.5)
    assert len(figure.axes) == 1


@pytest.mark.parametrize("pools", [(64, 256, 1024, 4096, "new"), (4, 16, 64, 256, 1024), (4, 16, "new")])
def test_pools_that_cannot_tell_are_refused(pools):
    with pytest.raises(InputError, match="two of them up to 64"):
        study.cells(settings_of(pools=pools))
