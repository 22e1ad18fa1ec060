"""Does general skill appear as the number of training tasks grows?

"If you try to solve tens of tasks with minimal effort possible, then pattern-recognizing each task separately might be
easiest" (H. W. Chung, "Don't teach. Incentivize.", 2024); with trillions it should be easier to learn the general
skill. One agent is trained on pools of 1 to "every episode a new task" with nothing but a sparse reward, every pool
with the same number of environment steps, and tested on tasks that are in no pool. Beside it: a control in which
nothing can generalise (shuffled descriptions, or a rule that is drawn anew whenever something could be found out); the
same without the description (blind); a generalist taught by the expert; and specialists, one per held-out task, with
a share B/N of the generalist's budget B, with B split over those trained, and with the whole of B each. They are
supervised, and where `specialist_learners` says so also incentivized: then signal and scope are crossed, 2 x 2.
"""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from incentivize.experiments.analysis.claims import Claim, judge, leave_open
from incentivize.experiments.analysis.comparisons import (
    LEARNT_SCORE,
    by_seed,
    floor_at_zero,
    paired_difference,
    seeds_by_tasks,
    why_not_learnt,
    why_unscored,
)
from incentivize.experiments.analysis.estimates import MIN_SEEDS
from incentivize.experiments.analysis.guards import (
    scores_by_pool,
    teacher_levels,
    why_above_their_teacher,
    why_specialists_not_beaten,
    why_specialists_open,
)
from incentivize.experiments.analysis.pool_curves import break_even_pool, n_star
from incentivize.experiments.analysis.table import ResultsTable
from incentivize.experiments.analysis.thresholds import describe
from incentivize.experiments.cells import Cell
from incentivize.experiments.design.grid import blind_cells, cell_of, has_hidden_rule, headline_teacher, on_pool
from incentivize.experiments.design.specialists import (
    MET,
    ROLES,
    generalists_trained_on_specialty,
    specialist_points,
    specialists,
)
from incentivize.experiments.errors import InputError
from incentivize.experiments.settings.presets import MANY_POOLS, STANDARD, TINY, with_large
from incentivize.experiments.settings.schema import Settings, size_of
from incentivize.experiments.studies.task_count_figure import draw_task_count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDY = "task-count"
QUESTION = "Does general skill appear as the number of training tasks grows?"

PRESETS = with_large(
    {
        "tiny": TINY
        | {"control_pools": ("new",), "taught_pools": (1, "new"), "specialist_learners": ("taught", "incentivized")},
        "quick": {
            "seeds": 2,
            "pools": (1, 64, 1024, 16384, "new"),
            "control_pools": (1, 64, 1024, "new"),
            "taught_pools": ("new",),
            "control_seeds": 1,
            "specialists": 3,
            "eval_tasks": 128,
            "eval_instances": 4,
            "evaluations": 3,
        },
        "standard": STANDARD
        | {
            "families": ("errands", "puzzles", "codebooks"),
            "pools": MANY_POOLS,
            "control_pools": MANY_POOLS,
            "taught_pools": MANY_POOLS,
            "specialist_learners": ("taught", "incentivized"),
        },
    }
)

# The verdict rules, fixed before any run, but for scores below 0, which count as 0 since the shuffled control was seen
# to come up to the blind level from below. Since November 2026, with all results published, what nobody has learnt is
# open, specialists who have not learnt their own task are not said to be beaten, and a control that scores makes the
# claim void, which had been refuted then (docs/results/README.md says which verdicts that changes).
# Scores are (success - blind) / (1 - blind), acting sampled, last budget.
RISE = 0.2  # the score on unseen tasks has to gain at least this from the smallest to the largest pool
FLAT = 0.1  # less than this counts as flat, and the control may not score more
APPEARS = (
    "unseen score, at least 0, at the largest pool minus the smallest, paired by seed, Student t 95%; supported above "
    f"{RISE}, refuted below {FLAT}, void where the control scores above {FLAT} at any pool; open where no score "
    f"of generalists, taught ones among them, reaches {LEARNT_SCORE} at any pool, on unseen tasks or on its own (not those "
    "of the smallest); 3 seeds at least of either"
)
BEATS = (
    "success of the generalist on tasks it {met} minus that of specialists trained on them, same instances; jackknife "
    "95% over seeds x tasks; supported above 0, without the specialists whose score in their own task is below "
    f"{LEARNT_SCORE} as well; refuted below 0; open where nobody's score reaches {LEARNT_SCORE}, and instead of supported where an "
    "agent is above the teacher of supervised ones; void where the control scores above "
    f"{FLAT} at any pool; 3 seeds and 3 tasks at least"
)


_cell = partial(cell_of, STUDY)


def cells(settings: Settings) -> list[Cell]:
    """The grid, family by family: those that need the same program side by side.

    Raises:
        SettingsError: where a control is wanted that is none.
    """
    grid = []
    for family in settings.families:
        if settings.life > 1 and settings.control_pools and has_hidden_rule(family):
            raise InputError(
                f"life = {settings.life}: {family} has no control of skill then, as what an attempt brings tells the "
                "real rule; want control_pools = [] in a file, or life = 1"
            )
        seeds, few = range(settings.seeds), range(settings.control_seeds)
        grid += blind_cells(STUDY, settings, family)
        for seed in seeds:
            for pool in settings.pools:
                grid.append(_cell(settings, family, "generalist", **on_pool(pool, seed)))
        for seed in few:
            for pool in settings.control_pools:
                own = on_pool(pool, seed)
                control = "disjoint" if has_hidden_rule(family) else "shuffled"
                grid.append(_cell(settings, family, "control", control=control, **own))
            teachers = {"taught": headline_teacher(family)} | (
                {"informed": "dagger"} if has_hidden_rule(family) else {}
            )
            for role, teacher in teachers.items():
                for pool in settings.taught_pools:
                    own = on_pool(pool, seed)
                    grid.append(_cell(settings, family, role, learner="cloning", teacher=teacher, **own))
        grid += specialists(STUDY, settings, family) + generalists_trained_on_specialty(STUDY, settings, family)
    return grid


def _control(table: ResultsTable, settings: Settings) -> tuple[str | None, str | None]:
    """What the control objects, and what is missing of it."""
    if not settings.control_pools:
        return None, "there is no control"
    if settings.control_seeds < MIN_SEEDS:
        return None, f"the control has {settings.control_seeds} of {MIN_SEEDS} seeds"
    for size in settings.control_pools:
        scores = by_seed(table.where(role="control", evaluated_on="unseen", pool_size=size_of(size)), "score")
        if len(scores) < settings.control_seeds:
            return None, "the control is not complete"
        if (mean := sum(scores.values()) / len(scores)) > FLAT:
            return f"the control scores {mean:.2f} at pool {size}", None
    return None, None


def _appears(table: ResultsTable, settings: Settings, family: str) -> Claim:
    final = table.where(family=family).final()
    smallest, largest = settings.pools[0], settings.pools[-1]
    effect = objection = None
    too_few = "one pool size shows no rise" if smallest == largest else None
    if why := why_unscored(table, family):
        too_few = why
    elif not too_few:
        generalist = final.where(role="generalist", evaluated_on="unseen")
        ends = (by_seed(generalist.where(pool_size=size_of(end)), "score") for end in (largest, smallest))
        high, low = map(floor_at_zero, ends)
        effect = paired_difference(high, low, settings)
        objection, too_few = _control(final, settings)
        arms = (scores_by_pool(final, role, settings.pools) for role in ("generalist", "taught"))
        too_few = too_few or why_not_learnt(*chain.from_iterable(arms))
    claim = f"general skill appears as training tasks multiply (pool {smallest} to {largest})"
    bounds: Any = {"supported_above": RISE, "refuted_below": FLAT}
    return judge(STUDY, family, claim, APPEARS, effect, **bounds, objection=objection, too_few=too_few)


def _beats(
    table: ResultsTable,
    settings: Settings,
    family: str,
    kind: str,
    which: str,
    learner: str = "taught",
    met: bool = False,
) -> Claim:
    objection, _ = _control(table.where(family=family).final(), settings)
    final = table.where(family=family)
    size, too_few = size_of(settings.pools[-1]), None
    specialists = final.where(role=ROLES[learner], evaluated_on="specialty", budget_kind=kind)
    if kind == "share":
        steps, size = _smallest_share(settings, family)
        specialists = specialists.where(env_steps=steps)
        which += f" = B/{size:,}" if size else ""
        too_few = None if size else "no share of the steps is as much as one small update"
    mine = final.where(role=MET) if met else final.where(role="generalist", pool_size=size)
    generalists = mine.where(evaluated_on="specialty").final()
    effect = None if too_few else seeds_by_tasks(generalists, specialists, settings)
    arms = {"taught": "a generalist beats supervised", "incentivized": "an incentivized generalist beats incentivized"}
    who = arms[learner].replace("generalist", "generalist that met the tasks") if met else arms[learner]
    claim, rule = (
        f"{who} specialists in their own specialty ({which})",
        BEATS.format(met="met" if met else "never met"),
    )
    own: dict[str, Any] = {"too_few": too_few or why_specialists_open(table, family, generalists, specialists)}
    own["objection"] = objection
    judged = judge(
        STUDY, family, claim, rule, effect, supported_above=0, refuted_below=0, evaluated_on="specialty", **own
    )
    why = why_specialists_not_beaten(generalists, specialists, settings) or why_above_their_teacher(
        table, family, learner
    )
    return leave_open(judged, why, ("supported",))


def _smallest_share(settings: Settings, family: str) -> tuple[int, int | None]:
    """The smallest share that is at least one small update, and the largest pool that leaves it; 0 and None: none."""
    points = specialist_points(settings, settings.training[family])
    steps = min((steps for at in points for steps, kind in at.items() if kind == "share"), default=0)
    budget = settings.training[family].budget
    sizes = [pool for pool in settings.pools if pool != "new" and steps and budget // pool >= steps]
    return steps, max(sizes, default=None)


def verdicts(table: ResultsTable, settings: Settings) -> list[Claim]:
    """One row per claim and family."""
    claims = []
    for family in settings.families:
        claims.append(_appears(table, settings, family))
        claims.append(_beats(table, settings, family, "full", "B steps each"))
        if generalists_trained_on_specialty(STUDY, settings, family):
            claims.append(_beats(table, settings, family, "full", "B steps each", met=True))
        if "incentivized" in settings.specialist_learners:
            claims.append(_beats(table, settings, family, "full", "B steps each", "incentivized"))
        if settings.specialists > 1:  # one has all of B
            claims.append(_beats(table, settings, family, "equal_share", f"B/{settings.specialists} steps each"))
        claims.append(_beats(table, settings, family, "share", "a share of steps"))
    return claims


def figure(table: ResultsTable, settings: Settings) -> tuple[Figure, list[dict[str, Any]]]:
    """The general-versus-specialist curve, and the rows drawn."""
    return draw_task_count(table, settings)


def tables(table: ResultsTable, settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Success by pool, and where specialists are of both kinds, signal crossed with scope."""
    found = {"success at the last budget, on unseen tasks (seen: of the pool)": _by_pool(table, settings)}
    if set(settings.specialist_learners) == set(ROLES):
        title = "success in the specialists' specialty, all with B steps; generalists mostly never met these tasks"
        found[title] = _crossing(table, settings)
    turns = [_turn(table, settings, family) for family in settings.families]
    title = "N*: the pool with half of the score at every episode new; and from which pool on twice the training helps"
    return found | {title: turns} | teacher_levels(table, settings)


def _turn(table: ResultsTable, settings: Settings, family: str) -> dict[str, str]:
    """Where a family's curve turns."""
    line = {"family": family, "N*": describe(n_star(table, settings, family, "generalist"))}
    return line | {"twice the training helps from": describe(break_even_pool(table, settings, family, "generalist"))}


def _by_pool(table: ResultsTable, settings: Settings) -> list[dict[str, str]]:
    lines, any_hidden = [], any(map(has_hidden_rule, settings.families))
    for family in settings.families:
        final, blind = table.where(family=family).final(), table.meta["blind"][family]

        def cell(role: str, split: str, size: int | None, final: ResultsTable = final) -> str:
            values = final.where(role=role, evaluated_on=split, pool_size=size).values()
            return f"{sum(values) / len(values):.2f}" if values else "-"

        for pool in settings.pools:
            size = size_of(pool)
            lines.append(
                {
                    "family": family,
                    "pool": "new" if size is None else f"{size:,}",
                    "seen": cell("generalist", "seen", size),
                    "unseen": cell("generalist", "unseen", size),
                    "control": cell("control", "unseen", size),
                    "taught": cell("taught", "unseen", size),
                    **({"informed": cell("informed", "unseen", size)} if any_hidden else {}),
                    "blind": "-" if blind is None else f"{blind:.2f}",
                }
            )
    return lines


def _crossing(table: ResultsTable, settings: Settings) -> list[dict[str, str]]:
    """Signal x scope on the specialists' held-out tasks, the same instances for all."""
    lines = []
    for family in settings.families:
        there = table.where(family=family, evaluated_on="specialty")
        pool = settings.pools[-1]
        largest = there.where(pool_size=size_of(pool)).final()
        met = {"incentivized": there.where(role=MET).final(), "taught": there.where(role="nobody")}
        generalists = {"incentivized": largest.where(role="generalist"), "taught": largest.where(role="taught")}
        full = {learner: there.where(role=ROLES[learner], budget_kind="full") for learner in generalists}
        scopes = {f"generalist, pool {pool}": generalists, "generalist that met these tasks": met, "specialist": full}
        for scope, arms in scopes.items():
            if not any(rows.rows for rows in arms.values()):
                continue
            means = {arm: f"{np.mean(rows.values()):.2f}" if rows.rows else "-" for arm, rows in arms.items()}
            lines.append({"family": family, "scope": scope} | means)
    return lines
