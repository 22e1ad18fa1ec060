"""Can thinking longer when acting stand in for training longer?

One agent per seed is trained with nothing but a sparse reward, every episode a new task. At every budget, from none on,
it acts on unseen tasks in three ways: by its policy alone, with a tree search whose model is the family itself, and
with several attempts of which the best counts. If search alone did it, the untrained network would do as well.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from incentivize.experiments.analysis.claims import Claim, judge
from incentivize.experiments.analysis.comparisons import LEARNT_SCORE, by_seed, paired_difference, why_not_learnt
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.cells import Cell
from incentivize.experiments.design.grid import cell_of, has_hidden_rule
from incentivize.experiments.errors import InputError
from incentivize.experiments.presentation.charts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PlotRows,
    describe_seeds,
    draw_curve,
    legend,
    new_figure,
)
from incentivize.experiments.settings.presets import TINY, with_large
from incentivize.experiments.settings.schema import Settings, evaluation_budgets

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDY = "test-time"
QUESTION = "Can thinking longer when acting stand in for training longer?"

_QUICK: dict[str, Any] = {
    "families": ("puzzles",),
    "seeds": 3,
    "pools": ("new",),
    "simulations": (0, 4, 16, 64),
    "attempts": 4,
    "specialists": 2,
    "eval_tasks": 32,
    "eval_instances": 4,
    "evaluations": 5,
}
PRESETS = with_large(
    {
        "tiny": TINY | {"pools": ("new",), "simulations": (0, 4), "attempts": 2},
        "quick": _QUICK,
        "standard": _QUICK | {"seeds": 5, "eval_tasks": 128, "eval_instances": 4, "evaluations": 8},
    }
)

# The verdict rules, fixed before any run, but that what nobody has learnt is left open since November 2026, with all
# results published. No agent here is blind: scores are above uniform actions and scripted policies.
SHARE = 4  # training is cut to a quarter
CLOSE = 0.05  # of success: less is "as well"
TRADE = (
    f"unseen success with 1/{SHARE} of the training and the most simulations minus that with all the training and "
    "none, paired by seed, Student t 95%; supported above 0, refuted below 0, or where the untrained network with the "
    f"most simulations comes within {CLOSE} of the first; open where neither score reaches {LEARNT_SCORE}; 3 seeds at "
    "least"
)
SCORES = (0.5, 0.8, 0.9, 0.95)  # lines of the table of equal scores


def cells(settings: Settings) -> list[Cell]:
    """Make a generalist per family and seed, evaluated from the beginning on.

    Raises:
        InputError: where a family's rule is hidden: a search with its model would reveal the rule.
    """
    grid = []
    for family in settings.families:
        if settings.simulations[-1] and has_hidden_rule(family):
            raise InputError(
                f"families = {family!r}: its rule is hidden, and a search with its model would reveal it. "
                "Give another family, or --simulations 0."
            )
        search = {"simulations": settings.simulations, "attempts": settings.attempts}
        points = tuple((step, "total") for step in (0, *evaluation_budgets(settings, family)))
        grid += [
            cell_of(STUDY, settings, family, "generalist", evaluation_points=points, seed=seed, **search)
            for seed in range(settings.seeds)
        ]
    return grid


def _unseen(table: ResultsTable, family: str, simulations: int) -> ResultsTable:
    """Return the rows on unseen tasks with so many simulations per decision."""
    return table.where(family=family, evaluated_on="unseen", simulations=simulations, role="generalist")


def _steps(table: ResultsTable) -> list[int]:
    """Return the budgets of rows in environment steps, rising."""
    return sorted({row["env_steps"] for row in table.rows})


def verdicts(table: ResultsTable, settings: Settings) -> list[Claim]:
    """Judge one claim per family."""
    claims = []
    most = settings.simulations[-1]
    for family in settings.families:
        plain, thinking = (_unseen(table, family, simulations) for simulations in (0, most))
        effect = against = too_few = None
        budgets = evaluation_budgets(settings, family)
        cut = [step for step in budgets if step <= budgets[-1] / SHARE]
        if not cut or 0 not in settings.simulations or not most:
            too_few = f"there is no evaluation at 1/{SHARE} of the budget, or none with and without search"
        else:
            arms = thinking.where(env_steps=cut[-1]), plain.where(env_steps=budgets[-1])
            short, full = map(by_seed, arms)
            effect = paired_difference(short, full, settings)
            too_few = why_not_learnt(*(by_seed(arm, "score") for arm in arms))
            gain = paired_difference(short, by_seed(thinking.where(env_steps=0)), settings)
            if gain and gain.mean < CLOSE:
                against = f"search with an untrained network comes within {CLOSE}"
        claim = f"thinking ({most} simulations) stands in for three quarters of the training"
        reasons: Any = {"against": against, "too_few": too_few}
        claims.append(judge(STUDY, family, claim, TRADE, effect, supported_above=0, refuted_below=0, **reasons))
    return claims


COLOURS = (GREY, BLUE, GREEN, ORANGE)


def figure(table: ResultsTable, settings: Settings) -> tuple[Figure, PlotRows]:
    """Draw success against training budget, a panel per family, a curve per number of simulations and for best of k."""
    drawn: PlotRows = []
    drawing, axes = new_figure(1, len(settings.families), width=5.2)
    for axis, family in zip(axes[0], settings.families, strict=True):
        for colour, simulations in zip(COLOURS * 3, settings.simulations, strict=False):
            rows = _unseen(table, family, simulations)
            label = f"{simulations} simulations a step" if simulations else "the policy alone"
            draw = partial(draw_curve, axis, colour=colour, drawn=drawn, family=family)
            draw(_points(rows, "success"), label, series=label)
            if settings.attempts > 1 and simulations == 0:
                label = f"the policy alone, best of {settings.attempts} attempts"
                draw(_points(rows, "success_best"), label, series=label, line="--")
        trained = [step for step in _steps(_unseen(table, family, settings.simulations[0])) if step]
        axis.set_xscale("symlog", linthresh=min(trained, default=1))
        axis.set_xlabel("environment steps of training (0: an untrained network)")
        axis.set_ylabel("success, unseen tasks")
        axis.set_ylim(-0.02, 1.02)
        axis.set_title(f"{family}: training against thinking")
    legend(drawing, axes)
    drawing.suptitle(f"{describe_seeds(drawn)}, every episode a new task, 95% Student t", fontsize=9)
    return drawing, drawn


def _points(table: ResultsTable, key: str) -> list[tuple[float, dict[int, float]]]:
    """Return the curve of a column: training steps, each with the column by seed."""
    return [(float(step), by_seed(table.where(env_steps=step), key)) for step in _steps(table)]


def equal_scores(table: ResultsTable, settings: Settings, family: str, score: float) -> dict[int, float | None]:
    """Find the training steps at which the mean unseen success first reaches a score.

    Between two budgets they are read off a straight line.

    Returns:
        Environment steps by the number of simulations; None where the score is not reached.
    """
    needed: dict[int, float | None] = {}
    for simulations in settings.simulations:
        rows = _unseen(table, family, simulations)
        steps = _steps(rows)
        means = [float(np.mean(rows.where(env_steps=step).values())) for step in steps]
        reached = next((i for i, mean in enumerate(means) if mean >= score), None)
        if reached is None:
            needed[simulations] = None
        elif reached == 0:
            needed[simulations] = 0.0
        else:
            ends = slice(reached - 1, reached + 1)
            needed[simulations] = float(np.interp(score, means[ends], steps[ends]))
    return needed


def tables(table: ResultsTable, settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Return training steps for equal scores, by simulations."""
    lines = []
    for family in settings.families:
        for score in SCORES:
            needed = equal_scores(table, settings, family, score)
            steps = {f"{k} sims": "-" if v is None else f"{v:,.0f}" for k, v in needed.items()}
            lines.append({"family": family, "score": f"{score:g}"} | steps)
    title = "steps of training until unseen success reaches a score, by simulations (sims) for every step of acting"
    return {title: lines}
