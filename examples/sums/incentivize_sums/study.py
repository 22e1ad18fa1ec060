"""Does it take fewer training tasks to learn the skill where a failure costs something?

Agents with the rewards `sparse` and `sparse+stakes` train on pools of the same sizes, with the same steps. They are
compared by their success on tasks that none of them has met.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from incentivize.experiments.study_api import (
    BLUE,
    ORANGE,
    Cell,
    Claim,
    PlotRows,
    ResultsTable,
    Settings,
    blind_cells,
    cell_of,
    describe_pool,
    describe_seeds,
    judge,
    legend,
    mean_or_dash,
    new_figure,
    on_pool,
    paired_difference,
    plot_by_pool,
    unseen,
    why_not_learnt,
    why_unscored,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STUDY = "stakes"
QUESTION = "Does it take fewer training tasks to learn the skill where a failure costs something?"

_QUICK: dict[str, Any] = {
    "families": ("sums",),
    "seeds": 3,
    "control_seeds": 1,
    "pools": (4, 16, 64, 256, 1024, "new"),
    "eval_tasks": 128,
    "eval_instances": 8,
    "specialists": 1,
    "training": {"sums": {"network": "residual", "budget": 400_000, "learning_rate": 2e-3}},
}
PRESETS = {"quick": _QUICK, "standard": _QUICK | {"seeds": 10}}

ROLES = {"sparse": ("generalist", BLUE), "sparse+stakes": ("stakes", ORANGE)}

# The verdict rule, fixed before any run.
RULE = (
    "unseen success with stakes minus without, with {pool}, paired by seed, Student t 95%; supported above 0, refuted "
    "below; 3 seeds at least, and some arm that has learnt the family from the largest pool"
)


def cells(settings: Settings) -> list[Cell]:
    """Make agents with either reward on every pool, and blind agents, without which there are no scores."""
    grid = []
    for family in settings.families:
        grid += blind_cells(STUDY, settings, family)
        for reward, (role, _) in ROLES.items():
            training = settings.training[family].model_copy(update={"reward": reward})
            for pool in settings.pools:
                for seed in range(settings.seeds):
                    grid.append(cell_of(STUDY, settings, family, role, training=training, **on_pool(pool, seed)))
    return grid


def verdicts(table: ResultsTable, settings: Settings) -> list[Claim]:
    """Judge one claim per family and pool."""
    claims, largest = [], settings.pools[-1]
    for family in settings.families:
        scores = (unseen(table, family, role, largest, "score") for role, _ in ROLES.values())
        why = why_unscored(table, family) or why_not_learnt(*scores)
        for pool in settings.pools:
            with_stakes, without = (unseen(table, family, role, pool) for role in ("stakes", "generalist"))
            claim = f"failures that cost something help: {describe_pool(pool)}"
            effect = paired_difference(with_stakes, without, settings)
            rule = RULE.format(pool=describe_pool(pool))
            claims.append(judge(STUDY, family, claim, rule, effect, supported_above=0, refuted_below=0, too_few=why))
    return claims


def figure(table: ResultsTable, settings: Settings) -> tuple[Figure, PlotRows]:
    """Draw success on unseen tasks against the pool's size, with stakes and without, a panel per family."""
    drawn: PlotRows = []
    drawing, axes = new_figure(1, len(settings.families))
    for axis, family in zip(axes.flat, settings.families, strict=True):
        final = table.where(family=family, evaluated_on="unseen").final()
        arms = {reward: (reward, colour, final.where(role=role)) for reward, (role, colour) in ROLES.items()}
        plot_by_pool(axis, arms, drawn, family, settings.pools)
        axis.set_title(family)
    legend(drawing, axes)
    drawing.suptitle(f"{describe_seeds(drawn)}, 95% Student t", fontsize=9)
    return drawing, drawn


def tables(table: ResultsTable, settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Return unseen success by pool and reward."""
    lines = []
    for family in settings.families:
        for pool in settings.pools:
            line = {"family": family, "pool": "new" if pool is None else f"{pool:,}"}
            for reward, (role, _) in ROLES.items():
                line[reward] = mean_or_dash(unseen(table, family, role, pool).values())
            lines.append(line)
    return {"unseen success at the last budget": lines}
