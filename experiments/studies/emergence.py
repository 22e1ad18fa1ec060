"""Is the turn to general skill a jump, or does only the measure jump?

"More is different": abilities are said to be absent in small models and there in large ones. Success asks that every
decision of an episode be right, so it may jump where single decisions get better little by little (Schaeffer et al.
2023, "Are Emergent Abilities of Large Language Models a Mirage?", arXiv:2304.15004). The agents of `task-count` are
looked at again, along the number of training tasks and along training, by success, by the probability that they give
the expert's actions and by its logarithm. A jump that is gone under the last was one of the measure. Where a rule is
hidden there are other ways to find it out than the expert's, so there this says little.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from incentivize.experiments.analysis.claims import Claim, judge
from incentivize.experiments.analysis.comparisons import LEARNT_SCORE, by_seed, why_not_learnt, why_unscored
from incentivize.experiments.analysis.estimates import t_interval
from incentivize.experiments.analysis.pool_curves import n_star
from incentivize.experiments.analysis.table import ResultsTable
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
from incentivize.experiments.settings.schema import Settings, evaluation_budgets, finite_pools, size_of

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
APART = 4  # neighbouring pools
RULE = (
    "share of the rise on unseen tasks, from the lowest place to the last, that lies between two neighbouring places "
    f"(pools {APART}-fold apart, budgets twofold), by the log-likelihood of the expert's actions; per seed, Student t "
    f"95%; supported above {JUMP}, refuted below it; open where the last score is below {LEARNT_SCORE}, or where a jump lies "
    "beyond the largest pool with an end; 3 seeds at least"
)
MEASURES = {
    "success": "success",
    "probability": "probability of the expert's action",
    "log-likelihood": "its logarithm",
}
"""How skill is measured, from whole episodes to single decisions."""
AXES = {"tasks": "the number of training tasks", "training": "training"}
"""Along which it may emerge."""


def cells(settings: Settings) -> list[Cell]:
    """The incentivized and the blind agents of `task-count`, looked at for likelihood."""
    settings = settings.model_copy(update={"likelihood": True})
    grid = []
    for family in settings.families:
        grid += blind_cells(STUDY, settings, family)
        for seed in range(settings.seeds):
            for pool in settings.pools:
                own = on_pool(pool, seed)
                grid.append(cell_of(STUDY, settings, family, "generalist", **own))
    return grid


def measured(table: ResultsTable, settings: Settings, family: str, axis: str, measure: str) -> np.ndarray | None:
    """A measure on unseen tasks [seeds, places of the axis]; None where a cell is missing."""
    mine = table.where(family=family, role="generalist", evaluated_on="unseen")
    if axis == "tasks":
        places = [mine.where(pool_size=size_of(pool)).final() for pool in settings.pools]
    else:
        largest = mine.where(pool_size=size_of(settings.pools[-1]))
        places = [largest.where(env_steps=steps) for steps in evaluation_budgets(settings, family)]
    columns = [by_seed(place, "success" if measure == "success" else "log_likelihood") for place in places]
    if any(set(column) != set(range(settings.seeds)) for column in columns):
        return None
    found = np.array([[column[seed] for column in columns] for seed in range(settings.seeds)])
    return np.exp(found) if measure == "probability" else found


def steepest(values: np.ndarray) -> np.ndarray:
    """Of every seed's rise from its lowest place to the last, the largest share between neighbours, at most 1.

    Args:
        values: [seeds, places].

    Returns:
        [seeds]; 0 where there is no rise.
    """
    rise = values[:, -1] - values.min(1)
    return np.minimum(np.diff(values).max(1) / np.where(rise > 0, rise, np.inf), 1.0)


def verdicts(table: ResultsTable, settings: Settings) -> list[Claim]:
    """Per family, one row for each axis."""
    claims = []
    for family in settings.families:
        largest = table.where(
            family=family, role="generalist", evaluated_on="unseen", pool_size=size_of(settings.pools[-1])
        )
        why = why_unscored(table, family) or why_not_learnt(by_seed(largest.final(), "score"))
        for axis, along in AXES.items():
            found = measured(table, settings, family, axis, "log-likelihood")
            few = "two places show no jump" if found is not None and found.shape[1] < 3 else why
            if axis == "tasks":
                few = few or _uneven(finite_pools(settings)) or _wide(found)
            effect = None if found is None else t_interval(steepest(found))
            claim = f"skill emerges at once with {along}, by a continuous measure too"
            claims.append(
                judge(STUDY, family, claim, RULE, effect, supported_above=JUMP, refuted_below=JUMP, too_few=few)
            )
    return claims


def _uneven(pools: list[int]) -> str | None:
    """Why neighbouring pools are not as far apart as the rule has them, if they are not."""
    apart = {larger / smaller for smaller, larger in pairwise(pools)} - {APART}
    return f"neighbouring pools are {min(apart):g}-fold apart, and the rule is for {APART}-fold" if apart else None


def _wide(found: np.ndarray | None) -> str | None:
    """Why a jump would be none, if it would: it lies in the step to every-episode-new, which is a wide one."""
    if found is None:
        return None
    rise = found.mean(0)
    last = (rise[-1] - rise[-2]) / max(rise[-1] - rise.min(), 1e-9)
    return f"{last:.2f} of the rise is beyond the largest pool with an end" if last > JUMP else None


def figure(table: ResultsTable, settings: Settings) -> tuple[Figure, PlotRows]:
    """A row per family: its measures along either axis, each with its own scale, and every seed."""
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
    found = measured(table, settings, family, axis, measure)
    panel.set_title(f"{family}: {MEASURES[measure]}", fontsize=9)
    if found is None:
        panel.text(0.5, 0.5, "cells are missing", transform=panel.transAxes, ha="center", fontsize=8)
        return
    x = settings.pools if axis == "tasks" else evaluation_budgets(settings, family)
    points: Points = [(place, dict(enumerate(column.tolist()))) for place, column in zip(x, found.T, strict=True)]
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
    """By measure and axis: the share of the rise between two neighbours, and which curve fits best; and N*."""
    lines = []
    for family in settings.families:
        for axis, along in AXES.items():
            for measure, called in MEASURES.items():
                found = measured(table, settings, family, axis, measure)
                line = {"family": family, "along": along, "measure": called}
                if found is None or found.shape[1] < 5:
                    lines.append(line | {"share": "-", "best": "-", "jump ahead by": "-"})
                    continue
                best = jump_or_smooth(2.0 ** np.arange(found.shape[1]), _level(found))
                share = f"{steepest(found).mean():.2f}"
                lines.append(line | {"share": share, "best": best.best, "jump ahead by": f"{best.ahead:+.0f}"})
    found = {f"largest share of the rise between two neighbours; best curve by BIC (n = {settings.seeds} seeds)": lines}
    turns = [
        {"family": family, "N*": describe(n_star(table, settings, family, "generalist"))}
        for family in settings.families
    ]
    return found | {"N*: the pool with half of the score at every episode new": turns}


def _level(values: np.ndarray) -> np.ndarray:
    """On a scale from 0 to 1, so that fits do not hang on the unit."""
    span = np.ptp(values)
    return (values - values.min()) / span if span else values * 0
