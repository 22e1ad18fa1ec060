"""What leaves claims open in every study: nobody has learnt, who is beaten has not, or the teacher guesses."""

from typing import Any

import numpy as np
import pytest

from incentivize.experiments import studies
from incentivize.experiments.analysis.claim_guards import (
    guard_claims,
    teacher_level_of,
    teacher_levels,
    why_above_teacher,
    why_specialists_not_beaten,
)
from incentivize.experiments.analysis.claims import Claim, judge
from incentivize.experiments.analysis.estimates import Estimate
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from tests.helpers.counts import counted

BLIND = 0.3
FEW = {"seeds": 3, "control_seeds": 3, "specialists": 3, "specialist_learners": ("taught", "incentivized")}
OWN = {
    "task-count": {"families": ("errands", "codebooks"), "pools": (1, 16, 1024, "new"), "taught_pools": (1, "new")},
    "mixture": {"families": ("errands", "mazes")},
    "memory": {},
    "threshold-prediction": {"families": ("puzzles",)},
    "test-time": {"families": ("puzzles", "mazes")},
    "distribution-shift": {"families": ("errands",)},
}


def at_the_blind_level(study, settings):
    """A whole run in which every agent has the blind level, but for some noise, on whatever tasks."""
    rng, rows, counts, ledger = np.random.default_rng(0), [], [], {}
    for cell in study.cells(settings):
        ledger[cell.id] = {"supervision_bits": 1000, "env_steps": cell.evaluation_points[-1][0]}
        own = cell.pool_split != "training"
        names = ["seen", "specialty"] if own else ["seen", "unseen", "specialty"]
        splits = [(family, split) for family in cell.members for split in names]
        splits += [(cell.family, name) for name, _ in cell.shifts]
        tasks = [cell.pool_first] if own and cell.pool_size == 1 else range(settings.specialists)
        for (family, split), (point, kind), searched in (
            (split, point, searched)
            for split in splits
            for point in cell.evaluation_points
            for searched in cell.simulations
        ):
            success = float(np.clip(BLIND + 0.01 * rng.normal(), 0, 1))
            row = {"cell": cell.id, "family": family, "role": cell.role, "seed": cell.seed, "evaluated_on": split}
            row |= {"pool_size": cell.pool_size, "env_steps": point, "budget_kind": kind, "simulations": searched}
            row |= {"success": success, "success_greedy": success, "success_best": success, "path": 1.2 + success / 9}
            row |= {"success_by_attempt": [success] * settings.life, "log_likelihood": -2 + success}
            shifted = split in dict(cell.shifts)  # where there is no blind level, and so no score
            row |= {"variant": "shifted" if shifted else "", "control": cell.control}
            rows.append(row | {"score": None if shifted else (success - BLIND) / (1 - BLIND)})
            if split == "specialty" and not searched:
                counts += [(cell.id, point, split, task, round(1000 * success), 1000) for task in tasks]
    meta = {"ledger": ledger, "tasks": dict.fromkeys(settings.families, 10**12)}
    meta |= {key: dict.fromkeys(settings.families, BLIND) for key in ("blind", "uniform")}
    return ResultsTable(rows, counted(*counts), meta)


@pytest.mark.parametrize("name", studies.names())
def test_no_study_has_a_verdict_where_nobody_has_learnt_anything(name):
    study = studies.load(name)
    own = {key: value for key, value in FEW.items() if key in study.PRESETS["quick"] or key != "specialist_learners"}
    base = {"study": name, "preset": "quick"} | study.PRESETS["quick"] | own | OWN.get(name, {})
    settings = resolve(base, presets.training_defaults("quick"))
    claims = study.verdicts(at_the_blind_level(study, settings), settings)
    assert claims
    assert {claim.verdict for claim in claims} == {"inconclusive"}, [claim for claim in claims if claim.effect]


def claim_of(family="errands"):
    return Claim("mine", "it helps", "refuted", -0.1, -0.2, -0.05, 3, "", family, "the interval lies below 0")


def plain(*scores, role="generalist", **own):
    """Rows of one arm, by seed."""
    row = {
        "family": "errands",
        "role": role,
        "evaluated_on": "unseen",
        "env_steps": 8,
        "pool_size": None,
        "simulations": 0,
    }
    return [
        row | {"cell": f"{role}{seed}", "seed": seed, "success": score, "score": score} | own
        for seed, score in enumerate(scores)
    ]


SETTINGS = resolve(
    {"study": "specialty"} | studies.load("specialty").PRESETS["quick"] | {"families": ("errands",), "specialists": 4},
    presets.training_defaults("quick"),
)


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        (plain(0.0, 0.1, 0.05), "inconclusive"),
        (plain(0.0, 0.1, 0.05) + plain(0.9, 0.9, 0.9, role="blind"), "inconclusive"),  # no arm of the study
        (plain(0.0, 0.1, 0.05) + plain(0.9, 0.9, 0.9, evaluated_on="seen"), "refuted"),  # learnt by heart, and no more
        (plain(0.3, 0.2, 0.4), "refuted"),
        (plain(0.0, 0.1, 0.05) + plain(0.9, role="other", score=None), "refuted"),  # of other knobs, and learnt
        (plain(0.0, 0.1, 0.05) + plain(0.3, role="other", score=None), "inconclusive"),  # not learnt there either
        (plain(0.0, 0.1, 0.05) + plain(0.9, 0.9, 0.9, role="errands: blind", control="blind"), "inconclusive"),
        ([], "refuted"),
    ],
)
def test_a_study_that_has_no_guard_of_its_own_gets_one(rows, verdict):
    for claim in (claim_of(), claim_of(family="all")):
        (found,) = guard_claims([claim], ResultsTable(rows, counted(), {"blind": {"errands": BLIND}}), SETTINGS)
        assert found.verdict == verdict
        assert ("nobody has learnt it" in found.reason) == (verdict == "inconclusive")


def taught_by(success, *arms, kind="fair", episodes=512):
    meta = {"teacher": {"errands": {"kind": kind, "success": success, "n_tasks": 64, "n_episodes": episodes}}}
    return ResultsTable([row for arm in arms for row in arm], counted(), meta)


@pytest.mark.parametrize(
    ("success", "arm", "above"),
    [
        (0.5, plain(0.9, 0.88, 0.91), True),
        (0.5, plain(0.9, 0.3, 0.6), False),  # not surely
        (0.5, plain(0.9, 0.9), False),  # two seeds
        (0.9, plain(0.915, 0.914, 0.916), False),  # by no more than the margin
        (1.0, plain(1.0, 1.0, 1.0), False),
        (0.5, plain(0.55, 0.55, 0.55), False),  # within what 512 episodes measure
        (0.5, plain(0.9, 0.9, 0.9, role="blind"), False),
        (0.5, plain(0.9, 0.9, 0.9, simulations=16), False),  # thinking is no part of it
        (0.5, plain(0.2, 0.2, 0.2) + plain(0.9, 0.9, 0.9, role="taught"), True),  # any arm
        (0.5, plain(0.9, 0.9, 0.9, evaluated_on="seen"), False),  # known by heart
    ],
)
def test_an_arm_above_its_teacher_is_noticed(success, arm, above):
    why = why_above_teacher(taught_by(success, arm), "errands")
    assert (why is not None) == above
    if why:
        assert f"is above its teacher ({success:.2f}): the teacher is no upper bound here" in why


def test_a_run_that_has_not_measured_its_teacher_objects_nothing():
    arm = plain(0.9, 0.9, 0.9)
    for meta in ({}, {"teacher": {}}, {"teacher": {"errands": 3}}, {"teacher": {"errands": {"kind": "fair"}}}):
        table = ResultsTable(arm, counted(), meta)
        assert teacher_level_of(table, "errands") is None
        assert why_above_teacher(table, "errands") is None
        assert teacher_levels(table, SETTINGS) == {}
    (lines,) = teacher_levels(taught_by(0.5, arm), SETTINGS).values()
    assert list(lines[0].values()) == ["errands", "fair expert", "0.50", "generalist", "0.90"]


def test_a_fair_teacher_says_nothing_of_specialists_whose_teacher_knows_the_rule():
    table = taught_by(0.5, plain(0.9, 0.9, 0.9))
    assert why_above_teacher(table, "errands", ("informed",)) is None
    assert (
        why_above_teacher(taught_by(0.5, plain(0.9, 0.9, 0.9), kind="informed"), "errands", ("informed",)) is not None
    )


@pytest.mark.parametrize(
    ("levels", "beaten"),
    [
        ((0.5, 0.5, 0.5, 0.5), True),
        ((0.1, 0.5, 0.5, 0.5), True),  # also without the first, which has not learnt its task
        ((0.1, 0.9, 0.9, 0.9), False),  # the first alone makes the difference
        ((0.1, 0.1, 0.5, 0.5), False),  # two are too few
        ((0.1, 0.1, 0.1, 0.1), False),
    ],
)
def test_specialists_who_have_not_learnt_their_task_do_not_make_a_generalist_ahead(levels, beaten):
    rng, rows, counts = np.random.default_rng(0), [], []
    for seed in range(SETTINGS.seeds):
        rows += [row | {"seed": seed, "cell": f"g{seed}"} for row in plain(0.9, evaluated_on="specialty")]
        counts += [(f"g{seed}", 8, "specialty", task, round(900 + rng.normal()), 1000) for task in range(4)]
    specialists = plain(*levels, role="specialist", evaluated_on="specialty")
    counts += [(row["cell"], 8, "specialty", row["seed"], round(1000 * row["success"]), 1000) for row in specialists]
    table = ResultsTable(rows + specialists, counted(*counts), {})
    why = why_specialists_not_beaten(table.where(role="generalist"), table.where(role="specialist"), SETTINGS)
    assert (why is None) == beaten
    if why:
        assert "specialists have not learnt their own task" in why


def test_a_control_makes_a_claim_void_and_not_refuted():
    effect = Estimate(0.9, 0.8, 1.0, 3)
    own: Any = {"supported_above": 0.2, "refuted_below": 0.1}
    found = judge("mine", "errands", "it helps", "", effect, **own, objection="the control scores 0.50")
    assert (found.verdict, found.reason) == ("void", "the control scores 0.50")
    found = judge("mine", "errands", "it helps", "", effect, **own, objection="it scores", too_few="nobody has learnt")
    assert found.verdict == "void"
    assert judge("mine", "errands", "it helps", "", effect, **own, against="by its rule").verdict == "refuted"
    few = judge("mine", "errands", "it helps", "", effect._replace(n=2), **own, objection="it scores")
    assert few.verdict == "inconclusive"


def test_counts_are_of_the_row_s_own_number_of_simulations():
    rows = plain(0.5, evaluated_on="unseen", simulations=0) + plain(0.9, evaluated_on="unseen", simulations=16)
    counts = counted(("generalist0", 8, "unseen", 0, 5, 10), ("generalist0", 8, "unseen", 0, 9, 10))
    counts["simulations"] = [0, 16]
    table = ResultsTable(rows, counts, {})
    assert [table.where(simulations=many).per_task("unseen") for many in (0, 16)] == [{0: 0.5}, {0: 0.9}]
