"""The runner: which cells are missing, in which order they are trained, and what is written down of them."""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import jax
import numpy as np

import envs
from envs.audit import audit
from envs.family import Family
from envs.tasks import make_pool
from experiments.cells import Cell
from experiments.checkpoints import save
from experiments.program import Evaluation, scripted_success, setup_of, sizes_of, teaching_of
from experiments.progress import Progress
from experiments.settings import Settings, network_name
from experiments.store import TASK_FIELDS, Row, Store
from experiments.training import RunError, Trained, lanes_of
from experiments.workers import run_groups

PLACE = ("family", "env_steps", "simulations", "split")  # tells a cell's rows apart


def run(cells: Sequence[Cell], settings: Settings, store: Store, progress: Progress, workers: int) -> int:
    """Runs every cell that the store does not have yet, or not whole; returns how many those were."""
    for family in settings.families:
        _audited(family, settings, store)
        _scripted(family, settings, store)
    finished = _finished(cells, store)
    waiting = [cell for cell in cells if cell.id not in finished]
    progress.begin(waiting, len(cells) - len(waiting))
    order = [cell.id for cell in cells]

    blind = {cell.id for cell in waiting if cell.control == "blind"}
    held: list[list[Trained]] = []

    def deliver(batch: list[Trained]) -> None:
        """Keeps what is finished, once the blind level that its score needs is known."""
        blind.difference_update(trained.cell.id for trained in batch)
        held.append(batch)
        held.sort(key=lambda batch: batch[0].cell.control != "blind")
        while held and (not blind or held[0][0].cell.control == "blind"):
            _keep(held[0], store, order)
            for trained in held.pop(0):
                progress.finished(trained.cell, final_success(store.rows(), trained.cell), trained.seconds)

    groups = [(lanes, [cell for cell in group if cell.id not in finished]) for lanes, group in shared_programs(cells)]
    if groups := [pair for pair in groups if pair[1]]:
        run_groups(groups, workers, deliver)
    return len(waiting)


def _finished(cells: Sequence[Cell], store: Store) -> set[str]:
    """The cells of which all rows and the counts behind them are there."""
    rows, counted = ({cell.id: set() for cell in cells} for _ in range(2))
    for row in store.rows():
        rows.get(row["cell"], set()).add(tuple(row[key] for key in PLACE))
    for cell, *place in np.unique(store.tasks()[["cell", *PLACE]]).tolist():
        counted.get(cell, set()).add(tuple(place))
    wanted = {c.id: set(product(c.members, [steps for steps, _ in c.points], c.simulations)) for c in cells}
    found = {key: {place[:-1] for place in places} for key, places in rows.items()}
    return {key for key in wanted if rows[key] == counted[key] and found[key] == wanted[key]}


def shared_programs(cells: Sequence[Cell]) -> list[tuple[int, list[Cell]]]:
    """Cells that can share a program, the blind and those with the most work first, and how many run side by side.

    That number comes from the whole grid, so that a run which goes on computes what an uninterrupted one does.
    """
    groups: dict[Any, list[Cell]] = {}
    for cell in cells:
        kind = (setup_of(cell), teaching_of(cell), cell.training.taught_steps, sizes_of(cell), cell.points)
        groups.setdefault(kind, []).append(cell)
    ordered = sorted(
        groups.values(), key=lambda group: (group[0].control != "blind", -sum(cell.points[-1][0] for cell in group))
    )
    return [(lanes_of(group[0], len(group)), group) for group in ordered]


def final_success(rows: Sequence[Row], cell: Cell) -> dict[str, float]:
    """A cell's success at its last budget and most simulations by split, the mean over its families."""
    found: dict[str, list[float]] = {}
    last = (cell.id, cell.points[-1][0], cell.simulations[-1])
    for row in rows:
        if (row["cell"], row["env_steps"], row["simulations"]) == last:
            found.setdefault(row["split"], []).append(row["success"])
    return {split: sum(values) / len(values) for split, values in found.items()}


def _keep(batch: Sequence[Trained], store: Store, order: Sequence[str]) -> None:
    """Writes down finished cells: parameters, ledger, rows, and where one was blind, the blind level."""
    levels = store.meta()["blind"]
    rows: list[Row] = []
    ledger = {}
    for cell, counts, episodes, seconds, params in batch:
        save(store.path / "checkpoints" / f"{cell.id}.msgpack", params)
        n_params = setup_of(cell).network.num_params()
        for family in cell.members:
            rows += _rows(cell, family, counts[counts["family"] == family], n_params, levels[family])
        ledger[cell.id] = _ledger(cell, n_params, episodes, seconds)
    store.update_meta(ledger=ledger)
    store.append(rows, np.concatenate([trained.counts for trained in batch]), order)
    for family in {cell.family for cell, *_ in batch if cell.control == "blind"}:
        known = [row for row in store.rows() if row["family"] == family]
        _level([row for row in known if row["role"] in ("uniform", "scripted", "blind")], family, store)


def _rows(cell: Cell, family: str, counts: np.ndarray, n_params: int, blind: float) -> list[Row]:
    """One row per budget and split, of one of the cell's families."""
    fixed = {
        "cell": cell.id,
        "study": cell.study,
        "family": family,
        "variant": cell.variant,
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
        "attempts": cell.attempts,
    }
    rows = []
    for (point, kind), simulations in product(cell.points, cell.simulations):
        now = counts[(counts["env_steps"] == point) & (counts["simulations"] == simulations)]
        for split in dict.fromkeys(now["split"].tolist()):
            row = {"budget_kind": kind, "env_steps": point, "simulations": simulations, "split": split}
            rows.append(fixed | row | _measured(now[now["split"] == split], None if cell.control == "blind" else blind))
    return rows


def _measured(counts: np.ndarray, blind: float | None) -> dict[str, Any]:
    """What a row says of an evaluation; without a score where the blind level is not known or leaves no room."""
    episodes = int(counts["episodes"].sum())
    success = float(counts["successes"].sum() / episodes)
    steps, expert_steps = int(counts["steps"].sum()), int(counts["expert_steps"].sum())
    return {
        "success": success,
        "score": None if blind is None or blind >= 1 else (success - blind) / (1 - blind),
        "n_tasks": len(counts),
        "n_episodes": episodes,
        "success_greedy": float(counts["successes_greedy"].sum() / episodes),
        "success_best": float(counts["successes_best"].sum() / episodes),
        "path": steps / expert_steps if expert_steps else None,
        "success_by_attempt": (counts["by_attempt"].sum(0) / episodes).tolist(),
    }


def _ledger(cell: Cell, n_params: int, episodes: int, seconds: float) -> dict[str, float | int | str]:
    """What a cell consumed."""
    training, steps = cell.training, cell.points[-1][0]
    # Of a pool drawn with replacement, so many distinct tasks are expected.
    begun = episodes + training.num_envs
    tasks = None if cell.pool_size is None else cell.pool_size * len(cell.members)
    met = begun if tasks is None else tasks * -math.expm1(-begun / tasks)
    taught = steps if cell.learner == "cloning" else min(training.taught_steps, steps)
    labels = taught if cell.teacher is not None else 0
    actions = setup_of(cell).family.num_actions
    return {
        "label": cell.label,
        "env_steps": steps,
        "episodes": episodes,
        "distinct_tasks": round(met),
        "expert_labels": labels,
        "supervision_bits": round(labels * math.log2(actions)) if labels else episodes,  # at most
        "gradient_steps": steps // training.steps_per_update * training.epochs * training.minibatches,
        "parameters": n_params,
        "seconds": round(seconds, 2),
    }


def family_of(settings: Settings, name: str) -> Family:
    """A family as the settings have it.

    Raises:
        ValueError: where they will not do.
    """
    knobs: dict[str, Any] = settings.knobs.get(name, {})
    if "life" in knobs:
        raise ValueError(f"life={knobs['life']!r}: no knob, but the same for all families; want it at the top level")
    return envs.make(name, life=settings.life, **knobs)


def _audited(name: str, settings: Settings, store: Store) -> None:
    """Notes down what an audit of the largest pool finds.

    Raises:
        RunError: where training would meet held-out tasks.
    """
    if name in store.meta().get("audit", {}):
        return
    largest = settings.pools[-1]
    pool = make_pool(None if largest == "new" else largest)
    family = family_of(settings, name)
    found = audit(family, pool, jax.random.key(0), settings.eval_tasks)
    if not found.sound:
        raise RunError(f"{name}: {found.overlap} held-out tasks are drawn for training: nothing could be concluded")
    store.update_meta(audit={name: found._asdict()})


def _scripted(name: str, settings: Settings, store: Store) -> None:
    """Rows of the scripted policies, and with them a first blind level."""
    known = [row for row in store.rows() if row["family"] == name and row["role"] in ("uniform", "scripted", "blind")]
    if any(row["role"] == "uniform" for row in known):
        _level(known, name, store)
        return
    # Levels that every score rests on: cheap to estimate well.
    sizes = Evaluation(settings.eval_tasks, 16 * settings.eval_instances, settings.specialists)
    rows = []
    for which, successes in scripted_success(family_of(settings, name), sizes):
        learner = "scripted" if which else "uniform"
        row = {"cell": f"{learner}-{which}-{name}", "study": settings.study, "family": name, "learner": learner}
        row |= {"role": learner, "env_steps": 0, "simulations": 0, "split": "unseen", "n_tasks": sizes.tasks}
        success = float(successes.mean() / sizes.instances)
        row |= {"success": success, "success_greedy": None, "n_episodes": sizes.tasks * sizes.instances}
        rows.append(row)
    store.append(rows, np.empty(0, TASK_FIELDS), ())
    _level(rows, name, store)


def _level(rows: Sequence[Row], name: str, store: Store) -> None:
    """Notes down the best that is known without the description, acting either way, and what uniform actions reach."""
    unseen = [row for row in rows if row["split"] == "unseen"]
    last = max(row["env_steps"] for row in unseen)
    final = [row for row in unseen if row["env_steps"] in (0, last)]
    best = max(value for row in final for value in (row["success"], row["success_greedy"]) if value is not None)
    uniform = next(row["success"] for row in final if row["role"] == "uniform")
    store.update_meta(blind={name: best}, uniform={name: uniform})
