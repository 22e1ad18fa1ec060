"""With more compute, does a generalist beat specialists in their own specialty?

"A generalist with more compute beats the specialist" is the strong form of the claim: tens of tasks are best learnt one
by one, but a general skill is paid for once. Specialists are trained each on one held-out task with a budget S of its
own; generalists, which never meet these tasks, go on to many times S. At every multiple both play the same instances.
The specialists are supervised, and beside them incentivized. Incentivized specialists differ from generalists in scope
alone.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from incentivize.experiments.analysis.claim_guards import (
    why_above_their_teacher,
    why_specialists_not_beaten,
    why_specialists_open,
)
from incentivize.experiments.analysis.claims import Claim, judge, leave_open
from incentivize.experiments.analysis.comparisons import LEARNT_SCORE, by_seed, difference_matrix, seeds_by_tasks
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.analysis.thresholds import Location, crossing, describe
from incentivize.experiments.cells import Cell
from incentivize.experiments.design.grid import blind_cells, cell_of, headline_teacher, on_pool
from incentivize.experiments.design.specialists import ROLES, own_training, specialist
from incentivize.experiments.errors import InputError
from incentivize.experiments.presentation.charts import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    PlotRows,
    describe_seeds,
    draw_curve,
    label_budget_axis,
    legend,
    new_figure,
)
from incentivize.experiments.presentation.tables import mean_or_dash
from incentivize.experiments.settings.presets import STANDARD, TINY, with_large
from incentivize.experiments.settings.schema import Settings, compared_budgets, pool_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDY = "specialty"
QUESTION = "With more compute, does a generalist beat specialists in their own specialty?"

_QUICK: dict[str, Any] = {
    "families": ("errands", "mazes", "puzzles"),
    "seeds": 3,
    "pools": ("new",),
    "specialists": 4,
    "specialist_learners": ("taught", "incentivized"),
    "eval_tasks": 128,
    "eval_instances": 8,
    "evaluations": 4,
}
PRESETS = with_large(
    {
        "tiny": TINY | {"pools": ("new",), "specialist_learners": ("taught", "incentivized")},
        "quick": _QUICK,
        "standard": _QUICK | STANDARD,
    }
)

# The verdict rules, fixed before any run. Since November 2026, with all results published, specialists who have not
# learnt their own task are not said to be beaten. Success in the specialty, acting sampled.
BEATS = (
    "success of generalists with {multiple} times S steps on tasks that they never met minus that of {kind} "
    "specialists with S steps on each, same instances; jackknife 95% over seeds x tasks; supported above 0, without "
    "the specialists whose score in their own task is below {learnt} as well; refuted below 0; open where nobody's "
    "score reaches {learnt}, and instead of supported where an agent is above the teacher of supervised ones; 3 seeds "
    "and 3 tasks at least"
)
YEARS = 5  # in which compute grows tenfold, as the talk has it: a multiple is worth 5 log10(multiple) years
KINDS = {"taught": "supervised", "incentivized": "incentivized"}
"""Names of specialists for a reader, by what they learn from."""


def cells(settings: Settings) -> list[Cell]:
    """Make generalists of either signal with the whole budget B, and specialists with S, the smallest budget compared.

    Raises:
        InputError: where there is one budget, or more than one pool.
    """
    pool, *more = settings.pools
    if more:
        raise InputError(
            f"pools = {pool_names(settings.pools)}: must be one pool, as this study compares budgets. "
            'Give one, such as ["new"].'
        )
    grid = []
    for family in settings.families:
        budget, *others = steps_of(settings, family)
        if not others:
            raise InputError(
                f"evaluations = {settings.evaluations}: leaves one budget of {family}, but at least two budgets "
                "are compared. Give more evaluations or a larger budget."
            )
        taught: dict[str, Any] = {"learner": "cloning", "teacher": headline_teacher(family)}
        grid += blind_cells(STUDY, settings, family)
        for seed in range(settings.seeds):
            trained_on = on_pool(pool, seed)
            grid.append(cell_of(STUDY, settings, family, "generalist", **trained_on))
            grid.append(cell_of(STUDY, settings, family, "taught", **taught, **trained_on))
        training = own_training(settings, settings.training[family], budget)
        points = ((training.budget, "own"),)
        for learner in settings.specialist_learners:
            for task in range(settings.specialists):
                grid.append(
                    specialist(STUDY, settings, family, learner, task, training=training, evaluation_points=points)
                )
    return grid


def steps_of(settings: Settings, family: str) -> tuple[int, ...]:
    """Return the budgets of generalists that are compared, in environment steps, rising; specialists have the first."""
    return compared_budgets(settings, family)


def _multiple(steps: int, first: int) -> int:
    return round(steps / first)


def verdicts(table: ResultsTable, settings: Settings) -> list[Claim]:
    """Judge two claims per family and kind of specialist: at the greatest multiple of its compute, and at the same."""
    claims = []
    for family in settings.families:
        steps = steps_of(settings, family)
        for learner in settings.specialist_learners:
            kind = KINDS[learner]
            for step in (steps[-1], steps[0]):
                multiple = _multiple(step, steps[0])
                parts = _parts(table, family, learner, step)
                claim = f"generalists with {multiple} times the compute beat {kind} specialists in their specialty"
                rule = BEATS.format(multiple=multiple, kind=kind, learnt=LEARNT_SCORE)
                judged = judge(
                    STUDY,
                    family,
                    claim,
                    rule,
                    seeds_by_tasks(*parts, settings),
                    supported_above=0,
                    refuted_below=0,
                    too_few=why_specialists_open(table, family, *parts),
                    evaluated_on="specialty",
                )
                why = why_specialists_not_beaten(*parts, settings) or why_above_their_teacher(table, family, learner)
                claims.append(leave_open(judged, why, ("supported",)))
    return claims


def _parts(
    table: ResultsTable, family: str, learner: str, step: int, role: str = "generalist"
) -> tuple[ResultsTable, ResultsTable]:
    """Return rows in the specialty: of generalists at a budget, and of specialists."""
    specialty = table.where(family=family, evaluated_on="specialty")
    return specialty.where(role=role, env_steps=step), specialty.where(role=ROLES[learner])


def break_even(table: ResultsTable, settings: Settings, family: str, learner: str) -> Location | None:
    """Find the multiple of a specialist's budget from which generalists do as well; None where a cell is missing."""
    steps, ahead = steps_of(settings, family), []
    for step in steps:
        differences = difference_matrix(*_parts(table, family, learner, step), settings)
        if differences is None:
            return None
        ahead.append(differences)
    return crossing([step / steps[0] for step in steps], np.stack(ahead, -1))


def figure(table: ResultsTable, settings: Settings) -> tuple[Figure, PlotRows]:
    """Draw success in the specialty against a generalist's steps, and the specialists' levels, a panel per family."""
    drawn: PlotRows = []
    drawing, axes = new_figure(1, len(settings.families), width=4.6)
    for axis, family in zip(axes[0], settings.families, strict=True):
        steps = steps_of(settings, family)
        draw = partial(draw_curve, axis, drawn=drawn, family=family)
        for role, colour, label in (("generalist", BLUE, "incentivized"), ("taught", GREEN, "taught")):
            curve = [(float(step), by_seed(_parts(table, family, "taught", step, role)[0])) for step in steps]
            points = [(step, values) for step, values in curve if values]
            draw(points, f"{label} generalists, which never met the task", colour, series=role)
        for learner, colour in (("taught", ORANGE), ("incentivized", PURPLE)):
            if level := by_seed(_parts(table, family, learner, steps[0])[1]):  # by task: too many to be drawn each
                label = f"{KINDS[learner]} specialists, {steps[0] / 1e6:.2g} M steps each in {family}"
                points = [(float(step), level) for step in (steps[0], steps[-1])]
                draw(points, label, colour, series=ROLES[learner], line="--", draw_seeds=False)
        label_budget_axis(axis, list(steps))
        axis.set_ylim(-0.02, 1.02)
        axis.set_ylabel("success in the specialty")
        axis.set_xlabel("environment steps of a generalist")
        axis.set_title(family)
    legend(drawing, axes)
    general = [row for row in drawn if row["series"] in ("generalist", "taught")]
    tasks = max((row["n"] for row in drawn if row not in general), default=0)
    drawing.suptitle(f"generalists: {describe_seeds(general)}; specialists: {tasks} tasks; 95% Student t", fontsize=9)
    return drawing, drawn


def tables(table: ResultsTable, settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Return success by multiple, and the multiple from which generalists do as well, also in years."""
    lines, evens = [], []
    for family in settings.families:
        steps = steps_of(settings, family)
        for step in steps:
            line = {"family": family, "multiple": str(_multiple(step, steps[0]))}
            for role in ("generalist", "taught"):
                line[role] = mean_or_dash(_parts(table, family, "taught", step, role)[0].values())
            for learner in settings.specialist_learners:
                line[ROLES[learner]] = mean_or_dash(_parts(table, family, learner, step)[1].values())
            lines.append(line)
        for learner in settings.specialist_learners:
            place = break_even(table, settings, family, learner)
            years = "-" if place is None or place.at is None else f"{YEARS * math.log10(place.at):.1f}"
            evens.append({"family": family, "against": KINDS[learner], "multiple": describe(place), "years": years})
    return {
        "success in the specialty, by multiples of a specialist's steps": lines,
        f"multiple from which generalists do as well, and {YEARS} log10(multiple) years": evens,
    }
