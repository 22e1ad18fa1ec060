"""Does an incentive turn compute into skill by another law than teaching does?

Brain and body mass follow one power law in most animals and another in hominids: "another slope" is what a difference
in kind looks like. The agents of `weak-incentive`, taught, rewarded on the way and rewarded for success alone, are
asked how their failures on unseen tasks fall with environment steps, in logarithms of both, and whether a power law,
or a logistic curve, forecasts the largest budgets from the smaller ones. Where no power law does, its slope means
little, and a table says so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from incentivize.experiments.analysis.claim_guards import why_not_beaten
from incentivize.experiments.analysis.claims import Claim, judge, leave_open
from incentivize.experiments.analysis.comparisons import LEARNT_SCORE, by_seed
from incentivize.experiments.analysis.estimates import t_interval
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.analysis.scaling_laws import MIN_ERROR, fit_laws, slope_difference, slopes
from incentivize.experiments.cells import Cell
from incentivize.experiments.presentation.charts import (
    PlotRows,
    describe_seeds,
    draw_curve,
    label_budget_axis,
    legend,
    new_figure,
)
from incentivize.experiments.settings.schema import Settings, evaluation_budgets
from incentivize.experiments.studies import weak_incentive
from incentivize.experiments.studies.weak_incentive import ARMS, by_budget

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDY = "slopes"
QUESTION = "Does an incentive turn compute into skill by another law than teaching does?"
PRESETS: dict[str, dict[str, Any]] = weak_incentive.PRESETS

# The verdict rules, fixed before any run. Since November 2026, with all results published, an arm that has learnt
# nothing is not said to be beaten, and nothing is said against teaching where an arm is above its teacher.
# Failures are 1 - success on unseen tasks, acting sampled, MIN_ERROR at least.
STEEPER = (
    "slope of log failures against log steps, that of the {other} agent minus that of the one rewarded for success "
    "alone, within seeds, over all budgets, Student t 95%; supported above 0, refuted below; open where neither score "
    "reaches {learnt} in the end, instead of supported also where the other's does not, on its tasks or others, or, if "
    "taught, where an agent is above the teacher; 3 seeds and 3 budgets at least"
)
HELD = 2  # largest budgets that are held out of the fit, and extrapolated to


def cells(settings: Settings) -> list[Cell]:
    """Return the cells of `weak-incentive`.

    Raises:
        InputError: where `weak_incentive.cells` refuses the settings.
    """
    return [replace(cell, study=STUDY) for cell in weak_incentive.cells(settings)]


def _failures(table: ResultsTable, settings: Settings, family: str, role: str) -> tuple[list[int], np.ndarray] | None:
    """Return budgets in environment steps, and an arm's failures on unseen tasks.

    Returns:
        Budgets [B], and failures, float64 [seeds, B]; None where a cell is missing or there are fewer than 3 budgets.
    """
    curve = by_budget(table, settings, family, role)
    if curve is None or len(curve[0]) < 3:
        return None
    steps, success = curve
    return steps, np.maximum(1 - success, MIN_ERROR)


def verdicts(table: ResultsTable, settings: Settings) -> list[Claim]:
    """Judge two claims per family: against teaching, and against a reward on the way."""
    claims = []
    for family in settings.families:
        last = evaluation_budgets(settings, family)[-1]
        for other, better in (("taught", "teaching's"), ("shaped", "a reward's on the way")):
            others, sparse = (_failures(table, settings, family, role) for role in (other, "generalist"))
            effect = None
            if others is not None and sparse is not None:
                effect = slope_difference(slopes(*others), slopes(*sparse), paired=True)
            few = "there are fewer than 3 budgets" if len(evaluation_budgets(settings, family)) < 3 else None
            few = few or weak_incentive.why_open(table, family, last, other)
            claim = f"a weak incentive's failures fall more steeply with compute than {better}"
            rule = STEEPER.format(other=other, learnt=LEARNT_SCORE)
            judged = judge(STUDY, family, claim, rule, effect, supported_above=0, refuted_below=0, too_few=few)
            arm = table.where(family=family, role=other, env_steps=last)
            why = why_not_beaten(arm, f"the {other} agent") or weak_incentive.above(table, family, other)
            claims.append(leave_open(judged, why, ("supported",)))
    return claims


def figure(table: ResultsTable, settings: Settings) -> tuple[Figure, PlotRows]:
    """Draw failures on unseen tasks against environment steps, both on logarithmic axes, a panel per family."""
    drawn: PlotRows = []
    drawing, axes = new_figure(1, len(settings.families))
    for axis, family in zip(axes[0], settings.families, strict=True):
        for role, (colour, label) in ARMS.items():
            rows = table.where(family=family, evaluated_on="unseen", role=role)
            steps = sorted({row["env_steps"] for row in rows.rows})
            curve = [(float(step), by_seed(rows.where(env_steps=step))) for step in steps]
            points = [
                (step, {seed: max(1 - value, MIN_ERROR) for seed, value in values.items()}) for step, values in curve
            ]
            draw_curve(axis, points, label, colour, drawn, family=family, series=role)
        label_budget_axis(axis, list(evaluation_budgets(settings, family)))
        axis.set_yscale("log")
        axis.set_ylim(MIN_ERROR * 0.8, 1.2)
        axis.set_ylabel("failures, unseen tasks")
        axis.set_title(family)
    legend(drawing, axes, columns=3 if len(settings.families) > 1 else 1)
    drawing.suptitle(f"{describe_seeds(drawn)}, 95% Student t", fontsize=9)
    return drawing, drawn


def tables(table: ResultsTable, settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Return slopes with their intervals, and by how much laws fitted to the smaller budgets miss the largest."""
    lines, missed = [], []
    for family in settings.families:
        for role, (_, label) in ARMS.items():
            failures = _failures(table, settings, family, role)
            line = {"family": family, "arm": label}
            if failures is None:
                lines.append(line | {"slope": "-", "95%": "-"})
                continue
            slope = t_interval(slopes(*failures))
            ends = "-" if not np.isfinite(slope.low) else f"{slope.low:+.2f} to {slope.high:+.2f}"
            lines.append(line | {"slope": f"{slope.mean:+.2f}", "95%": ends})
            if len(failures[0]) >= HELD + 3:
                misses = {law.name: f"{law.extrapolation_error:.2f}" for law in fit_laws(*failures, held=HELD)}
                missed.append(line | {name: misses[name] for name in ("power", "logistic")})
    title = f"root mean square, in the logarithm of failures, by which a law misses the {HELD} largest budgets"
    return {"slope of log failures against log steps": lines} | ({title: missed} if missed else {})
