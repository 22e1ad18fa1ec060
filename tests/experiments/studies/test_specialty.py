"""The study's grid, and its rules fed with synthetic tables for every answer."""

import numpy as np
import pytest

from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.errors import InputError
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.studies import specialty
from tests.helpers.counts import counted

OWN = {"families": ("errands",), "seeds": 4, "specialists": 4}


def settings_of(**own):
    base = {"study": "specialty"} | specialty.PRESETS["quick"] | OWN
    return resolve(base, presets.training_defaults("quick"), own)


SETTINGS = settings_of()
STEPS = specialty.steps_of(SETTINGS, "errands")
RISING = (0.2, 0.4, 0.7, 0.9)


def table_of(generalist=RISING, taught=0.55, incentivized=0.55, noise=0.01, leave_out=None):
    """A run in which generalists rise, and specialists are as good as said."""
    rng, rows, counts = np.random.default_rng(0), [], []
    levels = {"specialist": (taught,), "incentivized specialist": (incentivized,), "taught": generalist}
    for cell in specialty.cells(SETTINGS):
        if cell.role == leave_out and cell.seed == 0:
            continue
        tasks = [cell.pool_first] if "specialist" in cell.role else range(4)
        for (point, kind), level in zip(cell.evaluation_points, levels.get(cell.role, generalist), strict=True):
            won = [round(1000 * (level + noise * rng.normal())) for _ in tasks]
            counts += [(cell.id, point, "specialty", t, w, 1000) for t, w in zip(tasks, won, strict=True)]
            row = {"cell": cell.id, "family": cell.family, "role": cell.role, "seed": cell.seed, "env_steps": point}
            rows.append(
                row
                | {
                    "evaluated_on": "specialty",
                    "budget_kind": kind,
                    "success": np.mean(won) / 1000,
                    "score": np.mean(won) / 1000,
                }
            )
    return ResultsTable(rows, counted(*counts), {"blind": {"errands": 0.0}})


def verdicts(**own):
    return [claim.verdict for claim in specialty.verdicts(table_of(**own), SETTINGS)]


def test_specialists_have_a_share_of_the_steps_and_one_task_each():
    cells = specialty.cells(SETTINGS)
    assert len({cell.id for cell in cells}) == len(cells) == 2 * 4 + 2 * 4 + 1
    assert [round(step / STEPS[0]) for step in STEPS] == [1, 2, 4, 8]
    for cell in cells:
        if "specialist" in cell.role:
            assert cell.evaluation_points == (
                (STEPS[0] // 512 * 512, "own"),
            )  # in updates of 32 environments x 16 steps
            assert (cell.pool_split, cell.pool_size, cell.training.budget) == (
                "heldout",
                1,
                cell.evaluation_points[0][0],
            )
            assert cell.training.num_envs == 32  # a twelfth of 1,000 updates would be few
            assert (
                cell.training.entropy_steps
                == SETTINGS.training["errands"].entropy_steps * cell.training.budget // 750_000
            )
        else:
            assert [step for step, _ in cell.evaluation_points] == list(STEPS)
            assert (cell.pool_split, cell.pool_size) == ("training", None)
    told = {cell.role: (cell.learner, cell.teacher) for cell in specialty.cells(settings_of(families=("codebooks",)))}
    assert told["specialist"] == ("cloning", "dagger")
    assert told["taught"] == ("cloning", "fair-dagger")
    assert told["generalist"] == told["incentivized specialist"] == ("ppo", None)


@pytest.mark.parametrize(
    ("own", "expected"),
    [  # supervised at the greatest multiple and at 1, incentivized likewise
        ({}, ["supported", "refuted", "supported", "refuted"]),
        (
            {"taught": 0.95, "incentivized": 0.25, "generalist": (0.35, 0.4, 0.7, 0.9)},
            ["refuted", "refuted", "supported", "supported"],
        ),
        ({"taught": 0.95, "incentivized": 0.1}, ["refuted", "refuted", "inconclusive", "inconclusive"]),
        (
            {"taught": 0.9, "incentivized": 0.4, "generalist": (0.4, 0.4, 0.7, 0.9), "noise": 0.05},
            ["inconclusive", "refuted", "supported", "inconclusive"],
        ),
        (
            {"generalist": (0.1,) * 4, "taught": 0.05, "incentivized": 0.05},
            ["inconclusive"] * 4,
        ),  # nobody has learnt it
        ({"leave_out": "generalist"}, ["inconclusive"] * 4),
        ({"leave_out": "specialist"}, ["inconclusive", "inconclusive", "supported", "refuted"]),
    ],
)
def test_every_verdict(own, expected):
    assert verdicts(**own) == expected


def test_the_multiple_from_which_generalists_do_as_well():
    found = specialty.break_even(table_of(), SETTINGS, "errands", "taught")
    assert 2 < found.low < found.at < found.high < 4  # half way between, on a logarithmic axis
    assert found.at == pytest.approx(2**1.5, rel=0.05)
    assert specialty.break_even(table_of(taught=0.95), SETTINGS, "errands", "taught").at is None
    assert specialty.break_even(table_of(leave_out="specialist"), SETTINGS, "errands", "taught") is None


def test_the_figure_and_the_tables_show_what_was_found():
    table = table_of(noise=0.0)
    figure, rows = specialty.figure(table, SETTINGS)
    assert len(figure.axes) == 1
    found = {(row["series"], row["x"]): row["mean"] for row in rows}
    assert found["generalist", STEPS[-1]] == pytest.approx(0.9)
    assert found["specialist", STEPS[-1]] == pytest.approx(0.55)
    lines, evens = specialty.tables(table, SETTINGS).values()
    assert [line["generalist"] for line in lines] == ["0.20", "0.40", "0.70", "0.90"]
    assert {line["specialist"] for line in lines} == {"0.55"}
    assert [line["years"] for line in evens] == ["2.3", "2.3"]


@pytest.mark.parametrize(
    ("own", "named"), [({"pools": (4, "new")}, "must be one pool"), ({"evaluations": 1}, "two budgets")]
)
def test_what_is_no_comparison_is_refused(own, named):
    with pytest.raises(InputError, match=named):
        specialty.cells(settings_of(**own))
