"""Does an incentive generalise where teaching does not, or do many tasks do it whatever the signal?

"Don't teach. Incentivize." (H. W. Chung, 2024). One network is trained on pools of few to very many tasks in four ways:
on reward for success alone; by the strongest teacher there is for what the agent can see; by a teacher who errs now and
then; and taught first, then incentivized. Signal is crossed with scope, so what many tasks do and what the incentive
does can be told apart: if taught agents generalise as well, diversity brings the skill, and not the incentive.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from incentivize.experiments.analysis.claim_guards import (
    scores_by_pool,
    teacher_levels,
    why_above_teacher,
    why_not_beaten,
)
from incentivize.experiments.analysis.claims import Claim, judge, leave_open
from incentivize.experiments.analysis.comparisons import (
    LEARNT_SCORE,
    floor_at_zero,
    paired_difference,
    why_not_learnt,
    why_unscored,
)
from incentivize.experiments.analysis.pool_curves import n_star, unseen
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.analysis.thresholds import describe
from incentivize.experiments.cells import Cell
from incentivize.experiments.design.grid import blind_cells, cell_of, headline_teacher, on_pool
from incentivize.experiments.errors import InputError
from incentivize.experiments.presentation.charts import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    PlotRows,
    describe_seeds,
    draw_teacher_level,
    legend,
    new_figure,
    plot_by_pool,
)
from incentivize.experiments.presentation.tables import mean_or_dash
from incentivize.experiments.settings.presets import MANY_POOLS, STANDARD, TINY, with_large
from incentivize.experiments.settings.schema import Settings, pool_name
from incentivize.experiments.settings.training import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDY = "signal-and-scope"
QUESTION = "Does an incentive generalise where teaching does not, or do many tasks do it whatever the signal?"

_QUICK: dict[str, Any] = {
    "families": ("errands", "puzzles", "codebooks"),
    "seeds": 3,
    "pools": (1, 16, 256, 4096, "new"),
    "control_seeds": 1,
    "specialists": 4,
    "eval_tasks": 128,
    "eval_instances": 4,
    "evaluations": 3,
}
PRESETS = with_large(
    {
        "tiny": TINY,
        "quick": _QUICK,
        "standard": _QUICK | STANDARD | {"pools": MANY_POOLS},
    }
)

# The verdict rules. Success on unseen tasks at the last budget, acting sampled; but greedily where a teacher errs, as
# drawn actions copy the errors. They were written before any run. A first one, in the shuffled control, showed that who
# memorises is worse than blind, so that coming up to the blind level passed for skill: since then scores below 0 count
# as 0, and arms of which none has learnt are not compared. Since November 2026, with all results published, the first
# claim is open, too, where nobody has learnt. An arm that has learnt nothing is not said to be beaten. Nothing is said
# against teaching where an arm is above its teacher.
RISE = 0.2  # of the score, from the smallest to the largest pool
FLAT = 0.1  # less counts as flat
NOISE = 0.2  # how often the teacher errs who does
TAUGHT_FIRST = 4  # the share of the steps in which an agent is taught that is incentivized after: one in so many
DIVERSITY = (
    "unseen score, at least 0, of the taught agent at the largest pool minus that at the smallest, paired by seed, "
    f"Student t 95%; supported above {RISE}, refuted below {FLAT}; open where no score reaches {LEARNT_SCORE}, neither "
    "of taught agents, on unseen tasks or on their own (not those of the smallest pool), nor of incentivized ones on "
    "unseen ones, and instead of refuted where an agent is above the teacher; 3 seeds at least"
)
AGAINST = (
    "unseen success of {first} minus that of {second}, acting {how}, at the largest pool, paired by seed, Student t "
    "95%; supported above 0, refuted below; 3 seeds at least; left open where both score below {learnt}, and instead "
    "of supported where an agent is above the teacher, or the second scores below {learnt} on its own tasks, too"
)
ARMS = {
    "generalist": (BLUE, "incentivized"),
    "taught": (GREEN, "taught"),
    "noisy": (ORANGE, f"taught by one who errs ({NOISE:g} of the time)"),
    "taught first": (PURPLE, f"taught for 1/{TAUGHT_FIRST} of the steps, then incentivized"),
}
"""Roles, with their colours and their names in the legend."""
COMPARED = (
    ("generalist", "taught", "incentivizing generalises better than teaching the same tasks"),
    ("generalist", "noisy", "incentivizing generalises better than a teacher who errs"),
    ("taught first", "taught", "an incentive carries on what teaching began better than more teaching"),
)


def cells(settings: Settings) -> list[Cell]:
    """Make agents of every arm on every pool.

    Raises:
        InputError: where the settings have what the study varies, or a budget is less than TAUGHT_FIRST updates.
    """
    grid = []
    for family in settings.families:
        training, teacher = settings.training[family], headline_teacher(family)
        for key, plain in (("taught_steps", 0), ("noise", 0.0)):
            if getattr(training, key) != plain:
                raise InputError(
                    f"{key} = {getattr(training, key)}: must be {plain}, as this study varies it itself. Leave it out."
                )
        taught: dict[str, Any] = {"learner": "cloning", "teacher": teacher}
        arms: dict[str, dict[str, Any]] = {
            "generalist": {},
            "taught": taught,
            "noisy": taught | {"training": training.model_copy(update={"noise": NOISE})},
            "taught first": {"teacher": teacher, "training": _taught_first(training)},
        }
        grid += blind_cells(STUDY, settings, family)
        for role, fields in arms.items():
            for seed in range(settings.seeds):
                for pool in settings.pools:
                    grid.append(cell_of(STUDY, settings, family, role, **fields, **on_pool(pool, seed)))
    return grid


def _taught_first(training: Training) -> Training:
    """Return the training of an agent that is taught first, for a share of its steps in whole updates."""
    updates = training.budget // training.steps_per_update // TAUGHT_FIRST
    if not updates:
        raise InputError(
            f"budget = {training.budget:,}: must be at least {TAUGHT_FIRST} updates of {training.steps_per_update:,} "
            "steps, one of them taught. Give a larger budget."
        )
    return training.model_copy(update={"taught_steps": updates * training.steps_per_update})


def verdicts(table: ResultsTable, settings: Settings) -> list[Claim]:
    """Judge four claims per family: what many tasks do for taught agents, and the incentive against teaching."""
    claims, smallest, largest = [], settings.pools[0], settings.pools[-1]
    for family in settings.families:
        final = partial(unseen, table, family)
        high, low = (floor_at_zero(final("taught", pool, "score")) for pool in (largest, smallest))
        rise = paired_difference(high, low, settings)
        why = why_unscored(table, family) or ("one pool size shows no rise" if smallest == largest else None)
        why = why or why_not_learnt(*_arms(table, settings, family))
        above = why_above_teacher(table, family)
        ends = f"pool {pool_name(smallest)} to {pool_name(largest)}"
        claim = f"teaching very many tasks brings the skill too: diversity explains it ({ends})"
        judged = judge(STUDY, family, claim, DIVERSITY, rise, supported_above=RISE, refuted_below=FLAT, too_few=why)
        claims.append(leave_open(judged, above, ("refuted",)))
        for first, second, claim in COMPARED:
            key, sampling = ("success_greedy", "greedily") if "noisy" in (first, second) else ("success", "sampled")
            ahead = paired_difference(final(first, largest, key), final(second, largest, key), settings)
            words = [f"agents {ARMS[role][1]}" for role in (first, second)]
            rule = AGAINST.format(first=words[0], second=words[1], learnt=LEARNT_SCORE, how=sampling)
            scores = (final(role, largest, "score") for role in (first, second))
            why = why_unscored(table, family) or why_not_learnt(*scores)
            claim += f" (pool {pool_name(largest)})"
            judged = judge(STUDY, family, claim, rule, ahead, supported_above=0, refuted_below=0, too_few=why)
            arm = table.where(family=family, role=second, pool_size=largest).final()
            why = why_not_beaten(arm, f"the agent {ARMS[second][1]}") or above
            claims.append(leave_open(judged, why, ("supported",)))
    return claims


def _arms(table: ResultsTable, settings: Settings, family: str) -> list[dict[int, float]]:
    """Return scores by seed of the arms that may have learnt the skill: taught ones, and incentivized ones, unseen."""
    others = (unseen(table, family, "generalist", pool, "score") for pool in settings.pools)
    return scores_by_pool(table.where(family=family).final(), "taught", settings.pools) + list(filter(None, others))


LIGHT = {"generalist": "#80B8D8", "noisy": "#EBAF80"}
"""Colours of the arms that are judged by greedy actions against each other."""


def _greedy(arm: ResultsTable) -> ResultsTable:
    """Return rows with greedy success in place of success, where it is known."""
    rows = [row | {"success": row["success_greedy"]} for row in arm.rows if row.get("success_greedy") is not None]
    return ResultsTable(rows, arm.tasks, arm.meta)


def figure(table: ResultsTable, settings: Settings) -> tuple[Figure, PlotRows]:
    """Draw success on unseen tasks against the pool's size, a panel per family, a curve per arm."""
    drawn: PlotRows = []
    drawing, axes = new_figure(1, len(settings.families), width=4.6)
    for axis, family in zip(axes[0], settings.families, strict=True):
        final = table.where(family=family, evaluated_on="unseen").final()
        arms = {role: (label, colour, final.where(role=role)) for role, (colour, label) in ARMS.items()}
        plot_by_pool(axis, arms, drawn, family, settings.pools)
        greedy = {
            f"{role}, greedy": (f"{ARMS[role][1]}, acting greedily", LIGHT[role], _greedy(final.where(role=role)))
            for role in LIGHT
        }
        plot_by_pool(axis, greedy, drawn, family, settings.pools)
        if (level := table.meta["blind"][family]) is not None:
            axis.axhline(level, color="black", linewidth=0.8, linestyle=":", label="blind level")
        draw_teacher_level(axis, table, family)
        axis.set_title(family)
    legend(drawing, axes)
    drawing.suptitle(f"{describe_seeds(drawn)}, last budget, 95% Student t", fontsize=9)
    return drawing, drawn


def tables(table: ResultsTable, settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Return success by pool and arm, and the pool at which each arm has half of it."""
    lines, halves = [], []
    for family in settings.families:
        for pool in settings.pools:
            line = {"family": family, "pool": "new" if pool is None else f"{pool:,}"}
            lines.append(line | {role: mean_or_dash(unseen(table, family, role, pool).values()) for role in ARMS})
        halves.append({"family": family} | {role: describe(n_star(table, settings, family, role)) for role in ARMS})
    return {
        "unseen success at the last budget (generalist: incentivized)": lines,
        "N*: the pool at which an arm has half of its score at every episode new (95%, seeds left out in turn)": halves,
    } | teacher_levels(table, settings)
