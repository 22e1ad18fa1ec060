"""Does a weak incentive look bad at first, and scale better than teaching?

"Weakly incentivizing the model requires a lot more compute, i.e. it is a more scalable teaching strategy", and "what is
good in the long run almost necessarily looks bad in the short term" (H. W. Chung, "Don't teach. Incentivize.", 2024).
Three agents of the same network meet a new task every episode: one is taught, one is rewarded on the way (shaped by the
expert's distance), one for success alone. They are compared at a sixteenth of the budget and at its end; a table says
where their curves cross, if they do. All is judged by bits of supervision as well as by environment steps: a reward
tells one bit an episode at most, a label log2(actions) at every step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from incentivize.experiments.analysis.claim_guards import teacher_levels, why_above_teacher, why_not_beaten
from incentivize.experiments.analysis.claims import Claim, judge, leave_open
from incentivize.experiments.analysis.comparisons import (
    LEARNT_SCORE,
    by_seed,
    paired_difference,
    seed_matrix,
    why_not_learnt,
    why_unscored,
)
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.analysis.thresholds import Location, crossing, describe
from incentivize.experiments.cells import Cell
from incentivize.experiments.design.grid import blind_cells, cell_of, headline_teacher, on_pool
from incentivize.experiments.errors import InputError
from incentivize.experiments.presentation.charts import (
    BLUE,
    GREEN,
    PURPLE,
    PlotRows,
    describe_seeds,
    draw_curve,
    draw_teacher_level,
    legend,
    new_figure,
    plot_by_budget,
)
from incentivize.experiments.presentation.tables import mean_or_dash
from incentivize.experiments.settings.presets import STANDARD, TINY, with_large
from incentivize.experiments.settings.schema import Settings, compared_budgets, evaluation_budgets, pool_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STUDY = "weak-incentive"
QUESTION = "Does a weak incentive look bad at first, and scale better than teaching?"

_QUICK: dict[str, Any] = {
    "families": ("errands", "mazes", "puzzles"),
    "seeds": 3,
    "pools": ("new",),
    "specialists": 4,
    "eval_tasks": 128,
    "eval_instances": 4,
    "evaluations": 6,
}
PRESETS = with_large(
    {
        "tiny": TINY | {"pools": ("new",)},
        "quick": _QUICK,
        "standard": _QUICK | STANDARD,
    }
)

# The verdict rules, fixed before any run. Success on unseen tasks, acting sampled. Since November 2026, with all
# results published, an arm that has learnt nothing is not said to be beaten, and nothing is said against teaching where
# an arm is above its teacher.
BEHIND = 0.05  # of success: less is "not behind"
FIRST = (
    "unseen success of the taught agent minus that of the one rewarded for success alone, at a sixteenth of the "
    f"budget, paired by seed, Student t 95%; supported above {BEHIND}, refuted below it; open where neither score "
    f"reaches {LEARNT_SCORE}; 3 seeds at least"
)
LAST = (
    "unseen success of the agent rewarded for success alone minus that of the {other} one, at the last budget, paired "
    "by seed, Student t 95%; supported above 0, refuted below; open where neither score reaches {learnt}, instead of "
    "supported also where the second does not, on its tasks or others, or, if taught, where an agent is above the "
    "teacher; 3 seeds at least"
)
# This one was written when errands had been seen, in which it is ahead, and no other family.
BITS = (
    "unseen success of the agent rewarded for success alone at the last budget minus that of the {other} one at its "
    "evaluation next above in bits of supervision, paired by seed, Student t 95%; supported above 0; refuted where it "
    "is below 0 against the evaluation next below; open where neither score reaches {learnt}, instead of supported "
    "also where the second does not by then, on its tasks or others, or, if taught, where an agent is above the "
    "teacher; 3 seeds at least"
)
ARMS = {
    "taught": (GREEN, "taught"),
    "shaped": (PURPLE, "rewarded on the way (shaped)"),
    "generalist": (BLUE, "rewarded for success alone"),
}
"""Roles, with their colours and their names in the legend."""


def cells(settings: Settings) -> list[Cell]:
    """Make agents of every arm, with the same settings and steps.

    Raises:
        InputError: where there is more than one pool, or the reward is another than the study's own.
    """
    pool, *more = settings.pools
    if more:
        raise InputError(
            f"pools = {pool_names(settings.pools)}: must be one pool, as this study compares budgets. "
            'Give one, such as ["new"].'
        )
    grid = []
    for family in settings.families:
        training = settings.training[family]
        if training.reward != "sparse":
            raise InputError(
                f"reward = {training.reward!r}: must be 'sparse', as this study sets the other rewards itself. "
                "Leave it out."
            )
        shaped = training.model_copy(update={"reward": "sparse+shaped"})
        grid += blind_cells(STUDY, settings, family)
        for seed in range(settings.seeds):
            trained_on = on_pool(pool, seed)
            grid.append(cell_of(STUDY, settings, family, "generalist", **trained_on))
            grid.append(cell_of(STUDY, settings, family, "shaped", training=shaped, **trained_on))
            teacher = headline_teacher(family)
            grid.append(cell_of(STUDY, settings, family, "taught", learner="cloning", teacher=teacher, **trained_on))
    return grid


def _arm(table: ResultsTable, family: str, role: str) -> ResultsTable:
    """Return an arm's rows on unseen tasks."""
    return table.where(family=family, evaluated_on="unseen", role=role)


def _at(table: ResultsTable, family: str, role: str, steps: int, key: str = "success") -> dict[int, float]:
    """Return an arm's column on unseen tasks at a budget, by seed."""
    return by_seed(_arm(table, family, role).where(env_steps=steps), key)


def verdicts(table: ResultsTable, settings: Settings) -> list[Claim]:
    """Judge five claims per family: behind at first; ahead of the taught and the shaped agent, by steps and by bits."""
    claims = []
    for family in settings.families:
        first, last = (compared_budgets(settings, family)[place] for place in (0, -1))
        behind = paired_difference(
            _at(table, family, "taught", first), _at(table, family, "generalist", first), settings
        )
        why = why_open(table, family, first, "taught") or ("there is one budget only" if first == last else None)
        claim = "a weak incentive looks bad at first"
        claims.append(
            judge(STUDY, family, claim, FIRST, behind, supported_above=BEHIND, refuted_below=BEHIND, too_few=why)
        )
        for other, better in (("taught", "teaching"), ("shaped", "a reward on the way")):
            success, others = (_at(table, family, role, last) for role in ("generalist", other))
            ahead = paired_difference(success, others, settings)
            claim = f"a weak incentive ends above {better}"
            rule = LAST.format(other=other, learnt=LEARNT_SCORE)
            why = why_open(table, family, last, other)
            judged = judge(STUDY, family, claim, rule, ahead, supported_above=0, refuted_below=0, too_few=why)
            arm = table.where(family=family, role=other, env_steps=last)
            why = why_not_beaten(arm, f"the {other} agent") or above(table, family, other)
            claims.append(leave_open(judged, why, ("supported",)))
            claims.append(_thriftier(table, settings, family, other, better))
    return claims


def _thriftier(table: ResultsTable, settings: Settings, family: str, other: str, better: str) -> Claim:
    """Judge whether success alone is surely ahead of an arm with more bits, or surely behind it with fewer."""
    last = compared_budgets(settings, family)[-1]
    bits = {row["seed"]: _bits(table, row) for row in _arm(table, family, "generalist").where(env_steps=last).rows}
    success = _at(table, family, "generalist", last)
    more, fewer = (_next_by_bits(table, family, other, bits, above=side) for side in (True, False))
    ahead, behind = (
        paired_difference(success, by_seed(rows.where(evaluated_on="unseen")), settings) for rows in (more, fewer)
    )
    scores = (by_seed(rows.where(evaluated_on="unseen"), "score") for rows in (more, fewer))
    why = why_unscored(table, family) or why_not_learnt(
        _at(table, family, "generalist", last, "score"), *filter(None, scores)
    )
    surely_behind = behind is not None and behind.high < 0
    effect = behind if surely_behind or ahead is None else ahead
    if not why and not surely_behind and (ahead is None or ahead.low <= 0):
        why = f"it is not surely ahead of the {other} agent with more bits, nor surely behind it with fewer"
    claim = f"after as many bits of supervision, a weak incentive is above {better}"
    rule = BITS.format(other=other, learnt=LEARNT_SCORE)
    judged = judge(STUDY, family, claim, rule, effect, supported_above=0, refuted_below=0, too_few=why)
    why = why_not_beaten(more, f"after as many bits the {other} agent") or above(table, family, other)
    return leave_open(judged, why, ("supported",))


def _next_by_bits(table: ResultsTable, family: str, role: str, bits: dict[int, float], above: bool) -> ResultsTable:
    """Return an arm's rows at its evaluation next above so many bits of supervision, or next below.

    Args:
        table: rows of the run.
        family: the family's name.
        role: the arm's role.
        bits: bits of supervision by seed.
        above: whether the evaluation has as many bits or more, or as many or fewer.
    """
    arm = table.where(family=family, role=role)
    nearest: Callable[..., int] = min if above else max
    steps: dict[int, int] = {}
    for row in arm.where(evaluated_on="unseen").rows:
        seed, spent = row["seed"], _bits(table, row)
        if seed in bits and (spent >= bits[seed] if above else spent <= bits[seed]):
            steps[seed] = nearest(steps.get(seed, row["env_steps"]), row["env_steps"])
    return arm.where(lambda row: row["env_steps"] == steps.get(row["seed"]))


def above(table: ResultsTable, family: str, other: str) -> str | None:
    """Say why an arm that is taught may not be called beaten: an agent is above its teacher; or None."""
    return why_above_teacher(table, family) if other == "taught" else None


def why_open(table: ResultsTable, family: str, steps: int, other: str) -> str | None:
    """Say why the agent rewarded for success alone is not compared with another at a budget; None where it is."""
    scores = (_at(table, family, role, steps, "score") for role in ("generalist", other))
    return why_unscored(table, family) or why_not_learnt(*scores)


def crossed(table: ResultsTable, settings: Settings, family: str, other: str) -> Location | None:
    """Find the steps from which success alone is above another arm for good; None where a cell is missing."""
    sparse, others = (by_budget(table, settings, family, role) for role in ("generalist", other))
    if sparse is None or others is None or len(sparse[0]) < 2:
        return None
    return crossing(sparse[0], sparse[1] - others[1])


def by_budget(table: ResultsTable, settings: Settings, family: str, role: str) -> tuple[list[int], np.ndarray] | None:
    """Return budgets in environment steps, and an arm's success on unseen tasks.

    Returns:
        Budgets [B], and success, float64 [seeds, B]; None where a cell is missing.
    """
    steps = list(evaluation_budgets(settings, family))
    success = seed_matrix([_at(table, family, role, step) for step in steps], range(settings.seeds))
    return None if success is None else (steps, success)


def figure(table: ResultsTable, settings: Settings) -> tuple[Figure, PlotRows]:
    """Draw success against environment steps, and against bits of supervision, a row per family, a curve per arm."""
    drawn: PlotRows = []
    drawing, axes = new_figure(len(settings.families), 2)
    for row, family in zip(axes, settings.families, strict=True):
        arms = {role: (label, colour, _arm(table, family, role)) for role, (colour, label) in ARMS.items()}
        plot_by_budget(row[0], arms, drawn, family)
        row[0].set_title(f"{family}: by environment steps")
        _by_bits(row[1], table, settings, family, drawn)
        for axis in row:
            draw_teacher_level(axis, table, family)
    legend(drawing, axes, columns=3)
    pool = settings.pools[-1]
    tasks = "every episode a new task" if pool is None else f"a pool of {pool:,} tasks"
    drawing.suptitle(f"{describe_seeds(drawn)}, {tasks}, 95% Student t", fontsize=9)
    return drawing, drawn


def _by_bits(axis: Axes, table: ResultsTable, settings: Settings, family: str, drawn: PlotRows) -> None:
    """Draw success against bits of supervision: at most one an episode that is rewarded, log2(actions) a label."""
    for role, (colour, label) in ARMS.items():
        arm = _arm(table, family, role)
        points = []
        for step in evaluation_budgets(settings, family):
            rows = arm.where(env_steps=step)
            if bits := [_bits(table, row) for row in rows.rows]:
                points.append((sum(bits) / len(bits), by_seed(rows)))
        draw_curve(axis, points, label, colour, drawn, family=family, series=f"{role}, bits")
    axis.set_xscale("log")
    axis.set_ylim(-0.02, 1.02)
    axis.set_xlabel("bits of supervision, at most")
    axis.set_title(f"{family}: by bits of supervision")


def _bits(table: ResultsTable, row: dict[str, Any]) -> float:
    """Return the bits of supervision up to a row's budget: the cell's, spread evenly over its steps."""
    spent = table.meta["ledger"][row["cell"]]
    return spent["supervision_bits"] * row["env_steps"] / spent["env_steps"]


def tables(table: ResultsTable, settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Return success at the first and the last budget compared, and the steps at which success alone passes others."""
    ends, crossings = [], []
    for family in settings.families:
        steps = compared_budgets(settings, family)
        for step in dict.fromkeys((steps[0], steps[-1])):
            line = {"family": family, "steps": f"{step:,}"}
            for role in ARMS:
                line[role] = mean_or_dash(_at(table, family, role, step).values())
            ends.append(line)
        passed = {other: describe(crossed(table, settings, family, other)) for other in ("taught", "shaped")}
        crossings.append({"family": family} | passed)
    return {
        "unseen success (generalist: rewarded for success alone)": ends,
        "environment steps at which success alone passes the others": crossings,
    } | teacher_levels(table, settings)
