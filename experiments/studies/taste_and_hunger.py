"""Does a taste of success help to find it, and does hunger shorten the way?

"Teach him the taste of fish and make him hungry" (H. W. Chung, "Don't teach. Incentivize.", 2024). A taste is a share
of episodes that begin a few expert steps from success; it falls to nothing within the run, in absolute steps. Hunger is
a cost for every step. Both leave the task, the agent and its evaluation as they are: what is compared is success on
tasks never met, and the steps taken over the expert's in the episodes that succeed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from incentivize.experiments.analysis.claims import Claim, judge
from incentivize.experiments.analysis.comparisons import LEARNT_SCORE, by_seed, paired_difference, why_not_learnt
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.cells import Cell
from incentivize.experiments.design.grid import cell_of
from incentivize.experiments.presentation.charts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    PlotRows,
    describe_seeds,
    draw_curve,
    new_figure,
    plot_by_budget,
)
from incentivize.experiments.presentation.tables import mean_or_dash
from incentivize.experiments.settings.presets import TINY, with_large
from incentivize.experiments.settings.schema import Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STUDY = "taste-and-hunger"
QUESTION = "Does a taste of success help to find it, and does hunger shorten the way?"

_QUICK: dict[str, Any] = {
    "families": ("mazes", "programs"),
    "seeds": 3,
    "pools": ("new",),
    "tastes": (0.0, 0.5),
    "hungers": (0.0, 0.02),
    "eval_tasks": 128,
    "eval_instances": 8,
    "evaluations": 4,
}
PRESETS = with_large(
    {
        "tiny": TINY | {"pools": ("new",), "tastes": (0.0, 0.5), "hungers": (0.0, 0.02)},
        "quick": _QUICK,
        "standard": _QUICK
        | {"seeds": 5, "tastes": (0.0, 0.1, 0.25, 0.5, 0.75), "hungers": (0.0, 0.005, 0.02), "evaluations": 8},
    }
)

# The verdict rules, fixed before any run, but that what nobody has learnt is left open since November 2026, with all
# results published. No agent here is blind: scores are above uniform actions and scripted policies.
GAIN = 0.05  # of success: less is "as well without"
TASTE = (
    "unseen success at the last budget, mean over the shares of easy starts above 0, minus that without any, no "
    f"hunger, paired by seed, Student t 95%; supported above {GAIN}, refuted below it; open where no score reaches "
    f"{LEARNT_SCORE}; 3 seeds at least"
)
HUNGER = (
    "steps over the expert's steps in successful episodes on unseen tasks at the last budget, without hunger minus "
    "with the greatest, no taste, paired by seed, Student t 95%; supported above 0, refuted below; open where neither "
    f"score reaches {LEARNT_SCORE}; 3 seeds at least"
)


def _reward(taste: float, hunger: float) -> str:
    parts = {"taste": taste, "hunger": hunger}
    return "+".join(["sparse", *(name for name, value in parts.items() if value > 0)])


def _role(taste: float, hunger: float) -> str:
    return f"taste {taste:g} hunger {hunger:g}"


def cells(settings: Settings) -> list[Cell]:
    """Make agents with every taste and every hunger, every episode a new task."""
    grid = []
    for family in settings.families:
        for taste in settings.tastes:
            for hunger in settings.hungers:
                reward_settings = {"reward": _reward(taste, hunger), "taste": taste, "hunger": hunger}
                training = settings.training[family].model_copy(update=reward_settings)
                for seed in range(settings.seeds):
                    grid.append(cell_of(STUDY, settings, family, _role(taste, hunger), training=training, seed=seed))
    return grid


def _final(table: ResultsTable, family: str, taste: float, hunger: float) -> ResultsTable:
    return table.where(family=family, evaluated_on="unseen", role=_role(taste, hunger)).final()


def _means(tables: Sequence[ResultsTable]) -> dict[int, float]:
    """Return the mean success over tables, by the seeds that all of them have."""
    columns = [by_seed(table) for table in tables]
    common = set.intersection(*map(set, columns)) if columns else set()
    return {seed: sum(column[seed] for column in columns) / len(columns) for seed in common}


def _nobody(arms: Sequence[ResultsTable]) -> str | None:
    """Say why arms are not compared; None where they are."""
    return why_not_learnt(*(by_seed(arm, "score") for arm in arms))


def verdicts(table: ResultsTable, settings: Settings) -> list[Claim]:
    """Judge a claim per family for each of taste and hunger that was varied."""
    claims = []
    for family in settings.families:
        final = partial(_final, table, family)
        tasted = [share for share in settings.tastes if share > 0]
        if tasted and 0.0 in settings.tastes and 0.0 in settings.hungers:
            arms = [final(taste, 0.0) for taste in (*tasted, 0.0)]
            effect = paired_difference(_means(arms[:-1]), by_seed(arms[-1]), settings)
            claim, why = "a taste of success helps to find it", _nobody(arms)
            claims.append(
                judge(STUDY, family, claim, TASTE, effect, supported_above=GAIN, refuted_below=GAIN, too_few=why)
            )
        if len(settings.hungers) > 1 and 0.0 in settings.hungers and 0.0 in settings.tastes:
            ends = [final(0.0, hunger) for hunger in (0.0, settings.hungers[-1])]
            without, most = (by_seed(end, "path") for end in ends)
            effect = paired_difference(without, most, settings)
            lost = effect is None and all(len(by_seed(end)) == settings.seeds for end in ends)
            why = "an agent never succeeds, so that it has no way to measure" if lost else _nobody(ends)
            claim = "hunger shortens the way"
            claims.append(judge(STUDY, family, claim, HUNGER, effect, supported_above=0, refuted_below=0, too_few=why))
    return claims


Arms = dict[str, tuple[float, float]]
"""Taste and hunger, by the curve's label in the legend."""
COLOURS = (GREY, BLUE, GREEN, ORANGE, PURPLE)


def figure(table: ResultsTable, settings: Settings) -> tuple[Figure, PlotRows]:
    """Draw success against budget by taste and by hunger, and the way to success, a row per family, where varied."""
    drawn: PlotRows = []
    hungry, full = settings.hungers[0], settings.tastes[0]
    by_taste = "taste", {f"taste {taste:g}": (taste, hungry) for taste in settings.tastes}
    by_hunger = "hunger", {f"hunger {hunger:g}": (full, hunger) for hunger in settings.hungers}
    varied = [(name, arms) for name, arms in (by_taste, by_hunger) if len(arms) > 1] or [by_taste]
    drawing, axes = new_figure(len(settings.families), len(varied) + (len(settings.hungers) > 1))
    for row, family in zip(axes, settings.families, strict=True):
        for axis, (name, arms) in zip(row, varied, strict=False):
            _budget(axis, table, family, arms, f"{family}: {name}", drawn)
        if len(settings.hungers) > 1:
            _way(row[-1], table, settings, family, drawn)
        for axis in row:
            if axis.get_legend_handles_labels()[0]:  # none where all of a panel is missing
                axis.legend(frameon=False, fontsize=7.5)
    drawing.suptitle(f"{describe_seeds(drawn)}, every episode a new task, 95% Student t", fontsize=9)
    return drawing, drawn


def _way(axis: Axes, table: ResultsTable, settings: Settings, family: str, drawn: PlotRows) -> None:
    """Draw steps over the expert's steps against hunger, a curve per taste."""
    for colour, taste in zip(COLOURS * 3, settings.tastes, strict=False):
        paths = {hunger: by_seed(_final(table, family, taste, hunger), "path") for hunger in settings.hungers}
        points = [(hunger, by_seeds) for hunger, by_seeds in paths.items() if by_seeds]
        draw_curve(axis, points, f"taste {taste:g}", colour, drawn, family=family, series=f"path, taste {taste:g}")
    axis.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    axis.set_title(f"{family}: the way to success")
    axis.set_xlabel("hunger: cost of a step")
    axis.set_ylabel("steps / expert's steps")


def _budget(axis: Axes, table: ResultsTable, family: str, arms: Arms, title: str, drawn: PlotRows) -> None:
    """Draw success on unseen tasks against environment steps, a curve per arm."""
    unseen = table.where(family=family, evaluated_on="unseen")
    curves = {
        f"success, taste {taste:g}, hunger {hunger:g}": (label, colour, unseen.where(role=_role(taste, hunger)))
        for colour, (label, (taste, hunger)) in zip(COLOURS * 3, arms.items(), strict=False)
    }
    plot_by_budget(axis, curves, drawn, family)
    axis.set_title(title)


def tables(table: ResultsTable, settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Return success, and steps over the expert's steps, by taste and hunger."""
    lines = []
    for family in settings.families:
        for taste in settings.tastes:
            for hunger in settings.hungers:
                final = _final(table, family, taste, hunger)
                line = {"family": family, "taste": f"{taste:g}", "hunger": f"{hunger:g}"}
                line["unseen"] = mean_or_dash(by_seed(final).values())
                lines.append(line | {"steps / expert's": mean_or_dash(by_seed(final, "path").values())})
    return {"unseen success at the last budget, and steps over the expert's where it succeeds": lines}
