"""Jumps and what only looks like one, in synthetic tables for every answer."""

import numpy as np
import pytest

from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.settings.schema import evaluation_budgets, pool_names
from incentivize.experiments.studies import emergence, task_count
from tests.helpers.counts import counted

BASE = emergence.PRESETS["quick"] | {"families": ("errands",), "seeds": 4}
SETTINGS = resolve({"study": "emergence", "preset": "quick"} | BASE, presets.training_defaults("quick"))
STEPS = evaluation_budgets(SETTINGS, "errands")
PLACES = len(SETTINGS.pools)
LINE = np.linspace(-3, -0.05, PLACES)
STEP = np.where(np.arange(PLACES) < 5, -3.0, -0.05)


def table_of(logs, noise=0.02, decisions=6, top=None, leave_out=None):
    """Runs whose log-likelihood is as given by pool, and at the largest by budget; success asks all decisions."""
    rng, rows = np.random.default_rng(0), []
    for cell in emergence.cells(SETTINGS):
        if cell.role == leave_out and cell.seed == 0:
            continue
        pool = PLACES - 1 if cell.pool_size is None else SETTINGS.pools.index(cell.pool_size)
        for place, (point, _) in enumerate(cell.evaluation_points):
            told = logs[min(place + PLACES - len(STEPS), pool)] + noise * rng.normal()
            success = np.exp(decisions * told) if top is None else top
            row = {"cell": cell.id, "family": cell.family, "role": cell.role, "seed": cell.seed, "env_steps": point}
            row |= {"pool_size": cell.pool_size, "evaluated_on": "unseen", "success": success, "score": success}
            rows.append(row | {"log_likelihood": told})
    return ResultsTable(rows, counted(), {"blind": {"errands": 0.0}})


def test_its_agents_are_those_of_task_count():
    base = {"study": "task-count", "preset": "quick", "likelihood": True} | task_count.PRESETS["quick"] | BASE
    others = task_count.cells(resolve(base, presets.training_defaults("quick")))
    mine = emergence.cells(SETTINGS)
    assert {cell.id for cell in mine} == {cell.id for cell in others if cell.role in ("generalist", "blind")}
    assert all(cell.likelihood for cell in mine)


@pytest.mark.parametrize(
    ("logs", "own", "expected"),
    [
        (STEP, {}, ["supported"] * 2),
        (LINE, {}, ["refuted"] * 2),
        (np.where(np.arange(PLACES) < 5, LINE - 2.0, LINE), {"noise": 0.5}, ["inconclusive"] * 2),
        (STEP, {"top": 0.1}, ["inconclusive"] * 2),  # nobody has learnt it
        (STEP, {"leave_out": "generalist"}, ["inconclusive"] * 2),
    ],
)
def test_every_verdict(logs, own, expected):
    assert [claim.verdict for claim in emergence.verdicts(table_of(logs, **own), SETTINGS)] == expected


def test_success_may_jump_where_single_decisions_do_not():
    lines, _ = emergence.tables(table_of(LINE, noise=0.002), SETTINGS).values()
    share = {(line["along"], line["measure"]): float(line["share"]) for line in lines}
    for axis in emergence.AXES.values():
        assert share[axis, "success"] > 0.6 > 0.2 > share[axis, "its logarithm"]


def test_pools_that_are_closer_than_the_rule_has_them_show_no_jump_but_the_threshold():
    own = {"pools": (64, 128, 256, 512, 1024, 2048, 4096, "new")}
    closer = resolve({"study": "emergence", "preset": "quick"} | BASE, presets.training_defaults("quick"), own)
    table = table_of(STEP)
    same = dict(zip(SETTINGS.pools, closer.pools, strict=True))
    rows = [row | {"pool_size": same[row["pool_size"]]} for row in table.rows]
    table = ResultsTable(rows, table.tasks, table.meta)
    tasks, training = emergence.verdicts(table, closer)
    assert (tasks.verdict, training.verdict) == ("inconclusive", "supported")
    assert tasks.reason == "neighbouring pools are 2-fold apart, and the rule is for 4-fold"
    (line,) = list(emergence.tables(table, closer).values())[1]
    assert 1024 < float(line["N*"].split()[0].replace(",", "")) < 2048  # between the fifth pool and the sixth


def test_the_step_to_every_episode_new_shows_no_jump_as_it_is_a_wide_one():
    own = {"pools": (1, 4, 16, 64, 256, "new")}
    fewer = resolve({"study": "emergence", "preset": "quick"} | BASE, presets.training_defaults("quick"), own)
    table = table_of(STEP).where(lambda row: row["pool_size"] in (None, *fewer.pools))
    tasks, training = emergence.verdicts(table, fewer)
    assert (tasks.verdict, training.verdict) == ("inconclusive", "supported")
    assert tasks.reason.endswith("of the rise is beyond the largest pool with an end")


def test_the_share_of_a_rise_by_hand():
    values = np.array([[0.2, 0.0, 0.1, 0.5, 0.6], [0.5, 0.4, 0.3, 0.2, 0.2]])
    np.testing.assert_allclose(emergence.steepest(values), [0.4 / 0.6, 0.0])


def test_the_figure_shows_every_measure_along_both_axes():
    figure, rows = emergence.figure(table_of(STEP), SETTINGS)
    assert len(figure.axes) == 2 * 3
    assert {row["series"] for row in rows} == {f"{m} by {a}" for m in emergence.MEASURES for a in emergence.AXES}
    assert {row["x"] for row in rows if row["series"] == "success by training"} == set(STEPS)
    assert [row["x"] for row in rows if row["series"] == "success by tasks"] == pool_names(SETTINGS.pools)
