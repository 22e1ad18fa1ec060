"""What stands beside claims: what their controls say, and what their arms consumed."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from incentivize.experiments.analysis.claims import Claim
from incentivize.experiments.analysis.table import ResultsTable
from incentivize.experiments.cells import Cell
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.training.build import family_from_settings

EMPTY = ("shuffled", "disjoint", "changing")
"""Controls in which there is no skill to be had."""


def families_of(claim: Claim, settings: Settings) -> list[str]:
    """The families that a claim is about; all of the run where it names none of them."""
    return [claim.family] if claim.family in settings.families else list(settings.families)


def control_results(table: ResultsTable, settings: Settings, claim: Claim) -> list[dict[str, Any]]:
    """What the controls of a claim's families say, at their last budget, on the tasks that the claim is about.

    They are the one without a skill that is for the family, unless the whole run is in one, and the blind agent.

    Returns:
        `family, control, split, pool, env_steps, success` (the mean) and `n` (agents) for every pool that a control was
        trained on; a control that is missing has one row, with n = 0 and no success.
    """
    from incentivize.envs.wrappers.controls import controls_of as fitting  # and with it jax

    found: list[dict[str, Any]] = []
    for family in families_of(claim, settings):
        fit = fitting(family_from_settings(settings, family)) if settings.control == "none" else ()
        for control in (*(name for name in fit if name in EMPTY), "blind"):
            mine = table.where(family=family, control=control, evaluated_on=claim.evaluated_on, simulations=0).final()
            own = {"family": family, "control": control, "evaluated_on": claim.evaluated_on}
            sizes = sorted({row["pool_size"] for row in mine.rows}, key=lambda size: (size is None, size))
            for size in sizes:
                rows = mine.where(pool_size=size).rows
                values = [*{row["cell"]: row["success"] for row in rows}.values()]
                at = {"pool": "new" if size is None else size, "env_steps": rows[0]["env_steps"]}
                found.append(own | at | {"success": sum(values) / len(values), "n": len(values)})
            if not sizes:
                found.append(own | {"pool": None, "env_steps": None, "success": None, "n": 0})
    return found


def with_control_summary(claim: dict[str, Any]) -> dict[str, Any]:
    """A row of `claims.json` for a person, its controls in words."""
    return claim | {"controls": summarise_controls(claim["controls"])}


def summarise_controls(controls: Sequence[dict[str, Any]]) -> str:
    """Control in a few words: at the smallest and the largest pool, and at the one with the most success."""
    several = len({row["family"] for row in controls}) > 1
    found = []
    for (family, control), group in groupby(controls, key=lambda row: (row["family"], row["control"])):
        rows = list(group)
        name = f"{family}, {control}" if several else control
        if not rows[0]["n"]:
            found.append(f"{name}: missing")
            continue
        most = max(rows, key=lambda row: row["success"])
        shown = [row for row in rows if row in (rows[0], most, rows[-1])]
        seeds = {row["n"] for row in rows}
        n = str(min(seeds)) if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"
        places = [f"{row['success']:.2f} at {_pool(row)}" + " (the most)" * (row in shown[1:-1]) for row in shown]
        found.append(f"{name}: {', '.join(places)}; n = {n}")
    return ". ".join(found)


def _pool(row: dict[str, Any]) -> str:
    return "new" if row["pool"] == "new" else f"pool {row['pool']:,}"


SPENT: dict[str, tuple[str, ...]] = {
    "steps": ("env_steps",),
    "episodes": ("episodes",),
    "tasks met": ("distinct_tasks",),
    "gradients": ("gradient_steps",),
    "labels": ("expert_labels",),
    "bits": ("supervision_bits",),
    "FLOPs": ("acting_flops", "learning_flops"),
    "trials": ("tuning_trials",),
    "seconds": ("seconds",),
}
"""What the table of arms tells, and the entries of the ledger that it adds up."""


def cost_by_arm(cells: Sequence[Cell], ledger: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """A line per family and arm (the part that agents play in the study): the mean of what its agents consumed.

    Args:
        cells: of the run; those that are not in the ledger have not been trained.
        ledger: by the id of cells.
    """
    arms: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for cell in cells:
        if cell.id in ledger:
            arms.setdefault((", ".join(cell.members), cell.role), {})[cell.id] = ledger[cell.id]
    lines = []
    for (family, role), agents in arms.items():
        line = {"family": family, "arm": role, "agents": f"{len(agents):,}"}
        for name, keys in SPENT.items():
            found = [agent.get(key) for agent in agents.values() for key in keys]
            known = [float(value) for value in found if isinstance(value, (int, float))]
            line[name] = _short(sum(known) / len(agents)) if len(known) == len(found) else "-"
        lines.append(line)
    return lines


def _short(value: float) -> str:
    """An amount in a few signs: thousands are k, then M, G, T, P, E."""
    sign = ""
    for more in "kMGTPE" if value >= 1000 else "":
        value, sign = value / 1000, more
        if round(value, 1) < 1000:
            break
    return f"{value:.1f} {sign}" if sign else f"{value:.3g}"
