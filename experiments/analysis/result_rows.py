"""Rows of finished cells, and their scores. Does not import jax."""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np

from incentivize.experiments.analysis.estimates import normalised_score
from incentivize.experiments.cells import Cell
from incentivize.experiments.settings.training import network_name
from incentivize.experiments.storage.schema import Row

BASELINE_ROLES = ("uniform", "scripted", "blind")
"""Roles of agents that know nothing of the task."""


def rows_of(cell: Cell, counts: np.ndarray, n_params: int) -> list[Row]:
    """Return one row per family, budget, number of simulations and evaluated block, without scores.

    Args:
        cell: the cell.
        counts: the cell's counts per task, a structured array [T] with the fields of `storage.schema.TASK_FIELDS`.
        n_params: number of parameters of the cell's network.
    """
    fixed = {
        "cell": cell.id,
        "study": cell.study,
        "control": cell.control,
        "learner": cell.learner,
        "teacher": cell.teacher,
        "reward": cell.training.reward if cell.learner == "ppo" else None,
        "network": network_name(cell.training),
        "n_params": n_params,
        "pool_size": cell.pool_size,
        "pool_seed": cell.pool_seed,
        "seed": cell.seed,
        "role": cell.role,
    }
    rows = []
    for family, (point, kind), simulations in product(cell.members, cell.evaluation_points, cell.simulations):
        at_point = (counts["family"] == family) & (counts["env_steps"] == point)
        evaluation = counts[at_point & (counts["simulations"] == simulations)]
        for block in dict.fromkeys(evaluation["evaluated_on"].tolist()):
            row = {"family": family, "variant": cell.variant_of(family, block), "evaluated_on": block}
            row |= {"budget_kind": kind, "env_steps": point, "simulations": simulations}
            row |= {"attempts": 1 if simulations else cell.attempts}
            rows.append(fixed | row | aggregate(evaluation[evaluation["evaluated_on"] == block]))
    return rows


def aggregate(counts: np.ndarray) -> dict[str, Any]:
    """Return the columns of a row that an evaluation decides, such as success.

    Args:
        counts: counts per task of one block, a structured array [T] with the fields of `storage.schema.TASK_FIELDS`.
    """
    episodes, decisions = int(counts["episodes"].sum()), int(counts["decisions"].sum())
    steps, expert_steps = int(counts["steps"].sum()), int(counts["expert_steps"].sum())
    return {
        "success": float(counts["successes"].sum() / episodes),
        "n_tasks": len(counts),
        "n_episodes": episodes,
        "success_greedy": float(counts["successes_greedy"].sum() / episodes),
        "success_best": float(counts["successes_best"].sum() / episodes),
        "path": steps / expert_steps if expert_steps else None,
        "success_by_attempt": (counts["by_attempt"].sum(0) / episodes).tolist(),
        "log_likelihood": float(counts["log_likelihood"].sum(dtype=float) / decisions) if decisions else None,
    }


def with_scores(rows: Sequence[Row], levels: dict[str, float]) -> list[Row]:
    """Return the rows with a column `score`.

    It is None where the blind level is not known or leaves no room, and for blind agents. Levels are of a family as the
    run's settings have it, so other variants have no score, nor have shifts.

    Args:
        rows: rows of a run.
        levels: blind success by family.
    """
    base = base_variants(rows)

    def score(row: Row) -> float | None:
        other = row["variant"] != base.get(row["family"], row["variant"])
        level = levels.get(row["family"], 1.0)
        return None if row["role"] in BASELINE_ROLES or other else normalised_score(row["success"], level)

    return [row | {"score": score(row)} for row in rows]


def base_variants(rows: Iterable[Row]) -> dict[str, str]:
    """Return by family the variant that scripted policies have played: the one that the run's settings name."""
    return {row["family"]: row.get("variant") or "" for row in rows if row["role"] in BASELINE_ROLES[:2]}


def blind_levels(rows: Sequence[Row], cells: Sequence[Cell]) -> tuple[dict[str, float], set[str]]:
    """Find the blind level of every family: the best success without the description, sampled or greedy.

    Args:
        rows: rows of a run.
        cells: cells of the run's whole grid, finished or not.

    Returns:
        The levels by family, as far as they are known, and the families of which no blind agent is missing: a level
        that lacks some would flatter every score.
    """
    base = base_variants(rows)
    blind = {
        cell.id: (cell.family, cell.evaluation_points[-1][0])
        for cell in cells
        if cell.control == "blind" and cell.variant_of(cell.family) == base.get(cell.family, "")
    }
    missing = set(blind)
    final: dict[str, list[float]] = {}
    for row in rows:
        last = blind[row["cell"]][1] if row["cell"] in blind else 0
        if row["role"] in BASELINE_ROLES and (row["evaluated_on"], row["env_steps"]) == ("unseen", last):
            both = (row["success"], row["success_greedy"])
            final.setdefault(row["family"], []).extend(value for value in both if value is not None)
            missing.discard(row["cell"])
    levels = {family: max(values) for family, values in final.items()}
    return levels, set(levels) - {blind[cell][0] for cell in missing}


def final_success(rows: Sequence[Row], cell: Cell) -> dict[str, float]:
    """Return a cell's success by block at its last budget and most simulations, the mean over its families."""
    success: dict[str, list[float]] = {}
    last = (cell.id, cell.evaluation_points[-1][0], cell.simulations[-1])
    for row in rows:
        if (row["cell"], row["env_steps"], row["simulations"]) == last:
            success.setdefault(row["evaluated_on"], []).append(row["success"])
    return {block: sum(values) / len(values) for block, values in success.items()}
