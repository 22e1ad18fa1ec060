"""The context of claims: what their controls reach, and what their arms consume."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from incentivize.experiments.analysis.claims import Claim
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.cells import Cell
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.training.build import family_from_settings

CONTROLS_WITHOUT_SKILL = ("shuffled", "disjoint", "changing")
"""Controls in which there is no general skill to learn."""


def control_results(table: ResultsTable, settings: Settings, claim: Claim) -> list[dict[str, Any]]:
    """Collect the results of a claim's controls at their last budget, on the tasks that the claim is about.

    The controls of a family are the blind agent and, unless the whole run is in a control, the one without a skill that
    exists for the family. A claim that names no family of the run has the controls of all of them.

    Returns:
        `family, control, evaluated_on, pool, env_steps, success` (the mean over agents) and `n` (agents) for every pool
        that a control was trained on. A missing control has one row, with n = 0 and no success.
    """
    from incentivize.envs.wrappers.controls import controls_of  # imports jax

    families = [claim.family] if claim.family in settings.families else settings.families
    results: list[dict[str, Any]] = []
    for family in families:
        available = controls_of(family_from_settings(settings, family)) if settings.control == "none" else ()
        for control in (*(name for name in available if name in CONTROLS_WITHOUT_SKILL), "blind"):
            identity: dict[str, Any] = {"family": family, "control": control, "evaluated_on": claim.evaluated_on}
            results += _results_by_pool(table.where(**identity, simulations=0).final(), identity)
    return results


def _results_by_pool(table: ResultsTable, identity: dict[str, Any]) -> list[dict[str, Any]]:
    """Average the rows of one control by pool, smallest first, every-episode-new last; one empty row without any."""
    if not table.rows:
        return [identity | {"pool": None, "env_steps": None, "success": None, "n": 0}]
    results = []
    for size in sorted({row["pool_size"] for row in table.rows}, key=lambda size: (size is None, size)):
        rows = table.where(pool_size=size).rows
        by_cell = {row["cell"]: row["success"] for row in rows}
        place = {"pool": "new" if size is None else size, "env_steps": rows[0]["env_steps"]}
        results.append(identity | place | {"success": sum(by_cell.values()) / len(by_cell), "n": len(by_cell)})
    return results


def with_control_summary(claim: dict[str, Any]) -> dict[str, Any]:
    """Return a row of `claims.json` with its controls in words."""
    return claim | {"controls": summarise_controls(claim["controls"])}


def summarise_controls(controls: Sequence[dict[str, Any]]) -> str:
    """Describe controls in a few words: at the smallest and the largest pool, and at the one with the most success."""
    name_families = len({row["family"] for row in controls}) > 1
    summaries = []
    for (family, control), group in groupby(controls, key=lambda row: (row["family"], row["control"])):
        name = f"{family}, {control}" if name_families else control
        summaries.append(f"{name}: {_summarise_pools(list(group))}")
    return ". ".join(summaries)


def _summarise_pools(rows: Sequence[dict[str, Any]]) -> str:
    if not rows[0]["n"]:
        return "missing"
    best = max(rows, key=lambda row: row["success"])
    places = []
    for row in (row for row in rows if row in (rows[0], best, rows[-1])):
        pool = "new" if row["pool"] == "new" else f"pool {row['pool']:,}"
        highest = " (the highest)" if row is best and row not in (rows[0], rows[-1]) else ""
        places.append(f"{row['success']:.2f} at {pool}{highest}")
    agents = sorted({row["n"] for row in rows})
    n = str(agents[0]) if len(agents) == 1 else f"{agents[0]} to {agents[-1]}"
    return f"{', '.join(places)}; n = {n}"


COSTS: dict[str, tuple[str, ...]] = {
    "steps": ("env_steps",),
    "episodes": ("episodes",),
    "tasks met": ("distinct_tasks",),
    "gradient steps": ("gradient_steps",),
    "expert labels": ("expert_labels",),
    "bits": ("supervision_bits",),
    "FLOPs": ("acting_flops", "learning_flops"),
    "tuning trials": ("tuning_trials",),
    "seconds": ("seconds",),
}
"""Columns of the table of costs, and the entries of the ledger that each adds up."""


def cost_by_arm(cells: Sequence[Cell], ledger: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Average what agents consumed, one line per family and arm (the role of agents in the study).

    Args:
        cells: cells of the run; those that the ledger lacks have not been trained.
        ledger: entries by the id of the cell.
    """
    arms: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for cell in cells:
        if cell.id in ledger:
            arms.setdefault((", ".join(cell.members), cell.role), {})[cell.id] = ledger[cell.id]
    lines = []
    for (family, role), agents in arms.items():
        line = {"family": family, "arm": role, "agents": f"{len(agents):,}"}
        for column, keys in COSTS.items():
            amounts = [agent.get(key) for agent in agents.values() for key in keys]
            numbers = [float(amount) for amount in amounts if isinstance(amount, (int, float))]
            line[column] = _abbreviate(sum(numbers) / len(agents)) if len(numbers) == len(amounts) else "-"
        lines.append(line)
    return lines


def _abbreviate(value: float) -> str:
    """Format an amount with a unit prefix: k for thousands, then M, G, T, P, E."""
    prefix = ""
    for larger in "kMGTPE" if value >= 1000 else "":
        value, prefix = value / 1000, larger
        if round(value, 1) < 1000:
            break
    return f"{value:.1f} {prefix}" if prefix else f"{value:.3g}"
