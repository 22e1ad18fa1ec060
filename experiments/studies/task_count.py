"""Does general skill appear as the number of training tasks grows?

"If you try to solve tens of tasks with minimal effort possible, then pattern-recognizing each task separately might be
easiest" (H. W. Chung, "Don't teach. Incentivize.", 2024); with trillions it should be easier to learn the general
skill. One agent is trained on pools of 1 to "every episode a new task" with nothing but a sparse reward, every pool
with the same number of environment steps, and tested on tasks that are in no pool. Beside it: a control in which
nothing can generalise (shuffled descriptions, or a rule that is drawn anew whenever something could be found out); the
same without the description (blind); a generalist taught by the expert; and specialists, one per held-out task, with
a share B/N of the generalist's budget B, with B divided among those trained, and with the whole of B each. They are
supervised, and where `specialist_learners` says so also incentivized: then signal and scope are crossed, 2 x 2.
"""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from incentivize.experiments.analysis.claim_guards import (
    scores_by_pool,
    teacher_levels,
    why_above_their_teacher,
    why_specialists_not_beaten,
    why_specialists_open,
)
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
from incentivize.experiments.analysis.pool_curves import break_even_pool, n_star
from incentivize.experiments.analysis.results_table import ResultsTable
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
from incentivize.experiments.presentation.tables import mean_or_dash
from incentivize.experiments.settings.presets import MANY_POOLS, STANDARD, TINY, with_large
from incentivize.experiments.settings.schema import Settings, finite_pools, pool_name
from incentivize.experiments.studies.task_count_figure import draw_task_count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from incentivize.experiments.presentation.charts import PlotRows

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
    f"{RISE}, refuted below {FLAT}, void where the control scores above {FLAT} at any pool; open where no score of "
    f"generalists, taught ones among them, reaches {LEARNT_SCORE} at any pool, on unseen tasks or on its own (not "
    "those of the smallest); 3 seeds at least of either"
)
BEATS = (
    "success of the generalist on tasks it {met} minus that of specialists trained on them, same instances; jackknife "
    "95% over seeds x tasks; supported above 0, without the specialists whose score in their own task is below "
    f"{LEARNT_SCORE} as well; refuted below 0; open where nobody's score reaches {LEARNT_SCORE}, and instead of "
    "supported where an agent is above the teacher of supervised ones; void where the control scores above "
    f"{FLAT} at any pool; 3 seeds and 3 tasks at least"
)


_cell = partial(cell_of, STUDY)


def cells(settings: Settings) -> list[Cell]:
    """Make the grid, family by family, with cells that need the same program side by side.

    Raises:
        InputError: where the settings ask for a control in which there is a skill to be had.
    """
    grid = []
    for family in settings.families:
        if settings.life > 1 and settings.control_pools and has_hidden_rule(family):
            raise InputError(
                f"life = {settings.life}: {family} has no control of skill then, as the outcome of an attempt tells "
                "the real rule. Give life = 1, or control_pools = [] in a file."
            )
        hidden = has_hidden_rule(family)
        control = "disjoint" if hidden else "shuffled"
        teachers = {"taught": headline_teacher(family)} | ({"informed": "dagger"} if hidden else {})
        grid += blind_cells(STUDY, settings, family)
        for seed in range(settings.seeds):
            for pool in settings.pools:
                grid.append(_cell(settings, family, "generalist", **on_pool(pool, seed)))
        for seed in range(settings.control_seeds):
            for pool in settings.control_pools:
                grid.append(_cell(settings, family, "control", control=control, **on_pool(pool, seed)))
            for role, teacher in teachers.items():
                for pool in settings.taught_pools:
                    taught: dict[str, Any] = {"learner": "cloning", "teacher": teacher} | on_pool(pool, seed)
                    grid.append(_cell(settings, family, role, **taught))
        grid += specialists(STUDY, settings, family) + generalists_trained_on_specialty(STUDY, settings, family)
    return grid


def _control(table: ResultsTable, settings: Settings) -> tuple[str | None, str | None]:
    """Return the objection of the control, and the reason why it is too small to judge by; None where there is none."""
    if not settings.control_pools:
        return None, "there is no control"
    if settings.control_seeds < MIN_SEEDS:
        return None, f"the control has {settings.control_seeds} of {MIN_SEEDS} seeds"
    for size in settings.control_pools:
        scores = by_seed(table.where(role="control", evaluated_on="unseen", pool_size=size), "score")
        if len(scores) < settings.control_seeds:
            return None, "the control is not complete"
        if (mean := sum(scores.values()) / len(scores)) > FLAT:
            return f"the control scores {mean:.2f} at pool {pool_name(size)}", None
    return None, None


def _appears(table: ResultsTable, settings: Settings, family: str) -> Claim:
    """Judge that the unseen score rises with the number of training tasks."""
    final = table.where(family=family).final()
    smallest, largest = settings.pools[0], settings.pools[-1]
    effect = objection = None
    too_few = "one pool size shows no rise" if smallest == largest else None
    if why := why_unscored(table, family):
        too_few = why
    elif not too_few:
        generalist = final.where(role="generalist", evaluated_on="unseen")
        ends = (by_seed(generalist.where(pool_size=end), "score") for end in (largest, smallest))
        high, low = map(floor_at_zero, ends)
        effect = paired_difference(high, low, settings)
        objection, too_few = _control(final, settings)
        arms = (scores_by_pool(final, role, settings.pools) for role in ("generalist", "taught"))
        too_few = too_few or why_not_learnt(*chain.from_iterable(arms))
    claim = f"general skill appears as training tasks multiply (pool {pool_name(smallest)} to {pool_name(largest)})"
    bounds: Any = {"supported_above": RISE, "refuted_below": FLAT}
    return judge(STUDY, family, claim, APPEARS, effect, **bounds, objection=objection, too_few=too_few)


def _beats(
    table: ResultsTable,
    settings: Settings,
    family: str,
    kind: str,
    budget_words: str,
    learner: str = "taught",
    met: bool = False,
) -> Claim:
    """Judge that generalists beat specialists in their own specialty.

    Args:
        table: rows of the run.
        settings: the run's settings.
        family: the family's name.
        kind: the specialists' budget, "full", "equal_share" or "share".
        budget_words: the specialists' budget in words.
        learner: what the specialists learn from, a key of ROLES.
        met: whether the generalists' pool has the specialists' tasks in it.
    """
    rows = table.where(family=family)
    objection, _ = _control(rows.final(), settings)
    size, too_few = settings.pools[-1], None
    specialists = rows.where(role=ROLES[learner], evaluated_on="specialty", budget_kind=kind)
    if kind == "share":
        steps, size = _smallest_share(settings, family)
        specialists = specialists.where(env_steps=steps)
        budget_words += f" = B/{size:,}" if size else ""
        too_few = None if size else "no share of the steps is as much as one small update"
    generalists = rows.where(role=MET) if met else rows.where(role="generalist", pool_size=size)
    generalists = generalists.where(evaluated_on="specialty").final()
    effect = None if too_few else seeds_by_tasks(generalists, specialists, settings)
    arms = {"taught": "a generalist beats supervised", "incentivized": "an incentivized generalist beats incentivized"}
    arm_name = arms[learner].replace("generalist", "generalist that met the tasks") if met else arms[learner]
    judged = judge(
        STUDY,
        family,
        f"{arm_name} specialists in their own specialty ({budget_words})",
        BEATS.format(met="met" if met else "never met"),
        effect,
        supported_above=0,
        refuted_below=0,
        objection=objection,
        too_few=too_few or why_specialists_open(table, family, generalists, specialists),
        evaluated_on="specialty",
    )
    why = why_specialists_not_beaten(generalists, specialists, settings)
    return leave_open(judged, why or why_above_their_teacher(table, family, learner), ("supported",))


def _smallest_share(settings: Settings, family: str) -> tuple[int, int | None]:
    """Return the smallest share of at least one small update, and the largest pool that leaves it; 0, None for none."""
    training = settings.training[family]
    points = specialist_points(settings, training)
    kinds = [*points.at_large.items(), *points.at_small.items()]
    steps = min((steps for steps, kind in kinds if kind == "share"), default=0)
    sizes = [size for size in finite_pools(settings) if steps and training.budget // size >= steps]
    return steps, max(sizes, default=None)


def verdicts(table: ResultsTable, settings: Settings) -> list[Claim]:
    """Judge every claim for every family."""
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


def figure(table: ResultsTable, settings: Settings) -> tuple[Figure, PlotRows]:
    """Draw generalists, controls and specialists against the number of training tasks, a panel per family."""
    return draw_task_count(table, settings)


def tables(table: ResultsTable, settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Return success by pool; and where specialists are of both kinds, signal crossed with scope."""
    by_title = {"success at the last budget, on unseen tasks (seen: of the pool)": _by_pool(table, settings)}
    if set(settings.specialist_learners) == set(ROLES):
        title = "success in the specialists' specialty, all with B steps; generalists mostly never met these tasks"
        by_title[title] = _crossing(table, settings)
    title = "N*: the pool with half of the score at every episode new; and from which pool on twice the training helps"
    by_title[title] = [_thresholds(table, settings, family) for family in settings.families]
    return by_title | teacher_levels(table, settings)


def _thresholds(table: ResultsTable, settings: Settings, family: str) -> dict[str, str]:
    """Return the line of a family in the table of thresholds."""
    line = {"family": family, "N*": describe(n_star(table, settings, family, "generalist"))}
    return line | {"twice the training helps from": describe(break_even_pool(table, settings, family, "generalist"))}


def _by_pool(table: ResultsTable, settings: Settings) -> list[dict[str, str]]:
    """Return the mean success of every arm, a line per family and pool."""
    columns = {"seen": ("generalist", "seen"), "unseen": ("generalist", "unseen")}
    columns |= {role: (role, "unseen") for role in ("control", "taught")}
    if any(map(has_hidden_rule, settings.families)):
        columns["informed"] = ("informed", "unseen")
    lines = []
    for family in settings.families:
        final, blind = table.where(family=family).final(), table.meta["blind"][family]
        for pool in settings.pools:
            line = {"family": family, "pool": "new" if pool is None else f"{pool:,}"}
            for column, (role, block) in columns.items():
                rows = final.where(role=role, evaluated_on=block, pool_size=pool)
                line[column] = mean_or_dash(rows.values())
            lines.append(line | {"blind": "-" if blind is None else f"{blind:.2f}"})
    return lines


def _crossing(table: ResultsTable, settings: Settings) -> list[dict[str, str]]:
    """Return success by signal and scope on the specialists' held-out tasks, the same instances for all."""
    lines = []
    for family in settings.families:
        specialty = table.where(family=family, evaluated_on="specialty")
        pool = settings.pools[-1]
        largest = specialty.where(pool_size=pool).final()
        full = specialty.where(budget_kind="full")
        scopes = {
            f"generalist, pool {pool_name(pool)}": (
                largest.where(role="generalist").values(),
                largest.where(role="taught").values(),
            ),
            "generalist that met these tasks": (specialty.where(role=MET).final().values(), []),
            "specialist": tuple(full.where(role=ROLES[learner]).values() for learner in ("incentivized", "taught")),
        }
        for scope, (incentivized, taught) in scopes.items():
            if incentivized or taught:
                means = {"incentivized": mean_or_dash(incentivized), "taught": mean_or_dash(taught)}
                lines.append({"family": family, "scope": scope} | means)
    return lines
