"""The study's grid, and its rules fed with synthetic tables for every answer."""

from dataclasses import replace

import numpy as np
import pytest

from incentivize.experiments.analysis.comparisons import seeds_by_tasks
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.design import specialists
from incentivize.experiments.errors import InputError
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.settings.training import TAUGHT_OVERRIDES
from incentivize.experiments.studies import task_count
from tests.helpers.counts import counted


def settings_of(preset="quick", **own):
    base = {"study": "task-count", "preset": preset, "families": ("errands",)} | task_count.PRESETS[preset]
    base["families"] = ("errands",)
    return resolve(base, presets.training_defaults(preset), own)


SETTINGS = settings_of(seeds=5, control_seeds=5, specialists=4, pools=(4, 64, 1024, "new"), taught_pools=("new",))


CROSSED = SETTINGS.model_copy(update={"specialist_learners": ("taught", "incentivized")})


def table_of(unseen, shuffled=0.02, taught=0.9, specialist=0.9, incentivized=0.7, settings=SETTINGS, noise=0.01):
    """Results of a run in which success is as given: the generalist's by pool, a specialist's at the full budget."""
    rng = np.random.default_rng(0)
    rows, counts = [], []
    for cell in task_count.cells(settings):
        for point, kind in cell.evaluation_points:
            full = point == cell.evaluation_points[-1][0] or "specialist" in cell.role
            level = {
                "generalist": unseen.get("new" if cell.pool_size is None else cell.pool_size, 0.0),
                "control": shuffled,
                "taught": taught,
                "blind": 0.25,
                "met": 0.95,
                "specialist": specialist if kind == "full" else specialist / 2,
                "incentivized specialist": incentivized if kind == "full" else incentivized / 2,
            }[cell.role]
            success = float(np.clip((level if full else level / 2) + noise * rng.normal(), 0, 1))
            row = {
                "cell": cell.id,
                "family": cell.family,
                "role": cell.role,
                "pool_size": cell.pool_size,
                "seed": cell.seed,
                "budget_kind": kind,
                "env_steps": point,
                "success": success,
                "score": (success - 0.25) / 0.75,
            }
            ordinals = [cell.pool_first] if "specialist" in cell.role else range(settings.specialists)
            rows += [row | {"evaluated_on": split} for split in ("seen", "unseen", "specialty")]
            counts += [
                (cell.id, point, "specialty", o, round(1000 * np.clip(success + noise * rng.normal(), 0, 1)), 1000)
                for o in ordinals
            ]
    meta = {"blind": {"errands": 0.25}, "uniform": {"errands": 0.18}, "tasks": {"errands": 16**10}}
    return ResultsTable(rows, counted(*counts), meta)


def verdicts(*args, settings=SETTINGS, **own):
    claims = task_count.verdicts(table_of(*args, settings=settings, **own), settings)
    return {claim.claim.split(" (")[0] if "specialty" not in claim.claim else claim.claim: claim for claim in claims}


RISING = {4: 0.02, 64: 0.05, 1024: 0.8, "new": 0.95}
FLAT = {4: 0.25, 64: 0.25, 1024: 0.26, "new": 0.25}
FULL = " supervised specialists in their own specialty (B steps each)"
APPEARS = "general skill appears as training tasks multiply"
AGAINST_INCENTIVIZED = "an incentivized generalist beats incentivized specialists in their own specialty (B steps each)"


def test_skill_that_appears_is_supported():
    claim = verdicts(RISING)[APPEARS]
    assert (claim.verdict, claim.n) == ("supported", 5)
    assert claim.low < claim.effect < claim.high
    assert claim.effect == pytest.approx(0.7 / 0.75, abs=0.05)  # at the smallest pool it is worse than blind: 0


@pytest.mark.parametrize("curve", [FLAT, {4: 0.01, 64: 0.05, 1024: 0.2, "new": 0.26}], ids=["flat", "up to blind"])
def test_a_flat_curve_is_refuted_and_so_is_one_that_comes_up_to_the_blind_level(curve):
    assert verdicts(curve)[APPEARS].verdict == "refuted"


@pytest.mark.parametrize("curve", [RISING, FLAT])
def test_a_rise_in_the_shuffled_control_makes_the_claim_void_whatever_the_effect(curve):
    claim = verdicts(curve, shuffled=0.5)[APPEARS]
    assert claim.verdict == "void"
    assert "the control scores 0.33 at pool" in claim.reason


def test_where_nobody_has_learnt_anything_skill_is_not_said_to_be_missing():
    claim = verdicts(FLAT, taught=0.25)[APPEARS]
    assert (claim.verdict, claim.n) == ("inconclusive", 5)
    assert "nobody has learnt it" in claim.reason


def test_agents_that_know_their_pool_by_heart_and_no_more_refute_it():
    table = table_of(FLAT, taught=0.25)
    rows = [row | {"score": 0.9} if row["evaluated_on"] == "seen" else row for row in table.rows]
    assert task_count.verdicts(ResultsTable(rows, table.tasks, table.meta), SETTINGS)[0].verdict == "refuted"


def test_rows_that_stand_twice_make_no_second_seed():
    settings = settings_of(seeds=3, control_seeds=3, specialists=3, pools=(4, "new"), taught_pools=("new",))
    table = table_of(RISING, settings=settings)
    rows = [row for row in table.rows if row["role"] != "control" or row["seed"] != 2]
    doubled = ResultsTable([row for row in rows for _ in range(2)], table.tasks, table.meta)
    assert task_count.verdicts(doubled, settings)[0].reason == "the control is not complete"
    _, once = task_count.figure(ResultsTable(rows, table.tasks, table.meta), settings)
    _, twice = task_count.figure(doubled, settings)
    assert twice == once
    assert max(row["n"] for row in once) == 3


def test_a_noisy_rise_is_inconclusive():
    assert verdicts({4: 0.2, "new": 0.35}, noise=0.2)[APPEARS].verdict == "inconclusive"


def test_two_seeds_decide_nothing():
    settings = settings_of(seeds=2, control_seeds=3, pools=(4, "new"), taught_pools=("new",))
    found = verdicts(RISING, settings=settings)[APPEARS]
    assert found.verdict == "inconclusive"
    assert found.low is None
    assert "no verdict from fewer than 3" in found.reason


def test_two_seeds_of_the_control_decide_nothing():
    settings = settings_of(seeds=5, control_seeds=2, pools=(4, "new"), taught_pools=("new",))
    found = verdicts(RISING, settings=settings)[APPEARS]
    assert (found.verdict, found.reason) == ("inconclusive", "the control has 2 of 3 seeds")


def test_one_pool_shows_no_rise():
    settings = settings_of(seeds=5, pools=("new",), control_seeds=5)
    assert verdicts(RISING, settings=settings)[APPEARS].verdict == "inconclusive"


@pytest.mark.parametrize("role", ["generalist", "control"])
def test_an_incomplete_grid_decides_nothing(role):
    table = table_of(RISING)
    missing = table.where(lambda row: row["role"] != role or row["seed"] != 4)
    claim = task_count.verdicts(missing, SETTINGS)[0]
    assert claim.verdict == "inconclusive"
    assert "missing" in claim.reason or "not complete" in claim.reason


def test_a_blind_level_without_room_decides_nothing():
    table = table_of(RISING)
    full = ResultsTable(
        [row | {"score": None} for row in table.rows], table.tasks, table.meta | {"blind": {"errands": 1.0}}
    )
    assert "no room" in task_count.verdicts(full, SETTINGS)[0].reason


@pytest.mark.parametrize("scattered", ["seeds", "tasks"])
def test_what_differs_widens_the_interval_against_specialists(scattered):
    """Equal arms, seeds or tasks that scatter: an interval over the others would often be sure of a difference."""
    wrong = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        level = rng.normal(0, 0.05, (5, 1) if scattered == "seeds" else (1, 4)) + rng.normal(0, 0.01, (5, 4))
        rows, counts = [], []
        for s in range(5):
            rows.append({"cell": f"g{s}", "family": "errands", "seed": s, "env_steps": 1, "role": "generalist"})
            counts += [(f"g{s}", 1, "specialty", t, round(1000 * (0.5 + level[s, t])), 1000) for t in range(4)]
        rows += [{"cell": f"s{t}", "family": "errands", "seed": t, "env_steps": 1, "role": "other"} for t in range(4)]
        counts += [(f"s{t}", 1, "specialty", t, 500, 1000) for t in range(4)]
        table = ResultsTable(rows, counted(*counts), {})
        found = seeds_by_tasks(table.where(role="generalist"), table.where(role="other"), SETTINGS)
        wrong += not found.low <= 0 <= found.high
    assert wrong <= 5


def test_without_its_control_the_claim_is_open():
    settings = settings_of(seeds=5, pools=(4, "new"), control_pools=(), taught_pools=())
    found = verdicts(RISING, settings=settings)
    assert found[APPEARS].verdict == "inconclusive"
    assert "control" in found[APPEARS].reason


@pytest.mark.parametrize(
    ("specialist", "expected"),
    [
        (0.99, ["refuted", "supported", "supported"]),
        (0.9, ["supported"] * 3),
        (0.5, ["supported", "inconclusive", "inconclusive"]),  # with less they are at the blind level, .25
        (0.95, ["inconclusive", "supported", "supported"]),
    ],
)
def test_generalist_against_specialists(specialist, expected):
    """Specialists with B steps are as good as said, with less half as good: the generalist (.95) beats those."""
    unseen = dict.fromkeys(RISING, 0.95)
    found = {claim: c.verdict for claim, c in verdicts(unseen, specialist=specialist).items() if "specialty" in claim}
    assert found.pop("a generalist that met the tasks beats" + FULL) == expected[0]  # it has .95 too
    assert list(found.values()) == expected


@pytest.mark.parametrize(("incentivized", "expected"), [(0.99, "refuted"), (0.5, "supported"), (0.95, "inconclusive")])
def test_generalist_against_incentivized_specialists(incentivized, expected):
    """Supervised specialists stay at .9: the verdict has to come from the others, at their full budget."""
    unseen = dict.fromkeys(RISING, 0.95)
    found = verdicts(unseen, incentivized=incentivized, settings=CROSSED)
    assert found[AGAINST_INCENTIVIZED].verdict == expected
    assert found[AGAINST_INCENTIVIZED].rule == task_count.BEATS.format(met="never met")
    assert len(found) == len(verdicts(unseen)) + 1


def test_missing_incentivized_specialists_leave_the_claim_open():
    table = table_of(RISING, settings=CROSSED).where(lambda row: row["role"] != "incentivized specialist")
    (claim,) = (c for c in task_count.verdicts(table, CROSSED) if c.claim == AGAINST_INCENTIVIZED)
    assert (claim.verdict, claim.effect) == ("inconclusive", None)
    _, lines, _ = task_count.tables(table, CROSSED).values()
    assert [line["incentivized"] for line in lines][2] == "-"


def test_one_specialist_has_no_budget_to_split():
    settings = SETTINGS.model_copy(update={"specialists": 1})
    claims = task_count.verdicts(table_of(RISING, settings=settings), settings)
    assert len(claims) == len(verdicts(RISING)) - 1
    assert not [claim.claim for claim in claims if claim.reason == "cells are missing"]


def test_incentivized_specialists_are_like_the_taught_but_for_what_they_learn_from():
    taught, incentivized = (
        [c for c in task_count.cells(CROSSED) if c.role == role] for role in specialists.ROLES.values()
    )
    assert len(taught) == len(incentivized) == 2 * CROSSED.specialists
    as_taught = {"role": "specialist", "learner": "cloning", "teacher": "dagger"}
    tuned = {key: getattr(taught[0].training, key) for key in TAUGHT_OVERRIDES}
    assert [
        replace(cell, training=cell.training.model_copy(update=tuned), **as_taught) for cell in incentivized
    ] == taught
    assert {(cell.learner, cell.teacher, cell.training.reward) for cell in incentivized} == {("ppo", None, "sparse")}


def test_signal_and_scope_are_crossed_in_one_table():
    assert len(task_count.tables(table_of(RISING), SETTINGS)) == 2
    table = table_of(RISING, taught=0.8, specialist=0.6, incentivized=0.4, settings=CROSSED, noise=0.0)
    _, lines, _ = task_count.tables(table, CROSSED).values()
    assert lines == [
        {"family": "errands", "scope": "generalist, pool new", "incentivized": "0.95", "taught": "0.80"},
        {"family": "errands", "scope": "generalist that met these tasks", "incentivized": "0.95", "taught": "-"},
        {"family": "errands", "scope": "specialist", "incentivized": "0.40", "taught": "0.60"},
    ]


def test_missing_cells_are_not_imputed():
    empty = ResultsTable([], counted(), {"blind": {"errands": 0.25}})
    claims = task_count.verdicts(empty, SETTINGS)
    assert {claim.verdict for claim in claims} == {"inconclusive"}
    assert {claim.effect for claim in claims} == {None}


def test_specialists_get_their_budgets_in_whole_updates():
    points = specialists.specialist_points(SETTINGS, SETTINGS.training["errands"])
    budget = SETTINGS.training["errands"].budget
    assert points.at_large == {budget // 4 // 8192 * 8192: "equal_share", budget // 8192 * 8192: "full"}
    assert points.at_small == {budget // 64 // 512 * 512: "share", budget // 1024 // 512 * 512: "share"}
    assert points.shares == {
        4: budget // 4 // 8192 * 8192,
        64: budget // 64 // 512 * 512,
        1024: budget // 1024 // 512 * 512,
    }


def test_generalists_may_have_met_the_specialists_tasks():
    """Their pool is of held-out tasks, as large as the largest that ends, and has the specialists' among them."""
    met = [cell for cell in task_count.cells(SETTINGS) if cell.role == "met"]
    assert [(cell.pool_split, cell.pool_first, cell.pool_size) for cell in met] == [("heldout", 0, 1024)] * 5
    alike = [cell for cell in task_count.cells(SETTINGS) if cell.role == "generalist" and cell.pool_size == 1024]
    assert [cell.training for cell in met] == [cell.training for cell in alike]
    few = settings_of(pools=(1, "new"), specialists=4)
    assert not [cell for cell in task_count.cells(few) if cell.role == "met"]


def test_where_the_curve_turns_is_told():
    pools = (1, 4, 64, 1024, 16384, "new")
    settings = settings_of(seeds=5, pools=pools, control_pools=pools, taught_pools=("new",))
    rising = {1: 0.25, 4: 0.25, 64: 0.3, 1024: 0.9, 16384: 0.95, "new": 0.95}
    (line,) = list(task_count.tables(table_of(rising, settings=settings), settings).values())[-1]
    assert 64 < float(line["N*"].split()[0]) < 1024
    assert line["twice the training helps from"].startswith("not identified: nowhere surely below 0")


def test_shares_below_one_update_are_censored():
    settings = settings_of(pools=(4, 65536, "new"))
    points = specialists.specialist_points(settings, settings.training["errands"])
    assert points.at_small == {}
    assert list(points.shares) == [4]


def test_cells_are_told_apart():
    cells = task_count.cells(SETTINGS)
    assert len({cell.id for cell in cells}) == len(cells)
    assert {cell.role for cell in cells} == {"generalist", "control", "blind", "taught", "specialist", "met"}
    again = task_count.cells(settings_of(seeds=5, control_seeds=5, specialists=4, pools=(4, 64, 1024, "new")))
    assert {cell.id for cell in again if cell.role == "generalist"} == {c.id for c in cells if c.role == "generalist"}
    assert {cell.pool_split for cell in cells if cell.role in ("specialist", "met")} == {"heldout"}


def test_other_pools_leave_the_specialists_their_tasks():
    cells, others = (task_count.cells(settings_of(pool_seed=first, control_seeds=2)) for first in (0, 10))
    for cell, other in zip(cells, others, strict=True):
        moved = 0 if cell.role in ("specialist", "met") else 10
        assert other == replace(cell, pool_seed=cell.pool_seed + moved)


def test_a_hidden_rule_has_a_control_and_two_teachers_of_its_own():
    """The one to compare with knows what the agent was shown; the one who knows the rule stands beside it."""
    base = {"study": "task-count"} | task_count.PRESETS["quick"] | {"families": ("codebooks",)}
    cells = task_count.cells(resolve(base, presets.training_defaults("quick")))
    assert {(cell.role, cell.control, cell.learner, cell.teacher) for cell in cells} == {
        ("blind", "blind", "ppo", None),
        ("generalist", None, "ppo", None),
        ("met", None, "ppo", None),
        ("control", "disjoint", "ppo", None),
        ("taught", None, "cloning", "fair-dagger"),
        ("informed", None, "cloning", "dagger"),
        ("specialist", None, "cloning", "dagger"),
    }


def test_a_life_goes_into_every_cell_and_leaves_other_cells_what_they_were():
    """And where what attempts bring would tell the real rule, the control is refused."""
    lives = task_count.cells(settings_of(life=4))
    assert {(cell.life, cell.variant_of(cell.family)) for cell in lives} == {(4, "life=4")}
    assert not {cell.id for cell in lives} & {cell.id for cell in task_count.cells(settings_of())}
    assert all("life" not in cell.variant_of(cell.family) for cell in task_count.cells(settings_of()))
    base = {"study": "task-count"} | task_count.PRESETS["quick"] | {"families": ("codebooks",)}
    with pytest.raises(InputError, match=r"^life = 4: codebooks has no control of skill then.*control_pools = "):
        task_count.cells(resolve(base, presets.training_defaults("quick"), {"life": 4}))
    assert task_count.cells(resolve(base, presets.training_defaults("quick"), {"life": 4, "control_pools": ()}))


def test_a_standard_run_has_what_a_verdict_needs():
    settings = settings_of("standard")
    assert settings.seeds >= 5
    assert settings.specialists >= 32
    assert settings.control_seeds >= 3
    assert set(settings.control_pools) == set(settings.pools)
    assert set(settings.specialist_learners) == {"taught", "incentivized"}


def test_the_figure_draws_what_it_says():
    figure, rows = task_count.figure(table_of(RISING), SETTINGS)
    series = {row["series"] for row in rows}
    assert {"generalist, unseen", "generalist, seen", "control, unseen", "taught, unseen"} < series
    assert {
        "specialist, full",
        "specialist, equal_share",
        "specialist, share",
        "blind level",
        "uniform actions",
    } < series
    drawn = [row for row in rows if row["series"] == "generalist, unseen"]
    assert [row["pool_size"] for row in drawn] == [4, 64, 1024, "new"]
    assert all(row["low"] < row["success"] < row["high"] and row["n"] == 5 for row in drawn)
    assert len(figure.axes) == 1
    assert not any("incentivized specialist" in name for name in series)
    more = {row["series"] for row in task_count.figure(table_of(RISING, settings=CROSSED), CROSSED)[1]} - series
    assert more == {"incentivized specialist, full", "incentivized specialist, share"}


def test_a_generalist_that_was_taught_first_is_not_called_incentivized():
    settings = settings_of(taught_steps=8192)
    figure, _ = task_count.figure(table_of(RISING, settings=settings), settings)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[0].startswith("generalist taught for 8,192 steps, then incentivized, unseen tasks")
    assert not [label for label in labels if label.startswith("incentivized generalist")]


def test_no_band_from_two_seeds():
    settings = settings_of(seeds=2, pools=(4, "new"))
    figure, rows = task_count.figure(table_of(RISING, settings=settings), settings)
    assert {row["low"] for row in rows if row["series"] == "generalist, unseen"} == {""}
    assert not figure.axes[0].collections or all(
        type(c).__name__ != "PolyCollection" for c in figure.axes[0].collections
    )


def test_taught_agents_may_have_a_step_size_and_minibatches_of_their_own():
    base = {"study": "task-count", "preset": "quick"} | task_count.PRESETS["quick"]
    plain = resolve(base, presets.training_defaults("quick"))
    flags = {"taught_learning_rate": 5e-4, "taught_minibatches": 2}
    for before, cell in zip(
        task_count.cells(plain), task_count.cells(resolve(base, presets.training_defaults("quick"), flags)), strict=True
    ):
        if cell.learner == "cloning":
            assert (cell.training.learning_rate, cell.training.minibatches) == (5e-4, 2)
        else:
            assert cell == before
    with pytest.raises(InputError, match="taught_minibatches = 5: must divide num_envs = 512"):
        resolve(base, presets.training_defaults("quick"), {"taught_minibatches": 5})
