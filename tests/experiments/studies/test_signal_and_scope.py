"""The study's grid, and its rules fed with synthetic tables for every answer."""

import numpy as np
import pytest

from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.errors import InputError
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.studies import signal_and_scope
from tests.helpers.counts import counted

OWN = {"families": ("errands",), "seeds": 4, "pools": (1, 4, 16, 64, 256, 1024, "new")}


def settings_of(**own):
    base = {"study": "signal-and-scope"} | signal_and_scope.PRESETS["quick"] | OWN
    return resolve(base, presets.training_defaults("quick"), own)


SETTINGS = settings_of()
TURN = {1: 0.0, 4: 0.0, 16: 0.1, 64: 0.5, 256: 0.9, 1024: 1.0, None: 1.0}


def table_of(tops, noise=0.01, leave_out=None, blind=0.2, low=0.2, by_heart=None, teacher=None):
    """A run in which every arm rises to its own top, and knows its own tasks as well, or `by_heart` as said."""
    rng, rows = np.random.default_rng(0), []
    for cell in signal_and_scope.cells(SETTINGS):
        if cell.role == "blind" or ((cell.role, cell.pool_size) == leave_out and cell.seed == 0):
            continue
        row = {"cell": cell.id, "family": cell.family, "role": cell.role, "seed": cell.seed}
        row |= {"pool_size": cell.pool_size, "env_steps": cell.evaluation_points[-1][0]}
        success = low + (tops[cell.role] - low) * TURN[cell.pool_size] + noise * rng.normal()
        known = {"unseen": success, "seen": (by_heart or {}).get(cell.role, success)}
        for split, found in known.items():
            score = None if blind is None else (found - blind) / (1 - blind)
            rows.append(row | {"evaluated_on": split, "success": found, "success_greedy": found, "score": score})
    meta = {} if teacher is None else {"teacher": {"errands": {"kind": "informed", "success": teacher}}}
    return ResultsTable(rows, counted(), {"blind": {"errands": blind}} | meta)


INCENTIVE = {"generalist": 0.9, "taught": 0.25, "noisy": 0.25, "taught first": 0.9}
BY_HEART = {"taught": 0.9, "noisy": 0.9}  # on tasks of their own pool, with any
DIVERSITY = {"generalist": 0.8, "taught": 0.95, "noisy": 0.9, "taught first": 0.85}
BLIND = {"generalist": 0.25, "taught": 0.22, "noisy": 0.22, "taught first": 0.25}
EQUAL = dict.fromkeys(INCENTIVE, 0.35)


def test_arms_differ_in_their_signal_and_in_nothing_else():
    cells = [cell for cell in signal_and_scope.cells(SETTINGS) if cell.role != "blind"]
    assert len({cell.id for cell in cells}) == len(cells) == 4 * 4 * 7
    told = {cell.role: (cell.learner, cell.teacher, cell.training.noise, cell.training.taught_steps) for cell in cells}
    quarter = 750_000 // 8192 // 4 * 8192
    assert told == {
        "generalist": ("ppo", None, 0.0, 0),
        "taught": ("cloning", "dagger", 0.0, 0),
        "noisy": ("cloning", "dagger", 0.2, 0),
        "taught first": ("ppo", "dagger", 0.0, quarter),
    }
    assert len({cell.evaluation_points for cell in cells}) == 1
    pools = {(cell.pool_size, cell.pool_seed, cell.seed) for cell in cells}
    assert len(pools) == 4 * 7  # the same for every arm


def test_where_a_rule_is_hidden_the_teacher_knows_what_the_agent_was_shown():
    cells = signal_and_scope.cells(settings_of(families=("codebooks",)))
    assert {cell.teacher for cell in cells} == {None, "fair-dagger"}


@pytest.mark.parametrize(
    ("tops", "own", "expected"),
    [
        (INCENTIVE, {"by_heart": BY_HEART}, ["refuted", "supported", "supported", "supported"]),
        (INCENTIVE, {}, ["refuted"] + ["inconclusive"] * 3),  # who was taught has not even learnt the own tasks
        (DIVERSITY, {}, ["supported", "refuted", "refuted", "refuted"]),
        (EQUAL, {"noise": 0.1}, ["inconclusive"] * 4),
        (BLIND, {"low": 0.0, "by_heart": BY_HEART}, ["refuted"] + ["inconclusive"] * 3),  # as in the control
        (BLIND, {"low": 0.0}, ["inconclusive"] * 4),  # nobody has learnt anything
        (DIVERSITY, {"teacher": 0.95}, ["supported", "refuted", "refuted", "refuted"]),
        (DIVERSITY, {"blind": None}, ["inconclusive"] * 4),
        (DIVERSITY, {"leave_out": ("taught", None)}, ["inconclusive", "inconclusive", "refuted", "inconclusive"]),
        (DIVERSITY, {"leave_out": ("taught", 1)}, ["inconclusive", "refuted", "refuted", "refuted"]),
    ],
)
def test_every_verdict(tops, own, expected):
    assert [claim.verdict for claim in signal_and_scope.verdicts(table_of(tops, **own), SETTINGS)] == expected


@pytest.mark.parametrize("tops", [INCENTIVE, DIVERSITY, BLIND | {"generalist": 0.7}])
def test_where_an_agent_is_above_its_teacher_nothing_is_said_against_teaching(tops):
    claims = signal_and_scope.verdicts(table_of(tops, by_heart=BY_HEART, teacher=0.4), SETTINGS)
    first, *others = claims
    assert first.verdict == ("supported" if tops is DIVERSITY else "inconclusive")
    if tops is DIVERSITY:  # the taught agent is ahead, however weak its teacher
        assert {claim.verdict for claim in others} == {"refuted"}
        return
    assert {claim.verdict for claim in others} == {"inconclusive"}
    assert "is above its teacher (0.40): the teacher is no upper bound here" in others[0].reason


def test_half_of_the_score_is_found():
    found = signal_and_scope.n_star(table_of(DIVERSITY), SETTINGS, "errands", "taught")
    assert found.low < found.at < found.high
    assert found.at == pytest.approx(64, rel=0.1)
    assert signal_and_scope.n_star(table_of(DIVERSITY, leave_out=("taught", 4)), SETTINGS, "errands", "taught") is None
    assert signal_and_scope.n_star(table_of(DIVERSITY, blind=None), SETTINGS, "errands", "taught") is None
    flat = signal_and_scope.n_star(table_of(INCENTIVE), SETTINGS, "errands", "noisy")
    assert "no skill" in flat.why


def test_the_figure_and_the_tables_show_what_was_found():
    table = table_of(DIVERSITY, noise=0.0)
    figure, rows = signal_and_scope.figure(table, SETTINGS)
    assert len(figure.axes) == 1
    found = {(row["series"], row["x"]): row["mean"] for row in rows}
    assert found["taught", 1.0] == pytest.approx(0.2)
    assert found["taught", "new"] == pytest.approx(0.95)
    lines, halves = signal_and_scope.tables(table, SETTINGS).values()
    assert list(lines[-1].values()) == ["errands", "new", "0.80", "0.95", "0.90", "0.85"]
    assert halves[0]["taught"].startswith("6")


@pytest.mark.parametrize(
    ("own", "named"),
    [({"taught_steps": 8192}, "taught_steps"), ({"noise": 0.1}, "noise"), ({"budget": 8192}, "at least 4 updates")],
)
def test_what_the_study_varies_is_refused(own, named):
    with pytest.raises(InputError, match=named):
        signal_and_scope.cells(settings_of(**own))
