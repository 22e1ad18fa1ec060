"""Can one agent play every family as well as an agent of each does?

One network is trained on all families at once, with as many environment steps in each as an agent that plays that
family alone: the same settings, as many gradient steps as those agents take together. If it falls behind, it may be too
small: the same mixture is given to an agent of twice the width, and taught to one of the same width, as a sign of what
that can hold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from incentivize.experiments.analysis.claims import Claim, judge
from incentivize.experiments.analysis.comparisons import (
    LEARNT_SCORE,
    by_seed,
    paired_difference,
    why_not_learnt,
    why_unscored,
)
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.cells import Cell
from incentivize.experiments.design.grid import cell_of, headline_teacher
from incentivize.experiments.errors import InputError
from incentivize.experiments.presentation.charts import (
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    PlotRows,
    describe_seeds,
    draw_teacher_level,
    legend,
    new_figure,
    plot_by_budget,
)
from incentivize.experiments.presentation.tables import mean_or_dash
from incentivize.experiments.settings.presets import TINY, with_large
from incentivize.experiments.settings.schema import Settings, pool_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STUDY = "mixture"
QUESTION = "Can one agent play every family as well as an agent of each does?"

_QUICK: dict[str, Any] = {
    "families": ("codebooks", "errands", "mazes", "programs", "puzzles", "sequences"),
    "seeds": 3,
    "pools": ("new",),
    "control_seeds": 1,
    "specialists": 2,
    "eval_tasks": 128,
    "eval_instances": 4,
    "evaluations": 4,
    # One setting for all, alone or mixed: a network that learns every family but sequences, and a bonus that falls.
    "network": "pairs",
    "memory": "gru",
    "width": 32,
    "budget": 2_000_000,
    "num_envs": 512,
    "rollout_steps": 16,
    "minibatches": 8,
    "learning_rate": 2e-3,
    "gamma": 0.95,
    "lam": 0.9,
    "entropy_coef": 0.03,
    "entropy_coef_final": 0.003,
    "entropy_steps": 2_000_000,
}
# One setting for both families, as their own differ.
_TINY = {
    "network": "mlp",
    "memory": "none",
    "learning_rate": 2e-3,
    "taught_learning_rate": 2e-3,
    "gamma": 0.95,
    "lam": 0.9,
}
_TINY |= {"entropy_coef": 0.01, "entropy_coef_final": 0.01, "entropy_steps": 0}
PRESETS = with_large(
    {
        "tiny": TINY | {"families": ("errands", "mazes"), "pools": ("new",)} | _TINY,
        "quick": _QUICK,
        "standard": _QUICK | {"seeds": 5, "budget": 6_000_000},
    }
)

# The verdict rules, fixed before any run.
SHARE = 0.8
GAIN = 0.05
KEEPS = (
    f"unseen score of the agent that plays all families minus {SHARE} of that of one that plays this family alone, "
    "with as many steps in it, paired by seed, Student t 95%; supported above 0, refuted below; 3 seeds at least; left "
    f"open where the latter is below {LEARNT_SCORE}"
)
CAPACITY = (
    "unseen score at twice the width minus that at the width, mean over the families learnt alone (score "
    f"{LEARNT_SCORE} or more), paired by seed, Student t 95%; supported above {GAIN}, refuted below it; open where "
    f"neither score reaches {LEARNT_SCORE}; 3 seeds at least"
)
ARMS = {
    "alone": (GREY, "an agent of this family alone"),
    "mixture": (BLUE, "an agent of all families"),
    "wide": (PURPLE, "an agent of all, twice the width"),
    "taught": (GREEN, "an agent of all, taught"),
}
"""Roles, with their colours and their names in the legend."""


def cells(settings: Settings) -> list[Cell]:
    """Make blind agents and agents of one family each, then agents of all.

    Raises:
        InputError: where there is no mixture, or its families are to be trained in different ways.
    """
    _check(settings)
    grid = []
    for family in settings.families:
        for seed in range(settings.control_seeds):
            grid.append(cell_of(STUDY, settings, family, "blind", control="blind", seed=seed))
        grid += [cell_of(STUDY, settings, family, "alone", seed=seed) for seed in range(settings.seeds)]
    grid += [_mixed(settings, "mixture", seed) for seed in range(settings.seeds)]
    grid += [_mixed(settings, "taught", seed, learner="cloning") for seed in range(settings.control_seeds)]
    grid += [_mixed(settings, "wide", seed, wider=2) for seed in range(settings.seeds)]
    return grid


def _teacher(settings: Settings) -> str:
    """Return a fair teacher if any rule is hidden: where none is, it knows what an informed one does."""
    return "fair-dagger" if "fair-dagger" in map(headline_teacher, settings.families) else "dagger"


def _check(settings: Settings) -> None:
    """Refuse settings that make no mixture, or in which agents would differ in more than what they play."""
    if len(settings.families) < 2:
        raise InputError(f"families = {list(settings.families)}: a mixture has at least two. Give several families.")
    first, *others = (settings.training[family].model_dump() for family in settings.families)
    for other, family in zip(others, settings.families[1:], strict=True):
        for key, value in first.items():
            if other[key] != value:
                raise InputError(
                    f"training.{family}.{key} = {other[key]!r}: must be {value!r} as for {settings.families[0]}, as "
                    "one agent plays all families. Give the same value for all."
                )
    if first["parameters"]:
        raise InputError(
            f"parameters = {first['parameters']}: cannot be set here, as one of the agents has twice the width. "
            "Give a width in place of it."
        )
    if settings.pools != (None,):
        raise InputError(
            f'pools = {pool_names(settings.pools)}: must be ["new"], as every episode is a new task in this study. '
            "Leave it out."
        )
    if first["start_from"]:
        raise InputError(
            f"start_from = {first['start_from']!r}: no parameters fit agents of one family and those of all. "
            "Leave it out."
        )


def _mixed(settings: Settings, role: str, seed: int, wider: int = 1, learner: str = "ppo") -> Cell:
    """Make an agent of all families, each with the steps and environments that an agent of it alone has.

    Args:
        settings: the run's settings.
        role: the agent's role, a key of ARMS.
        seed: the agent's seed.
        wider: by how much its network is wider than that of an agent of one family.
        learner: "ppo" or "cloning".
    """
    times, first = len(settings.families), settings.families[0]
    training = settings.training[first]
    per_family = ("num_envs", "minibatches", "taught_minibatches", "budget")
    per_family += ("entropy_steps", "taste_steps", "taught_steps")
    multiplied = {key: times * value for key in per_family if (value := getattr(training, key)) is not None}
    training = training.model_copy(update=multiplied | {"width": wider * training.width})
    fields: dict[str, Any] = {"learner": learner, "seed": seed, "training": training}
    if learner == "cloning" or training.taught_steps:
        fields["teacher"] = _teacher(settings)
    cell = cell_of(STUDY, settings, first, role, **fields)
    knobs_by_family = ((name, settings.knobs.get(name, {})) for name in settings.families)
    knobs = {f"{name}.{knob}": value for name, values in knobs_by_family for knob, value in values.items()}
    points = tuple((times * point, kind) for point, kind in cell.evaluation_points)
    return replace(
        cell, family="+".join(settings.families), knobs=tuple(sorted(knobs.items())), evaluation_points=points
    )


def _final(table: ResultsTable, family: str, role: str) -> dict[int, float]:
    """Return an arm's unseen score at the last budget, by seed."""
    return by_seed(table.where(family=family, evaluated_on="unseen", role=role).final(), "score")


def _learnt(table: ResultsTable, settings: Settings) -> dict[str, bool | None]:
    """Return whether an agent of one family alone learns it, by family; None where a seed or the scores are missing."""
    alone = {family: _final(table, family, "alone") for family in settings.families}
    return {
        family: why_not_learnt(scores) is None if len(scores) == settings.seeds else None
        for family, scores in alone.items()
    }


def _why_open(table: ResultsTable, family: str, learnt: bool | None) -> str | None:
    """Say why nothing is claimed of a family; None where something is."""
    unlearnt = f"it is not learnt alone: score below {LEARNT_SCORE}" if learnt is False else None
    return why_unscored(table, family) or unlearnt


def verdicts(table: ResultsTable, settings: Settings) -> list[Claim]:
    """Judge one claim per family, and one on capacity."""
    claims, learnt = [], _learnt(table, settings)
    claim = f"an agent of all families has {SHARE} of the score of an agent of this one"
    for family in settings.families:
        mixed, alone = (_final(table, family, role) for role in ("mixture", "alone"))
        effect = paired_difference(mixed, {seed: SHARE * score for seed, score in alone.items()}, settings)
        why = _why_open(table, family, learnt[family])
        claims.append(judge(STUDY, family, claim, KEEPS, effect, supported_above=0, refuted_below=0, too_few=why))
    compared = [family for family, is_learnt in learnt.items() if is_learnt]
    wide, plain = (_over_families(table, compared, role) for role in ("wide", "mixture"))
    claim = "twice the width makes the agent of all families better"
    complete = None not in learnt.values()  # or else it is open over which families the mean is
    gain = paired_difference(wide, plain, settings) if complete else None
    why = "no family is learnt alone" if complete and not compared else None
    why = next((f"{family}: {reason}" for family in settings.families if (reason := why_unscored(table, family))), why)
    why = why or why_not_learnt(wide, plain)
    return [*claims, judge(STUDY, "all", claim, CAPACITY, gain, supported_above=GAIN, refuted_below=GAIN, too_few=why)]


def _over_families(table: ResultsTable, families: list[str], role: str) -> dict[int, float]:
    """Return an arm's unseen score, the mean over families, by the seeds that have all of them."""
    scores = [_final(table, family, role) for family in families]
    seeds = set.intersection(*map(set, scores)) if scores else set()
    return {seed: sum(score[seed] for score in scores) / len(scores) for seed in seeds}


def figure(table: ResultsTable, settings: Settings) -> tuple[Figure, PlotRows]:
    """Draw success against the steps in a family, a panel per family, a curve per arm."""
    drawn: PlotRows = []
    columns = min(3, len(settings.families))
    drawing, axes = new_figure(-(-len(settings.families) // columns), columns)
    for axis in axes.flat[len(settings.families) :]:
        axis.set_visible(False)
    for axis, family in zip(axes.flat, settings.families, strict=False):
        _panel(axis, table.where(family=family, evaluated_on="unseen"), settings, family, drawn)
    legend(drawing, axes)
    taught = [row for row in drawn if row["series"] == "taught"]
    others = [row for row in drawn if row["series"] != "taught"]
    drawing.suptitle(
        f"{describe_seeds(others)} (taught: {describe_seeds(taught)}), every episode a new task, 95% Student t",
        fontsize=9,
    )
    return drawing, drawn


def _panel(axis: Axes, table: ResultsTable, settings: Settings, family: str, drawn: PlotRows) -> None:
    """Draw the panel of a family."""
    arms = {role: (label, colour, table.where(role=role)) for role, (colour, label) in ARMS.items()}
    families_per_arm = {role: len(settings.families) for role in ARMS if role != "alone"}
    plot_by_budget(axis, arms, drawn, family, families_per_arm)
    if (level := table.meta["blind"][family]) is not None:
        axis.axhline(level, color="black", linewidth=0.8, linestyle=":", label="blind level")
    draw_teacher_level(axis, table, family)
    axis.set_xlabel("environment steps in this family")
    axis.set_title(family)


def tables(table: ResultsTable, settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Return scores by family and arm, and the mixture's share of the score that an agent of the family alone has."""
    lines = []
    for family in settings.families:
        scores = {role: list(_final(table, family, role).values()) for role in ARMS}
        means = {role: sum(values) / len(values) for role, values in scores.items() if values}
        share = "-"
        if "mixture" in means and means.get("alone", 0.0) >= LEARNT_SCORE:
            share = f"{means['mixture'] / means['alone']:.2f}"
        line = {"family": family} | {role: mean_or_dash(values) for role, values in scores.items()}
        lines.append(line | {"mixture/alone": share})
    return {"unseen score at the last budget (0: the blind level, 1: the expert)": lines}
