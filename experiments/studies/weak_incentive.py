"""Does a weak incentive look bad at first, and scale better than teaching?

"Weakly incentivizing the model requires a lot more compute, i.e. it is a more scalable teaching strategy", and "what is
good in the long run almost necessarily looks bad in the short term" (H. W. Chung, "Don't teach. Incentivize.", 2024).
Three agents of the same network meet a new task every episode: one is taught, one is rewarded on the way (shaped by the
expert's distance), one for success alone. They are compared at a sixteenth of the budget and at its end; where their
curves cross is told, if they do. All is judged by bits of supervision as well as by environment steps: a reward tells
one bit an episode at most, a label log2(actions) at every step.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from incentivize.experiments.analysis.claims import Claim, judge, leave_open
from incentivize.experiments.analysis.comparisons import (
    LEARNT_SCORE,
    by_seed,
    paired_difference,
    why_not_learnt,
    why_unscored,
)
from incentivize.experiments.analysis.guards import teacher_levels, why_above_teacher, why_not_beaten
from incentivize.experiments.analysis.table import ResultsTable
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
from incentivize.experiments.settings.presets import STANDARD, TINY, with_large
from incentivize.experiments.settings.schema import Settings, compared_budgets, evaluation_budgets

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
"""The parts that are played, with their colours and words."""


def cells(settings: Settings) -> list[Cell]:
    """Agents of every arm, with the same settings and steps.

    Raises:
        SettingsError: where there is more than one pool, or the reward is another than the study's own.
    """
    pool, *more = settings.pools
    if more:
        raise InputError(f'pools = {list(settings.pools)}: want one, such as ["new"], as budgets are compared here')
    grid = []
    for family in settings.families:
        training = settings.training[family]
        if training.reward != "sparse":
            raise InputError(f"reward = {training.reward!r}: want sparse, as the study has the other rewards itself")
        shaped = training.model_copy(update={"reward": "sparse+shaped"})
        grid += blind_cells(STUDY, settings, family)
        for seed in range(settings.seeds):
            own = on_pool(pool, seed)
            grid.append(cell_of(STUDY, settings, family, "generalist", **own))
            grid.append(cell_of(STUDY, settings, family, "shaped", training=shaped, **own))
            teacher = headline_teacher(family)
            grid.append(cell_of(STUDY, settings, family, "taught", learner="cloning", teacher=teacher, **own))
    return grid


def _arm(table: ResultsTable, family: str, role: str) -> ResultsTable:
    return table.where(family=family, evaluated_on="unseen", role=role)


def _at(table: ResultsTable, family: str, role: str, steps: int, key: str = "success") -> dict[int, float]:
    return by_seed(_arm(table, family, role).where(env_steps=steps), key)


def verdicts(table: ResultsTable, settings: Settings) -> list[Claim]:
    """Five rows per family: behind at first; ahead of the taught and the shaped agent in the end, by steps, by bits."""
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
            mine, theirs = (_at(table, family, role, last) for role in ("generalist", other))
            ahead = paired_difference(mine, theirs, settings)
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
    """Surely ahead of an arm that has had more bits, or surely behind it when it had fewer."""
    last = compared_budgets(settings, family)[-1]
    bits = {row["seed"]: _bits(table, row) for row in _arm(table, family, "generalist").where(env_steps=last).rows}
    mine = _at(table, family, "generalist", last)
    more, fewer = (_beside(table, family, other, bits, above=side) for side in (True, False))
    ahead, behind = (
        paired_difference(mine, by_seed(rows.where(evaluated_on="unseen")), settings) for rows in (more, fewer)
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


def _beside(table: ResultsTable, family: str, role: str, bits: dict[int, float], above: bool) -> ResultsTable:
    """Rows of an arm at the evaluation next above so many bits of supervision by seed, or next below."""
    arm, then = table.where(family=family, role=role), {}
    for row in sorted(arm.where(evaluated_on="unseen").rows, key=lambda row: row["env_steps"], reverse=above):
        wanted = bits.get(row["seed"], math.nan)
        if _bits(table, row) >= wanted if above else _bits(table, row) <= wanted:
            then[row["seed"]] = row["env_steps"]  # the last one that is written down lies next
    return arm.where(lambda row: row["env_steps"] == then.get(row["seed"]))


def above(table: ResultsTable, family: str, other: str) -> str | None:
    """Return why an arm that is taught may not be called beaten: an agent is above its teacher. Or None."""
    return why_above_teacher(table, family) if other == "taught" else None


def why_open(table: ResultsTable, family: str, steps: int, other: str) -> str | None:
    """Why the agent rewarded for success alone is not compared with another at a budget, if it is not."""
    scores = (_at(table, family, role, steps, "score") for role in ("generalist", other))
    return why_unscored(table, family) or why_not_learnt(*scores)


def crossed(table: ResultsTable, settings: Settings, family: str, other: str) -> Location | None:
    """Where the curve of success alone passes another arm's for good; None where a cell is missing."""
    mine, theirs = (by_budget(table, settings, family, role) for role in ("generalist", other))
    if mine is None or theirs is None or len(mine[0]) < 2:
        return None
    return crossing(mine[0], mine[1] - theirs[1])


def by_budget(table: ResultsTable, settings: Settings, family: str, role: str) -> tuple[list[int], np.ndarray] | None:
    """Budgets, and an arm's unseen success [seeds, budgets]; None where a cell is missing."""
    steps = list(evaluation_budgets(settings, family))
    columns = [_at(table, family, role, step) for step in steps]
    if any(set(found) != set(range(settings.seeds)) for found in columns):
        return None
    return steps, np.array([[found[seed] for found in columns] for seed in range(settings.seeds)])


def figure(table: ResultsTable, settings: Settings) -> tuple[Figure, PlotRows]:
    """A row per family: success against environment steps, and against bits of supervision, a curve per arm."""
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
    tasks = "every episode a new task" if pool == "new" else f"a pool of {pool:,} tasks"
    drawing.suptitle(f"{describe_seeds(drawn)}, {tasks}, 95% Student t", fontsize=9)
    return drawing, drawn


def _by_bits(axis: Axes, table: ResultsTable, settings: Settings, family: str, drawn: PlotRows) -> None:
    """The same against bits of supervision: at most one an episode that is rewarded, log2(actions) a label."""
    for role, (colour, label) in ARMS.items():
        mine = _arm(table, family, role)
        points = []
        for step in evaluation_budgets(settings, family):
            rows = mine.where(env_steps=step)
            if bits := [_bits(table, row) for row in rows.rows]:
                points.append((sum(bits) / len(bits), by_seed(rows)))
        draw_curve(axis, points, label, colour, drawn, family=family, series=f"{role}, bits")
    axis.set_xscale("log")
    axis.set_ylim(-0.02, 1.02)
    axis.set_xlabel("bits of supervision, at most")
    axis.set_title(f"{family}: by bits of supervision")


def _bits(table: ResultsTable, row: dict[str, Any]) -> float:
    """Bits up to a row's budget: the cell's, spread evenly over its steps."""
    spent = table.meta["ledger"][row["cell"]]
    return spent["supervision_bits"] * row["env_steps"] / spent["env_steps"]


def tables(table: ResultsTable, settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Success at the first budget compared and the last, and where the curve of success alone passes the others."""
    ends, crossings = [], []
    for family in settings.families:
        steps = compared_budgets(settings, family)
        for step in dict.fromkeys((steps[0], steps[-1])):
            line = {"family": family, "steps": f"{step:,}"}
            for role in ARMS:
                found = list(_at(table, family, role, step).values())
                line[role] = f"{sum(found) / len(found):.2f}" if found else "-"
            ends.append(line)
        passed = {other: describe(crossed(table, settings, family, other)) for other in ("taught", "shaped")}
        crossings.append({"family": family} | passed)
    return {
        "unseen success (generalist: rewarded for success alone)": ends,
        "environment steps at which success alone passes the others": crossings,
    } | teacher_levels(table, settings)
