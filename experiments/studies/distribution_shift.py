"""Has a skill been learnt, or the tasks nearby?

Agents that do well on tasks they never met may still lean on the nearest they did meet, or on combinations that they
know. Here they meet more than new draws from the same distribution: digits that were never combined in training,
longer tasks, larger ones. Incentivized and taught agents are trained on the same pools and evaluated in every shift,
and so are blind agents. Success on unseen tasks is also compared by the distance to the nearest training task.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from incentivize.experiments.analysis.claims import Claim, judge
from incentivize.experiments.analysis.comparisons import LEARNT_SCORE, by_seed, why_not_learnt, why_unscored
from incentivize.experiments.analysis.estimates import Estimate, t_interval, welch_interval
from incentivize.experiments.analysis.pool_curves import unseen
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.cells import Cell
from incentivize.experiments.design.grid import blind_cells, cell_of, headline_teacher, on_pool
from incentivize.experiments.errors import InputError
from incentivize.experiments.presentation.charts import (
    BLUE,
    GREEN,
    PlotRows,
    describe_seeds,
    draw_teacher_level,
    legend,
    new_figure,
    plot_by_pool,
)
from incentivize.experiments.presentation.tables import mean_or_dash
from incentivize.experiments.settings.presets import STANDARD, TINY, with_large
from incentivize.experiments.settings.schema import PoolSize, Settings, finite_pools, pool_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDY = "distribution-shift"
QUESTION = "Has a skill been learnt, or the tasks nearby?"

KNOBS: dict[str, dict[str, Any]] = {
    "codebooks": {"pairs": "apart"},
    "errands": {"objects": 3, "pairs": "apart"},
    "mazes": {"rows": 6, "columns": 6, "room": 8, "pairs": "apart"},
    "programs": {"length": 5, "room": 7, "pairs": "apart"},
    "puzzles": {"pairs": "apart"},
    "sequences": {"pairs": "apart"},
}
"""Knobs that agents are trained with: with room for every shift, and without tasks whose first two digits agree."""

_TOGETHER: dict[str, Any] = {"pairs": "together"}
SHIFTS: dict[str, dict[str, dict[str, Any]]] = {
    "codebooks": {"new pairs": _TOGETHER, "longer exam": {"exam": 4}},
    "errands": {"new pairs": _TOGETHER, "more objects": {"objects": 4}, "two in a row": {"objects": 4, "chain": 2}},
    "mazes": {"new pairs": _TOGETHER, "larger": {"rows": 7, "columns": 7}, "much larger": {"rows": 8, "columns": 8}},
    "programs": {"new pairs": _TOGETHER, "longer": {"length": 6}, "much longer": {"length": 7}},
    "puzzles": {"new pairs": _TOGETHER, "deeper": {"scramble": 3}},
    "sequences": {"new pairs": _TOGETHER},
}
"""Knobs that agents are then evaluated with, by the name of the shift."""

_QUICK: dict[str, Any] = {
    "families": ("errands", "puzzles"),
    "knobs": KNOBS,
    "seeds": 3,
    "control_seeds": 3,
    "pools": (64, 1024, 16384, "new"),
    "specialists": 4,
    "eval_tasks": 128,
    "eval_instances": 8,
    "evaluations": 3,
}
PRESETS = with_large(
    {
        "tiny": TINY | {"families": ("puzzles",), "knobs": KNOBS},
        "quick": _QUICK,
        "standard": _QUICK
        | STANDARD
        | {"families": ("errands", "puzzles", "mazes"), "pools": (64, 256, 1024, 4096, 16384, "new"), "evaluations": 3},
    }
)

# The verdict rules, fixed before any run. Success at the last budget, acting sampled.
RISE = 0.2
FLAT = 0.1
CARRIES = (
    "success in the shift of the incentivized agent at the largest pool minus that of the blind agent there, Welch 95% "
    f"over seeds; supported above {RISE}, refuted below {FLAT}; open where it has not learnt what it was trained for "
    f"(score below {LEARNT_SCORE}); 3 seeds at least of either"
)
NEARNESS = 0.1
CEILING = 0.95  # score above which distance can make no difference; added when errands had been seen
NEAR = (
    "success of the incentivized agent on the unseen tasks that are further from the nearest training task than the "
    f"mean, minus that on the nearer ones, the mean over pools whose unseen score is {LEARNT_SCORE} to {CEILING}, per "
    f"seed, Student t 95%; supported above -{NEARNESS}, refuted below it; open where there is no such pool; 3 seeds "
    "at least"
)
ARMS = {"generalist": ("incentivized", BLUE), "taught": ("taught", GREEN)}


def cells(settings: Settings) -> list[Cell]:
    """Make incentivized and taught agents on every pool, and blind ones, each evaluated in every shift.

    Raises:
        InputError: where a network has other parameters in a shift, so that an agent cannot be evaluated in it.
    """
    from incentivize.experiments.training.build import evaluation_config  # and with it jax

    grid = []
    for family in settings.families:
        shifts = tuple((name, tuple(sorted(knobs.items()))) for name, knobs in shifts_of(settings, family).items())
        grid += [replace(cell, shifts=shifts) for cell in blind_cells(STUDY, settings, family)]
        taught: dict[str, Any] = {"learner": "cloning", "teacher": headline_teacher(family)}
        for seed in range(settings.seeds):
            for pool in settings.pools:
                fields: dict[str, Any] = on_pool(pool, seed) | {"shifts": shifts}
                grid.append(cell_of(STUDY, settings, family, "generalist", **fields))
                grid.append(cell_of(STUDY, settings, family, "taught", **taught, **fields))
        try:
            evaluation_config(grid[-1])
        except ValueError as error:
            raise InputError(
                f"network = {grid[-1].training.network!r}: {error} Or give a network that fits both."
            ) from None
    return grid


def shifts_of(settings: Settings, family: str) -> dict[str, dict[str, Any]]:
    """Return the knobs of a family's shifts by name, without shifts that its training agrees with."""
    trained = settings.knobs.get(family, {})
    shifts = SHIFTS.get(family, {"new pairs": _TOGETHER})
    return {
        name: knobs for name, knobs in shifts.items() if any(trained.get(key) != value for key, value in knobs.items())
    }


def _success(table: ResultsTable, family: str, role: str, evaluated_on: str, pool: PoolSize = None) -> dict[int, float]:
    """Return an arm's success on a set of tasks at the last budget, by seed."""
    return by_seed(table.where(family=family, role=role, evaluated_on=evaluated_on, pool_size=pool).final())


def verdicts(table: ResultsTable, settings: Settings) -> list[Claim]:
    """Judge a claim per family for every shift, and one for the nearest training task."""
    claims, largest = [], settings.pools[-1]
    for family in settings.families:
        why = why_unscored(table, family) or why_not_learnt(unseen(table, family, "generalist", largest, "score"))
        for name in shifts_of(settings, family):
            agents = _success(table, family, "generalist", name, largest)
            blind = _success(table, family, "blind", name)
            complete = len(agents) == settings.seeds and len(blind) == settings.control_seeds
            effect = welch_interval(list(agents.values()), list(blind.values())) if complete else None
            claim = f"what was learnt carries over to a shift: {name}"
            bounds: Any = {"supported_above": RISE, "refuted_below": FLAT}
            claims.append(judge(STUDY, family, claim, CARRIES, effect, **bounds, too_few=why, evaluated_on=name))
        effect, few = _far_minus_near(table, settings, family)
        claim = "the nearest training task does not explain success on unseen tasks"
        bounds = {"supported_above": -NEARNESS, "refuted_below": -NEARNESS}
        claims.append(judge(STUDY, family, claim, NEAR, effect, **bounds, too_few=why or few))
    return claims


def _half_learnt_pools(table: ResultsTable, settings: Settings, family: str) -> list[int]:
    """Return the finite pools from which something has been learnt, but not all of it."""
    pools = []
    for pool in finite_pools(settings):
        scores = unseen(table, family, "generalist", pool, "score")
        learnt = set(scores) == set(range(settings.seeds)) and why_not_learnt(scores) is None
        if learnt and np.mean(list(scores.values())) <= CEILING:
            pools.append(pool)
    return pools


def _far_minus_near(table: ResultsTable, settings: Settings, family: str) -> tuple[Estimate | None, str | None]:
    """Estimate success far from the pool minus success near it, over seeds; or say why there is no such difference."""
    pools = _half_learnt_pools(table, settings, family)
    if not pools:
        return None, "no pool with an end has taught something but not all, or a cell is missing"
    mean_differences = []
    for seed in range(settings.seeds):
        differences = []
        for pool in pools:
            near, far = _by_distance(table, settings, family, pool, seed)
            if near and far:
                differences.append(float(np.mean(far) - np.mean(near)))
        if differences:
            mean_differences.append(float(np.mean(differences)))
    if len(mean_differences) < settings.seeds:
        return None, "all unseen tasks are as far from the training tasks"
    return t_interval(mean_differences), None


def _by_distance(
    table: ResultsTable, settings: Settings, family: str, pool: int, seed: int
) -> tuple[list[float], list[float]]:
    """Return success per unseen task: of the tasks nearer to the pool than the mean, and of those further."""
    from incentivize.experiments.analysis.task_distance import distances_to_pool  # and with it jax

    rows = table.where(family=family, role="generalist", pool_size=pool, seed=seed, evaluated_on="unseen").final()
    success = rows.per_task("unseen")
    knobs = tuple(sorted(settings.knobs.get(family, {}).items()))
    away = distances_to_pool(family, knobs, pool, settings.pool_seed + seed, settings.eval_tasks)
    mean = np.mean(away)
    near = [value for task, value in success.items() if away[task] < mean]
    return near, [value for task, value in success.items() if away[task] >= mean]


def figure(table: ResultsTable, settings: Settings) -> tuple[Figure, PlotRows]:
    """Draw unseen success and success in every shift against the pool's size, a row per family."""
    drawn: PlotRows = []
    wide = 1 + max(len(shifts_of(settings, family)) for family in settings.families)
    drawing, axes = new_figure(len(settings.families), wide, width=3.4)
    for row, family in zip(axes, settings.families, strict=True):
        evaluated = ["unseen", *shifts_of(settings, family)]
        for axis, evaluated_on in zip(row, evaluated, strict=False):
            final = table.where(family=family, evaluated_on=evaluated_on).final()
            arms = {
                f"{role}, {evaluated_on}": (label, colour, final.where(role=role))
                for role, (label, colour) in ARMS.items()
            }
            plot_by_pool(axis, arms, drawn, family, settings.pools)
            if levels := final.where(role="blind").values():
                level = float(np.mean(levels))
                axis.axhline(level, color="black", linewidth=0.8, linestyle=":", label="blind agent there")
            if evaluated_on == "unseen":
                draw_teacher_level(axis, table, family)
            axis.set_title(f"{family}: {evaluated_on}", fontsize=9)
            axis.set_ylabel("success")
        for axis in row[len(evaluated) :]:
            axis.set_axis_off()
    legend(drawing, axes, columns=3)
    drawing.suptitle(f"{describe_seeds(drawn)}, last budget, 95% Student t", fontsize=9)
    return drawing, drawn


def tables(table: ResultsTable, settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Return success in every shift at the largest pool, and success near to the training tasks and far from them."""
    lines, distances, largest = [], [], settings.pools[-1]
    for family in settings.families:
        for evaluated_on in ("unseen", *shifts_of(settings, family)):
            line = {"family": family, "evaluated_on": evaluated_on}
            for role in ARMS:
                line[role] = mean_or_dash(_success(table, family, role, evaluated_on, largest).values())
            lines.append(line | {"blind": mean_or_dash(_success(table, family, "blind", evaluated_on).values())})
        for pool in _half_learnt_pools(table, settings, family):
            both_sides = [_by_distance(table, settings, family, pool, seed) for seed in range(settings.seeds)]
            near, far = (mean_or_dash([value for sides in both_sides for value in sides[side]]) for side in (0, 1))
            distances.append({"family": family, "pool": f"{pool:,}", "near": near, "far": far})
    by_title = {f"success at pool {pool_name(largest)}, last budget (generalist: incentivized)": lines}
    if distances:
        by_title["unseen success nearer to a training task than the mean, and further"] = distances
    return by_title
