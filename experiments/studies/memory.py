"""Does an agent learn to find out a hidden rule, and use it, within one life?

An incentive can only reward what an agent does; learning to learn is not rewarded itself: "fast adaptation" of memory
(Duan et al. 2016, arXiv:1611.02779; Wang et al. 2016, arXiv:1611.05763). A life is several attempts at one task whose
rule is hidden, each with a start of its own. Agents with a memory that lasts from one attempt to the next, and agents
without any, are trained on pools of N tasks with a sparse reward for every attempt. An agent that gets better from
attempt to attempt at tasks of its pool alone has learnt to tell these apart; one that does so at tasks it never met has
learnt to find out. Agents without memory forget within an attempt as well, but see how the last attempt ended: what
they gain by that is subtracted.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from incentivize.experiments.analysis.claim_guards import own_scores
from incentivize.experiments.analysis.claims import Claim, judge
from incentivize.experiments.analysis.comparisons import LEARNT_SCORE, paired_difference, seed_matrix, why_not_learnt
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.cells import Cell
from incentivize.experiments.design.grid import cell_of, has_hidden_rule, on_pool
from incentivize.experiments.errors import InputError
from incentivize.experiments.presentation.charts import (
    BLUE,
    GREY,
    ORANGE,
    PlotRows,
    describe_seeds,
    draw_curve,
    draw_teacher_level,
    label_pool_axis,
    legend,
    new_figure,
)
from incentivize.experiments.settings.presets import STANDARD, TINY, with_large
from incentivize.experiments.settings.schema import PoolSize, Settings, pool_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STUDY = "memory"
QUESTION = "Does an agent learn to find out a hidden rule within one life?"

KNOBS: dict[str, dict[str, Any]] = {"codebooks": {"variant": "try", "cues": 8, "exam": 2, "study": 1}}
"""Families as they are studied here: of 8 cues two are asked in an attempt, after one try each, so that one attempt
tells too little, and several tell more. 4^8 = 65,536 codes. Chosen in trials of one seed, on pools of 4, 16, 64 and
every-episode-new, as agents with memory gained from several attempts there."""

_QUICK: dict[str, Any] = {
    "families": ("codebooks",),
    "knobs": KNOBS,
    "life": 8,
    "seeds": 3,
    "pools": (1, 16, 256, "new"),
    "specialists": 1,
    "eval_tasks": 128,
    "eval_instances": 8,
    "evaluations": 3,
}
PRESETS = with_large(
    {
        "tiny": TINY | {"families": ("codebooks",), "knobs": KNOBS, "life": 2, "pools": (4, "new")},
        "quick": _QUICK,
        "standard": _QUICK
        | STANDARD
        | {
            "specialists": 1,
            "pools": (1, 4, 16, 64, 256, 1024, 4096, "new"),
            "likelihood": False,
            "training": {"codebooks": {"budget": 6_000_000}},
        },
    },
    larger=(16384,),  # of 49,152
)

# The verdict rules. A gain is success in the last attempt of a life minus that in the first, of the agent with memory
# minus that without, acting sampled, at the last budget. GAIN and FLAT were fixed before any run but the trials; that
# what is gained without memory is taken off, and that agents have to have learnt to play, was added after the standard
# run of codebooks, whose verdicts are the same by either rule, and that a score has to reach LEARNT_SCORE in November
# 2026.
GAIN = 0.1
FLAT = 0.05
FINDS = (
    f"gain on unseen tasks at the largest pool, paired by seed, Student t 95%; supported above {GAIN}, refuted below "
    f"{FLAT}; open where no score reaches {LEARNT_SCORE}, nobody gains {GAIN} on seen tasks of any pool, or at the "
    "largest the first attempts with memory are no better than without; 3 seeds at least"
)
MULTIPLY = (
    "gain on unseen tasks at the largest pool minus that at the smallest, paired by seed, Student t 95%; supported "
    f"above {GAIN}, refuted below {FLAT}; open as above; 3 seeds at least"
)
ARMS = {"generalist": (BLUE, "with memory"), "forgetful": (ORANGE, "without memory")}
"""Roles, with their colours and their names in the legend."""


def cells(settings: Settings) -> list[Cell]:
    """Make agents with and without memory on every pool.

    Raises:
        InputError: where a rule is shown, a life has one attempt, or there is no memory to be left out.
    """
    if settings.life < 2:
        raise InputError(
            f"life = {settings.life}: must be at least 2, as the attempts of a life are compared. Raise it."
        )
    grid = []
    for family in settings.families:
        training = settings.training[family]
        if not has_hidden_rule(family):
            raise InputError(
                f"families = {family!r}: its rule is shown, so nothing has to be found out. "
                "Give a family with a hidden rule, such as codebooks."
            )
        if training.memory == "none":
            raise InputError(
                f"memory = 'none': {family} must have a memory, which this study leaves out itself. "
                "Give one, such as gru."
            )
        without = training.model_copy(update={"memory": "none"})
        for seed in range(settings.seeds):
            for pool in settings.pools:
                trained_on = on_pool(pool, seed)
                grid.append(cell_of(STUDY, settings, family, "generalist", **trained_on))
                grid.append(cell_of(STUDY, settings, family, "forgetful", training=without, **trained_on))
    return grid


def _attempts(table: ResultsTable, family: str, role: str, block: str, pool: PoolSize) -> dict[int, list[float]]:
    """Return success by attempt at the last budget, by seed."""
    final = table.where(family=family, role=role, evaluated_on=block, pool_size=pool).final()
    return {row["seed"]: row["success_by_attempt"] for row in final.rows}


def _gains(table: ResultsTable, family: str, role: str, block: str, pool: PoolSize) -> dict[int, float]:
    """Return success in the last attempt minus that in the first, by seed."""
    by_seed = _attempts(table, family, role, block, pool)
    return {seed: attempts[-1] - attempts[0] for seed, attempts in by_seed.items()}


def _net_gains(
    table: ResultsTable, settings: Settings, family: str, block: str, pool: PoolSize
) -> dict[int, float] | None:
    """Return gains with memory minus those without, by seed; None where one is missing."""
    gains = seed_matrix([_gains(table, family, role, block, pool) for role in ARMS], range(settings.seeds))
    return None if gains is None else dict(enumerate((gains[:, 0] - gains[:, 1]).tolist()))


def _why_open(table: ResultsTable, settings: Settings, family: str) -> str | None:
    """Say why nothing is claimed: cells are missing, or agents have not learnt enough to tell; None where they have."""
    seen = [_net_gains(table, settings, family, "seen", pool) for pool in settings.pools]
    complete = [list(gains.values()) for gains in seen if gains is not None]
    if len(complete) < len(seen):
        return "cells are missing"
    final = table.where(family=family).final()
    arms = (final.where(role=role, pool_size=pool) for role in ARMS for pool in settings.pools)
    if why := why_not_learnt(*(scores for arm in arms for scores in own_scores(arm))):
        return why
    if max(map(np.mean, complete)) < GAIN:
        return f"nobody gains {GAIN} from attempt to attempt, not even on seen tasks"
    lives_by_arm = (_attempts(table, family, role, "seen", settings.pools[-1]).values() for role in ARMS)
    first, without = (float(np.mean([attempts[0] for attempts in lives])) for lives in lives_by_arm)
    return (
        None
        if first > without
        else f"at pool {pool_name(settings.pools[-1])} nobody has learnt to remember within an attempt"
    )


def verdicts(table: ResultsTable, settings: Settings) -> list[Claim]:
    """Judge two claims per family: agents find out tasks never met, and this comes with the number of tasks."""
    claims = []
    smallest, largest = settings.pools[0], settings.pools[-1]
    for family in settings.families:
        few, many = (_net_gains(table, settings, family, "unseen", pool) for pool in (smallest, largest))
        why = _why_open(table, settings, family)
        judged = partial(judge, STUDY, family, supported_above=GAIN, refuted_below=FLAT)
        claim = "with memory an agent gets better from attempt to attempt at tasks it never met"
        effect = None if many is None else paired_difference(many, dict.fromkeys(many, 0.0), settings)
        claims.append(judged(claim, FINDS, effect, too_few=why))
        ends = f"pool {pool_name(smallest)} to {pool_name(largest)}"
        claim = f"finding out within a life comes as training tasks multiply ({ends})"
        why = why or ("one pool size shows no rise" if smallest == largest else None)
        effect = None if many is None or few is None else paired_difference(many, few, settings)
        claims.append(judged(claim, MULTIPLY, effect, too_few=why))
    return claims


def figure(table: ResultsTable, settings: Settings) -> tuple[Figure, PlotRows]:
    """Draw success by attempt on unseen tasks, and the gain against the pool's size, a row per family."""
    drawn: PlotRows = []
    drawing, axes = new_figure(len(settings.families), 2)
    for row, family in zip(axes, settings.families, strict=True):
        _by_attempt(row[0], table, settings, family, drawn)
        draw_teacher_level(row[0], table, family)
        _by_pool(row[1], table, settings, family, drawn)
    legend(drawing, axes)
    drawing.suptitle(f"{describe_seeds(drawn)}, last budget, 95% Student t", fontsize=9)
    return drawing, drawn


def _by_attempt(axis: Axes, table: ResultsTable, settings: Settings, family: str, drawn: PlotRows) -> None:
    """Draw success by attempt: with memory, the darker the larger the pool; and without, at the largest pool."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    def draw(role: str, pool: PoolSize, colour: str) -> None:
        by_seed = _attempts(table, family, role, "unseen", pool)
        attempts = range(min(map(len, by_seed.values()), default=0))
        points = [(place + 1, {seed: successes[place] for seed, successes in by_seed.items()}) for place in attempts]
        label = f"{ARMS[role][1]}, {'every episode new' if pool is None else f'pool {pool:,}'}"
        draw_curve(axis, points, label, colour, drawn, family=family, series=f"{role}, {pool_name(pool)}, by attempt")

    for pool, depth in zip(settings.pools, np.linspace(0.35, 1, len(settings.pools)).tolist(), strict=True):
        draw("generalist", pool, to_hex(colormaps["Blues"](depth)))
    draw("forgetful", settings.pools[-1], ORANGE)
    axis.set_xticks(range(1, settings.life + 1))
    axis.set_ylim(bottom=0)
    axis.set_xlabel("attempt within a life")
    axis.set_ylabel("success, unseen tasks")
    axis.set_title(f"{family}: by attempt")


def _by_pool(axis: Axes, table: ResultsTable, settings: Settings, family: str, drawn: PlotRows) -> None:
    """Draw the gain within a life against the pool's size, with and without memory."""
    arms = {("generalist", "unseen"): "-", ("generalist", "seen"): ":", ("forgetful", "unseen"): "-"}
    for (role, block), line in arms.items():
        colour, name = ARMS[role]
        points = []
        for pool in settings.pools:
            if gains := _gains(table, family, role, block, pool):
                points.append((pool, gains))
        label = f"{name}, gain on {block} tasks"
        columns: Any = {"family": family, "series": f"{role}, {block}, gain", "line": line}
        draw_curve(axis, points, label, colour, drawn, pools=settings.pools, **columns)
    label_pool_axis(axis, settings.pools)
    axis.autoscale(axis="y")
    axis.axhline(0, color=GREY, linewidth=0.8)
    axis.set_ylabel("last attempt minus first")
    axis.set_title(f"{family}: gain within a life")


def tables(table: ResultsTable, settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Return success in the first attempt and in the last, by pool, on tasks of the pool and on others."""
    lines = []
    for family in settings.families:
        for pool in settings.pools:
            line = {"family": family, "pool": "new" if pool is None else f"{pool:,}"}
            for role, block in (("generalist", "seen"), ("generalist", "unseen"), ("forgetful", "unseen")):
                lives = list(_attempts(table, family, role, block, pool).values())
                ends = "-" if not lives else " to ".join(f"{np.mean(lives, 0)[end]:.2f}" for end in (0, -1))
                line[f"{ARMS[role][1]}, {block}"] = ends
            lines.append(line)
    return {f"success in the first attempt and in the last of {settings.life}": lines}
