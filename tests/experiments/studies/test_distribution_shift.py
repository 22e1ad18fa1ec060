"""Shifts, and success by the distance to the pool, in synthetic tables for every answer."""

import numpy as np
import pytest

from incentivize import envs
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.analysis.task_distance import distances_to_pool
from incentivize.experiments.errors import InputError
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.studies import distribution_shift as study
from tests.helpers.counts import counted

BLIND = 0.25
OWN = {"families": ("errands",), "seeds": 3, "eval_tasks": 40}


def settings_of(**own):
    base = {"study": study.STUDY, "preset": "quick"} | study.PRESETS["quick"] | OWN
    return resolve(base, presets.training_defaults("quick"), own)


SETTINGS = settings_of()
SPLITS = ("unseen", "new pairs", "more objects", "two in a row")
NAMES = tuple(study.shifts_of(SETTINGS, "errands"))


def table_of(unseen=0.9, pairs=0.9, objects=0.9, row=0.9, noise=0.01, nearness=0.0, leave_out=None):
    """Runs with as much success in every split at every pool but the smallest, from which nothing is learnt."""
    rng, rows, counts = np.random.default_rng(0), [], []
    levels = dict(zip(SPLITS, (unseen, pairs, objects, row), strict=True))
    knobs = tuple(sorted(SETTINGS.knobs["errands"].items()))
    for cell in study.cells(SETTINGS):
        if cell.role == leave_out and cell.seed == 0:
            continue
        point = cell.evaluation_points[-1][0]
        for split, level in levels.items():
            learnt = cell.role != "blind" and cell.pool_size != 64
            success = (level if learnt else BLIND) + noise * rng.normal()
            row = {"cell": cell.id, "family": cell.family, "role": cell.role, "seed": cell.seed, "env_steps": point}
            row |= {"pool_size": cell.pool_size, "evaluated_on": split, "success": success}
            rows.append(row | {"score": (success - BLIND) / (1 - BLIND) if split == "unseen" else None})
        if cell.role == "generalist" and cell.pool_size not in (None, 64):
            away = np.array(distances_to_pool("errands", knobs, cell.pool_size, cell.seed, SETTINGS.eval_tasks))
            each = np.clip(unseen - nearness * (away >= away.mean()), 0, 1)
            counts += [(cell.id, point, "unseen", task, round(100 * won), 100) for task, won in enumerate(each)]
    return ResultsTable(rows, counted(*counts), {"blind": {"errands": BLIND}})


def test_agents_are_trained_without_what_they_are_asked_for():
    assert SPLITS[1:] == NAMES
    for cell in study.cells(SETTINGS):
        assert dict(cell.knobs) == {"objects": 3, "pairs": "apart"}
        assert tuple(name for name, _ in cell.shifts) == NAMES
    together = settings_of(knobs={"errands": {"pairs": "together"}})
    assert "new pairs" not in study.shifts_of(together, "errands")


@pytest.mark.parametrize(
    ("own", "expected"),
    [  # new pairs, more objects, two in a row, nearness
        ({}, ["supported"] * 4),
        ({"pairs": 0.3, "row": 0.25, "nearness": 0.4}, ["refuted", "supported", "refuted", "refuted"]),
        ({"objects": 0.42, "noise": 0.1}, ["supported", "inconclusive", "supported", "supported"]),
        ({"unseen": 0.3}, ["inconclusive"] * 4),  # nothing has been learnt
        ({"unseen": 0.99}, ["supported"] * 3 + ["inconclusive"]),  # all has been: distance can make no difference
        ({"leave_out": "generalist"}, ["inconclusive"] * 4),
        ({"leave_out": "blind"}, ["inconclusive"] * 3 + ["supported"]),
    ],
)
def test_every_verdict(own, expected):
    assert [claim.verdict for claim in study.verdicts(table_of(**own), SETTINGS)] == expected


def test_distances_are_those_of_the_digits():
    space = envs.make("errands").tasks
    found = distances_to_pool("errands", (), 50, 3, 5)
    pool = np.stack([space.task("training", index, seed=3) for index in range(50)])
    assert list(found) == [(space.heldout(task) != pool).sum(1).min() for task in range(5)]


def test_the_figure_and_the_tables_show_what_was_found():
    table = table_of(pairs=0.5, nearness=0.3, noise=0.0)
    figure, rows = study.figure(table, SETTINGS)
    assert len(figure.axes) == 4
    assert {row["mean"] for row in rows if row["series"] == "generalist, new pairs"} == {0.25, 0.5}
    lines, distances = study.tables(table, SETTINGS).values()
    assert [line["generalist"] for line in lines] == ["0.90", "0.50", "0.90", "0.90"]
    assert {line["blind"] for line in lines} == {"0.25"}
    assert [(line["pool"], line["near"], line["far"]) for line in distances] == [
        ("1,024", "0.90", "0.60"),
        ("16,384", "0.90", "0.60"),
    ]


def test_a_network_that_is_another_there_is_refused():
    with pytest.raises(InputError, match=r"network = 'mlp': .*objects=4.*Or give a network that fits both"):
        study.cells(settings_of(network="mlp"))
