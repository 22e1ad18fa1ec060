"""Baselines: measurements of a run before its first cell, as entries of `meta.json`.

They are the audit of its pools, rows of scripted policies, and the success of the teacher.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.agents.evaluate import evaluate
from incentivize.agents.teachers import TEACHERS
from incentivize.envs.family import Family
from incentivize.envs.tasks import make_pool
from incentivize.experiments.cells import Cell, describe_variant
from incentivize.experiments.design.grid import headline_teacher
from incentivize.experiments.execution.auditing import audit_pools
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.cell_store import CellStore, StoredCell
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.storage.schema import EVALUATED_BLOCKS
from incentivize.experiments.training.build import family_from_settings
from incentivize.experiments.training.evaluation import EvaluationConfig, evaluation_key, scripted_success


def measure_baselines(
    cells: Sequence[Cell],
    settings: Settings,
    directory: RunDirectory,
    cell_store: CellStore,
    own_cells: Mapping[str, StoredCell],
) -> None:
    """Write the baselines of every family that are missing, or were measured under other settings of jax and XLA.

    Args:
        cells: all cells of the run.
        settings: settings of the run.
        directory: the run directory.
        cell_store: finished cells of the run directory, and the settings of this process.
        own_cells: finished cells of this run directory, by id.

    Raises:
        RunError: if training would draw tasks from outside an agent's pool.
    """
    if _measured_otherwise(directory, cell_store, own_cells):
        directory.reset_baselines(cell_store.made_with.get("ambient") or {})
    for family in settings.families:
        meta = directory.meta()
        if "pools" not in meta.get("audit", {}).get(family, {}):
            directory.update_meta(audit={family: audit_pools(family, cells, settings.eval_tasks)})
        if family not in meta.get("scripted", {}):
            directory.update_meta(scripted={family: scripted_rows(family, settings)})
        if family not in meta.get("teacher", {}):
            directory.update_meta(teacher={family: teacher_entry(family, settings)})


def _measured_otherwise(directory: RunDirectory, cell_store: CellStore, own_cells: Mapping[str, StoredCell]) -> bool:
    """Return whether the baselines were measured under other settings than the cells are trained under."""
    recorded, present = (about.get("ambient") or {} for about in (directory.meta(), cell_store.made_with))
    return recorded != present and all(
        stored.code_version == cell_store.code_version(stored.cell) for stored in own_cells.values()
    )


def scripted_rows(family: str, settings: Settings) -> list[dict[str, Any]]:
    """Return the rows of a family's uniform and scripted policies."""
    # Every score rests on these levels, and they are cheap to estimate well: hence 16 times as many instances.
    config = EvaluationConfig(settings.eval_tasks, 16 * settings.eval_instances, settings.specialists)
    rows = []
    for script, successes in scripted_success(family_from_settings(settings, family), config):
        learner = "scripted" if script else "uniform"
        row = {"cell": f"{learner}-{script}-{family}", "study": settings.study, "family": family, "learner": learner}
        row["variant"] = describe_variant(settings.knobs.get(family, {}), settings.life)
        row |= {"role": learner, "env_steps": 0, "simulations": 0, "evaluated_on": "unseen", "n_tasks": config.tasks}
        success = float(successes.mean() / config.instances)
        row |= {"success": success, "success_greedy": None, "n_episodes": config.tasks * config.instances}
        rows.append(row)
    return rows


def teacher_entry(family: str, settings: Settings) -> dict[str, Any]:
    """Return the `meta.json` entry of the teacher of a family's taught generalists, the strongest fair one.

    Returns:
        kind: the expert's knowledge, "fair" where the rule is hidden, else "informed".
        success: share of the expert's episodes that succeed.
        n_tasks, n_episodes: numbers of tasks and of episodes.
    """
    kind = TEACHERS[headline_teacher(family)].kind
    tasks, instances = settings.eval_tasks, settings.eval_instances
    success = expert_success(family_from_settings(settings, family), kind, tasks, instances)
    return {"kind": kind, "success": success, "n_tasks": tasks, "n_episodes": tasks * instances}


@lru_cache
def expert_success(family: Family, kind: Literal["informed", "fair"], tasks: int, instances: int) -> float:
    """Measure the success of a family's expert on held-out tasks, with actions sampled from its best ones.

    The expert plays the instances that agents play in the block "unseen", for the horizon of the family.

    Args:
        family: the dynamics.
        kind: the expert's knowledge.
        tasks: number of held-out tasks, the first ones.
        instances: number of starting states per task.
    """

    @jax.jit
    def score(key: jax.Array) -> jax.Array:
        def policy(state: Any, elapsed: jax.Array, memory: Any, key: jax.Array) -> tuple[jax.Array, Any]:
            return jnp.log(family.expert(state, kind)), memory

        pool = make_pool(tasks, split="heldout")
        digits = jax.vmap(lambda slot: family.tasks.member(pool, slot))(jnp.arange(tasks, dtype=jnp.uint32))
        first = tasks * EVALUATED_BLOCKS.index("unseen")
        return evaluate(family, policy, (), digits, key, instances, first=first).successes

    return float(np.array(score(evaluation_key())).sum() / (tasks * instances))
