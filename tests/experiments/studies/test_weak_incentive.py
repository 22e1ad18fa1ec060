"""The study's grid, and its rules fed with synthetic tables for every answer."""

import numpy as np
import pytest

from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.errors import InputError
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.settings.schema import evaluation_budgets
from incentivize.experiments.studies import weak_incentive
from tests.helpers.counts import counted

OWN = {"families": ("mazes",), "seeds": 4}


def settings_of(**own):
    base = {"study": "weak-incentive"} | weak_incentive.PRESETS["quick"] | OWN
    return resolve(base, presets.training_defaults("quick"), own)


SETTINGS = settings_of()
STEPS = evaluation_budgets(SETTINGS, "mazes")
BLIND = 0.1
RISE = np.linspace(0, 1, len(STEPS))


def table_of(curves, noise=0.01, leave_out=None, taught_bits=1000, teacher=None):
    """A run in which every arm has its curve over the budgets."""
    rng, rows, ledger = np.random.default_rng(0), [], {}
    for cell in weak_incentive.cells(SETTINGS):
        if cell.role == leave_out and cell.seed == 0:
            continue
        ledger[cell.id] = {"supervision_bits": taught_bits if cell.role == "taught" else 10, "env_steps": STEPS[-1]}
        for (point, _), success in zip(cell.evaluation_points, curves.get(cell.role, BLIND + 0 * RISE), strict=True):
            row = {"cell": cell.id, "family": cell.family, "role": cell.role, "seed": cell.seed, "env_steps": point}
            for split in ("seen", "unseen"):
                found = success + noise * rng.normal()
                rows.append(row | {"evaluated_on": split, "success": found, "score": (found - BLIND) / (1 - BLIND)})
    meta = {} if teacher is None else {"teacher": {"mazes": {"kind": "informed", "success": teacher}}}
    return ResultsTable(rows, counted(), {"ledger": ledger, "blind": {"mazes": BLIND}} | meta)


CROSSES = {"taught": 0.4 + 0.2 * RISE, "shaped": 0.3 + 0.2 * RISE, "generalist": 0.1 + 0.8 * RISE}
NOTHING = dict.fromkeys(("taught", "shaped", "generalist"), 0.15 + 0 * RISE)
LATE = {"taught": 0.15 + 0.2 * (RISE == 1), "shaped": 0.15 + 0.2 * (RISE == 1), "generalist": 0.1 + 0.8 * (RISE == 1)}
ALONE = NOTHING | {"generalist": 0.1 + 0.8 * (RISE == 1)}
NEVER = {"taught": 0.4 + 0.3 * RISE, "shaped": 0.4 + 0.25 * RISE, "generalist": 0.4 + 0.2 * RISE}


def test_arms_differ_in_what_they_are_told_and_in_nothing_else():
    cells = weak_incentive.cells(SETTINGS)
    assert len({cell.id for cell in cells}) == len(cells) == 3 * 4 + 1
    told = {cell.role: (cell.learner, cell.teacher, cell.training.reward) for cell in cells if cell.role != "blind"}
    assert told == {
        "taught": ("cloning", "dagger", "sparse"),
        "shaped": ("ppo", None, "sparse+shaped"),
        "generalist": ("ppo", None, "sparse"),
    }
    assert {cell.evaluation_points for cell in cells} == {tuple((step, "total") for step in STEPS)}
    assert {cell.pool_size for cell in cells} == {None}


@pytest.mark.parametrize(
    ("curves", "own", "expected"),
    [
        (CROSSES, {}, ["supported", "supported", "supported"]),
        (NEVER, {}, ["refuted", "refuted", "refuted"]),
        (dict.fromkeys(CROSSES, 0.5 + 0 * RISE), {"noise": 0.1}, ["inconclusive", "inconclusive", "inconclusive"]),
        (NOTHING, {}, ["inconclusive", "inconclusive", "inconclusive"]),
        (LATE, {}, ["inconclusive", "supported", "supported"]),  # at first nobody has learnt anything
        (ALONE, {}, ["inconclusive", "inconclusive", "inconclusive"]),  # who has learnt nothing is not beaten
        (CROSSES, {"teacher": 0.5}, ["supported", "inconclusive", "supported"]),  # a teacher who is passed
        (CROSSES, {"teacher": 0.95}, ["supported", "supported", "supported"]),
        (CROSSES, {"leave_out": "generalist"}, ["inconclusive", "inconclusive", "inconclusive"]),
        (CROSSES, {"leave_out": "taught"}, ["inconclusive", "inconclusive", "supported"]),
    ],
)
def test_every_verdict(curves, own, expected):
    claims = [
        claim for claim in weak_incentive.verdicts(table_of(curves, **own), SETTINGS) if "bits of" not in claim.claim
    ]
    assert [claim.verdict for claim in claims] == expected


@pytest.mark.parametrize(
    ("curves", "own", "expected"),
    [  # where teaching costs ten times the bits, its student is looked at after an eighth of the steps, and a sixteenth
        (CROSSES | {"generalist": 0.55 + 0 * RISE}, {"taught_bits": 100}, "supported"),
        (CROSSES | {"generalist": 0.35 + 0 * RISE}, {"taught_bits": 100}, "refuted"),
        (CROSSES | {"generalist": 0.46 + 0 * RISE}, {"taught_bits": 100}, "inconclusive"),  # between the two
        (CROSSES | {"generalist": 0.55 + 0 * RISE}, {"taught_bits": 10}, "refuted"),
        (CROSSES, {"taught_bits": 100, "leave_out": "taught"}, "inconclusive"),
        (CROSSES, {"taught_bits": 1000}, "supported"),  # its first evaluation came after more bits, and is below
        (NEVER, {"taught_bits": 5}, "refuted"),  # its last one came after fewer, and is above
        (CROSSES, {"taught_bits": 5}, "inconclusive"),  # or below, which settles nothing
        (
            CROSSES | {"taught": 0.15 + 0.4 * RISE},
            {"taught_bits": 1000},
            "inconclusive",
        ),  # it has learnt nothing by then
        (CROSSES, {"taught_bits": 1000, "teacher": 0.5}, "inconclusive"),  # a teacher who is passed
        (NOTHING, {"taught_bits": 100}, "inconclusive"),
    ],
)
def test_arms_are_compared_bit_for_bit(curves, own, expected):
    claims = weak_incentive.verdicts(table_of(curves, **own), SETTINGS)
    taught, shaped = (claim for claim in claims if "bits of" in claim.claim)
    assert taught.verdict == expected
    assert shaped.claim.endswith("a reward on the way")


def test_curves_are_said_to_cross_where_they_do():
    found = weak_incentive.crossed(table_of(CROSSES), SETTINGS, "mazes", "taught")
    assert STEPS[2] < found.low < found.at < found.high < STEPS[3]  # at half of the way up
    never = weak_incentive.crossed(table_of(NEVER), SETTINGS, "mazes", "taught")
    assert never.at is None
    assert weak_incentive.crossed(table_of(CROSSES, leave_out="taught"), SETTINGS, "mazes", "taught") is None


def test_the_figure_and_the_tables_show_what_was_found():
    figure, rows = weak_incentive.figure(table_of(CROSSES), SETTINGS)
    assert len(figure.axes) == 2
    last = {row["series"]: row for row in rows if row["x"] in (STEPS[-1], 1000, 10)}
    assert last["generalist"]["low"] < 0.9 < last["generalist"]["high"]
    assert last["taught, bits"]["x"] == 100 * last["generalist, bits"]["x"] == 1000
    ends, crossings = weak_incentive.tables(table_of(CROSSES, noise=0.0), SETTINGS).values()
    assert [line["generalist"] for line in ends] == ["0.26", "0.90"]
    assert crossings[0]["taught"].split()[0] > "0"
    (line,) = list(weak_incentive.tables(table_of(NEVER), SETTINGS).values())[1]
    assert line["taught"].startswith("not identified: nowhere surely above 0")


@pytest.mark.parametrize(
    ("own", "named"), [({"pools": (4, "new")}, "must be one pool"), ({"reward": "sparse+hunger"}, "must be .sparse.")]
)
def test_what_is_no_comparison_is_refused(own, named):
    with pytest.raises(InputError, match=named):
        weak_incentive.cells(settings_of(**own))
