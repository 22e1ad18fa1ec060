"""Is the turn to general skill a jump, or does only the measure jump?

"More is different": abilities are said to be absent in small models and there in large ones. Success asks that every
decision of an episode be right, so it may jump where single decisions get better little by little (Schaeffer et al.
2023, "Are Emergent Abilities of Large Language Models a Mirage?", arXiv:2304.15004). The agents of `task-count` are
evaluated again, along the number of training tasks and along training, by success, by the probability that they give
the expert's actions and by its logarithm. A jump that is gone under the last was one of the measure. A hidden rule can
be found out in other ways than the expert's, so for hidden rules this says little.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from incentivize.experiments.analysis.claims import Claim, judge
from incentivize.experiments.analysis.comparisons import (
    LEARNT_SCORE,
    by_seed,
    seed_matrix,
    why_not_learnt,
    why_unscored,
)
from incentivize.experiments.analysis.estimates import t_interval
from incentivize.experiments.analysis.pool_curves import n_star
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.analysis.thresholds import describe, jump_or_smooth
from incentivize.experiments.cells import Cell
from incentivize.experiments.design.grid import blind_cells, cell_of, on_pool
from incentivize.experiments.presentation.charts import (
    BLUE,
    PlotRows,
    Points,
    describe_seeds,
    draw_curve,
    label_budget_axis,
    label_pool_axis,
    new_figure,
)
from incentivize.experiments.settings.presets import MANY_POOLS, STANDARD, TINY, with_large
from incentivize.experiments.settings.schema import Settings, evaluation_budgets, finite_pools

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STUDY = "emergence"
QUESTION = "Is the turn to general skill a jump, or does only the measure jump?"

_QUICK: dict[str, Any] = {
    "families": ("errands", "puzzles"),
    "seeds": 3,
    "pools": (1, 4, 16, 64, 256, 1024, 4096, "new"),
    "specialists": 4,
    "eval_tasks": 128,
    "eval_instances": 4,
    "evaluations": 8,
    "likelihood": True,
}
PRESETS = with_large(
    {
        "tiny": TINY | {"likelihood": True},
        "quick": _QUICK,
        "standard": _QUICK | STANDARD | {"families": ("errands", "puzzles", "mazes"), "pools": MANY_POOLS},
    }
)

# The rule was written when means of errands had been seen, of no other family.
JUMP = 0.5  # of a rise
APART = 4  # the factor between neighbouring pools
RULE = (
    "share of the rise on unseen tasks, from the lowest place to the last, that lies between two neighbouring places "
    f"(pools {APART}-fold apart, budgets twofold), by the log-likelihood of the expert's actions; per seed, Student t "
    f"95%; supported above {JUMP}, refuted below it; open where the last score is below {LEARNT_SCORE}, or where a "
    "jump lies beyond the largest pool with an end; 3 seeds at least"
)
MEASURES = {
    "success": "success",
    "probability": "probability of the expert's action",
    "log-likelihood": "its logarithm",
}
"""Measures of skill, from whole episodes to single decisions, with their names for a reader."""
AXES = {"tasks": "the number of training tasks", "training": "training"}
"""Axes along which skill may emerge, with their names for a reader."""


def cells(settings: Settings) -> list[Cell]:
    """Make the incentivized and the blind agents of `task-count`, evaluated for likelihood, too."""
    settings = settings.model_copy(update={"likelihood": True})
    grid = []
    for family in settings.families:
        grid += blind_cells(STUDY, settings, family)
        for seed in range(settings.seeds):
            for pool in settings.pools:
                grid.append(cell_of(STUDY, settings, family, "generalist", **on_pool(pool, seed)))
    return grid


def measured(table: ResultsTable, settings: Settings, family: str, axis: str, measure: str) -> np.ndarray | None:
    """Return a measure of the generalist on unseen tasks.

    Args:
        table: rows of the run.
        settings: the run's settings.
        family: the family's name.
        axis: a key of AXES.
        measure: a key of MEASURES.

    Returns:
        Values, float64 [seeds, places of the axis]; None where a cell is missing.
    """
    generalist = table.where(family=family, role="generalist", evaluated_on="unseen")
    if axis == "tasks":
        places = [generalist.where(pool_size=pool).final() for pool in settings.pools]
    else:
        largest = generalist.where(pool_size=settings.pools[-1])
        places = [largest.where(env_steps=steps) for steps in evaluation_budgets(settings, family)]
    key = "success" if measure == "success" else "log_likelihood"
    values = seed_matrix([by_seed(place, key) for place in places], range(settings.seeds))
    return np.exp(values) if values is not None and measure == "probability" else values


def steepest(values: np.ndarray) -> np.ndarray:
    """Return the largest share of a seed's rise, from its lowest place to the last, that lies between neighbours.

    Args:
        values: a measure, float64 [seeds, places].

    Returns:
        Shares, at most 1, float64 [seeds]; 0 where there is no rise.
    """
    rise = values[:, -1] - values.min(1)
    return np.minimum(np.diff(values).max(1) / np.where(rise > 0, rise, np.inf), 1.0)


def verdicts(table: ResultsTable, settings: Settings) -> list[Claim]:
    """Judge a claim per family for each axis."""
    claims = []
    for family in settings.families:
        largest = table.where(family=family, role="generalist", evaluated_on="unseen", pool_size=settings.pools[-1])
        why = why_unscored(table, family) or why_not_learnt(by_seed(largest.final(), "score"))
        for axis, along in AXES.items():
            values = measured(table, settings, family, axis, "log-likelihood")
            few = "two places show no jump" if values is not None and values.shape[1] < 3 else why
            if axis == "tasks":
                few = few or _why_uneven(finite_pools(settings)) or _why_beyond(values)
            effect = None if values is None else t_interval(steepest(values))
            claim = f"skill emerges at once with {along}, by a continuous measure too"
            claims.append(
                judge(STUDY, family, claim, RULE, effect, supported_above=JUMP, refuted_below=JUMP, too_few=few)
            )
    return claims


def _why_uneven(pools: list[int]) -> str | None:
    """Say that neighbouring pools are not as far apart as the rule has them; None where they are."""
    apart = {larger / smaller for smaller, larger in pairwise(pools)} - {APART}
    return f"neighbouring pools are {min(apart):g}-fold apart, and the rule is for {APART}-fold" if apart else None


def _why_beyond(values: np.ndarray | None) -> str | None:
    """Say that a jump, in values [seeds, pools], lies in the step to every-episode-new, a wide one; None where not."""
    if values is None:
        return None
    rise = values.mean(0)
    last = (rise[-1] - rise[-2]) / max(rise[-1] - rise.min(), 1e-9)
    return f"{last:.2f} of the rise is beyond the largest pool with an end" if last > JUMP else None


def figure(table: ResultsTable, settings: Settings) -> tuple[Figure, PlotRows]:
    """Draw every measure along either axis, each with its own scale, and every seed, two rows per family."""
    drawn: PlotRows = []
    drawing, axes = new_figure(2 * len(settings.families), len(MEASURES), width=3.6)
    for row, family in enumerate(settings.families):
        for below, axis in enumerate(AXES):
            for panel, measure in zip(axes[2 * row + below], MEASURES, strict=True):
                _draw(panel, table, settings, family, axis, measure, drawn)
    drawing.suptitle(f"unseen tasks, {describe_seeds(drawn)}, 95% Student t", fontsize=9)
    return drawing, drawn


def _draw(
    panel: Axes, table: ResultsTable, settings: Settings, family: str, axis: str, measure: str, drawn: PlotRows
) -> None:
    """Draw one measure of a family along one axis."""
    values = measured(table, settings, family, axis, measure)
    panel.set_title(f"{family}: {MEASURES[measure]}", fontsize=9)
    if values is None:
        panel.text(0.5, 0.5, "cells are missing", transform=panel.transAxes, ha="center", fontsize=8)
        return
    x = settings.pools if axis == "tasks" else evaluation_budgets(settings, family)
    points: Points = [(place, dict(enumerate(column.tolist()))) for place, column in zip(x, values.T, strict=True)]
    series = f"{measure} by {axis}"
    draw_curve(panel, points, measure, BLUE, drawn, family=family, series=series, pools=settings.pools)
    low, high = panel.get_ylim()
    if axis == "tasks":
        label_pool_axis(panel, settings.pools)
    else:
        label_budget_axis(panel, evaluation_budgets(settings, family))
    panel.set_ylim(*((-0.02, 1.02) if measure != "log-likelihood" else (low, high)))
    if measure == "log-likelihood":
        panel.set_ylabel("nats a decision")


def tables(table: ResultsTable, settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Return the share of the rise between two neighbours and the best curve, by measure and axis; and N*."""
    lines = []
    for family in settings.families:
        for axis, along in AXES.items():
            for measure, called in MEASURES.items():
                values = measured(table, settings, family, axis, measure)
                line = {"family": family, "along": along, "measure": called}
                if values is None or values.shape[1] < 5:
                    lines.append(line | {"share": "-", "best": "-", "jump ahead by": "-"})
                    continue
                shape = jump_or_smooth(2.0 ** np.arange(values.shape[1]), _rescale(values))
                share = f"{steepest(values).mean():.2f}"
                lines.append(line | {"share": share, "best": shape.best, "jump ahead by": f"{shape.jump_lead:+.0f}"})
    thresholds = [
        {"family": family, "N*": describe(n_star(table, settings, family, "generalist"))}
        for family in settings.families
    ]
    return {
        f"largest share of the rise between two neighbours; best curve by BIC (n = {settings.seeds} seeds)": lines,
        "N*: the pool with half of the score at every episode new": thresholds,
    }


def _rescale(values: np.ndarray) -> np.ndarray:
    """Rescale values, float64 of any shape, to between 0 and 1, so that fits do not depend on the unit."""
    span = np.ptp(values)
    return (values - values.min()) / span if span else values * 0
