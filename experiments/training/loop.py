"""Training of cells: jitted chunks under a host loop, and an evaluation wherever the study wants one."""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import cycle, islice, product
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.agents import learner as lr
from incentivize.agents.evaluate import Successes
from incentivize.agents.sharding import Devices, mesh_of
from incentivize.envs.tasks import Pool
from incentivize.experiments.cells import Cell
from incentivize.experiments.errors import Stopped
from incentivize.experiments.runtime import distributed, signals
from incentivize.experiments.storage.cell_store import CellResult
from incentivize.experiments.storage.parameters import load
from incentivize.experiments.storage.schema import count_fields
from incentivize.experiments.training.build import (
    build_setup,
    build_warm_start,
    evaluated_splits,
    evaluation_config,
    hyper_of,
    pool_of,
)
from incentivize.experiments.training.checkpoints import GroupCheckpointer, GroupProgress
from incentivize.experiments.training.compiled import CompiledGroup, compile_program
from incentivize.experiments.training.evaluation import EvaluationConfig, block_ordinals, evaluation_key
from incentivize.experiments.training.groups import CellGroup
from incentivize.experiments.training.trees import stack_trees, take_lane, to_numpy, tree_digest

MAX_UPDATES_PER_CALL = (
    32  # updates per jitted call at most, so that a request to stop and a loss that is no number are noticed
)


@lru_cache(maxsize=16)
def _compiled_group(
    setup: lr.Setup, teaching: lr.Setup | None, sizes: EvaluationConfig, lanes: int, checkify: bool, devices: Devices
) -> CompiledGroup:
    """A program of its own for every device, or for several together; a host has 8 as a rule."""
    if len(devices) > 1:
        mesh = mesh_of(devices)
        setup, teaching = replace(setup, mesh=mesh), teaching and replace(teaching, mesh=mesh)
    return compile_program(setup, teaching, sizes, lanes, checkify)


def train(
    group: CellGroup,
    checkpoint_folder: Path | None = None,
    save_every: float = math.inf,
    checkify: bool = False,
    devices: Devices = (),
) -> list[CellResult]:
    """Train a group of cells, from its last checkpoint if there is one.

    A cell whose numbers are none is given up at the end of the chunk; the others of the group go on.

    Args:
        group: the cells.
        folder: where its checkpoints are; None for none.
        every: seconds between checkpoints.
        checked: whether training stops with an error where a number first is none.
        devices: where it is trained; the default one if none. Several divide the environments of every agent.

    Raises:
        Stopped: on request, after a checkpoint.
        SettingsError: where a checkpoint is of something else.
    """
    with jax.default_device(devices[0] if devices and not distributed.is_distributed() else None):
        return _train_on_device(group, checkpoint_folder, save_every, checkify, devices)


def _train_on_device(
    group: CellGroup, folder: Path | None, save_every: float, checkify: bool, devices: Devices
) -> list[CellResult]:
    if distributed.any_process(signals.stop_requested.is_set()):
        raise Stopped
    first = group.cells[0]
    program = _compiled_group(
        build_setup(first), build_warm_start(first), evaluation_config(first), group.lanes, checkify, devices
    )
    padded = [*group.cells, *[group.cells[-1]] * (group.lanes - len(group.cells))]
    inputs = stack_trees([hyper_of(cell) for cell in padded]), stack_trees([pool_of(cell) for cell in padded])
    seeds = jnp.array([cell.seed for cell in padded], jnp.uint32)
    begun = GroupProgress(
        _with_start_parameters(program.init(inputs[1], seeds, inputs[0]), padded), (), np.zeros(group.lanes)
    )
    if folder is None:
        return _cell_results(group, _train(group, program, inputs, begun, None))
    keeper = GroupCheckpointer(folder, group, save_every, checkify)
    try:
        counted = program.count_shapes.values()
        found = keeper.load(begun.state, lambda number: tuple(islice(cycle(counted), number)))
        distributed.check_alike([found.steps if found else -1, len(found.counts) if found else -1], "the checkpoints")
        if found is not None and distributed.is_primary():
            print(
                f"{first.label}: goes on from {found.steps:,} of {first.evaluation_points[-1][0]:,} steps",
                file=sys.stderr,
            )
        return _cell_results(group, _train(group, program, inputs, found or begun, keeper))
    finally:
        keeper.close()


def _train(
    group: CellGroup,
    program: CompiledGroup,
    inputs: tuple[lr.Hyper, Pool],
    now: GroupProgress,
    checkpointer: GroupCheckpointer | None,
) -> GroupProgress:
    """The host loop: chunks of updates up to every point, where policies are evaluated."""
    hyper, pools = inputs
    update = program.setup.steps_per_update
    taught = group.cells[0].training.taught_steps // update * update if program.warm_start else 0
    began = time.perf_counter() - now.seconds
    evaluations = [
        (point, simulations) for point, _ in group.cells[0].evaluation_points for simulations in program.measures
    ]
    for point, simulations in evaluations[len(now.counts) :]:
        while now.steps < point and len(now.failures) < len(group.cells):
            step, until = (
                (program.warm_start, min(taught, point))
                if program.warm_start and now.steps < taught
                else (program.train, point)
            )
            updates = min(MAX_UPDATES_PER_CALL, (until - now.steps) // update)
            state, metrics = step(now.state, hyper, pools, jnp.int32(updates))
            metrics, done = jax.device_get(metrics), now.steps + updates * update
            failed = now.failures | _failures(group, metrics, done, checkpointer, now.failures)
            seconds = time.perf_counter() - began
            now = GroupProgress(state, now.counts, now.episodes + metrics["episodes"], done, seconds, failed)
            _save_or_stop(now, checkpointer)
        if len(now.failures) == len(group.cells):
            break
        _save_or_stop(now, checkpointer)  # an evaluation takes its time too, and several may follow each other
        counted = program.measures[simulations](now.state.params, pools, hyper, evaluation_key())
        measured = jax.device_get(distributed.gather(counted))
        now = now._replace(counts=(*now.counts, measured))
    return now._replace(seconds=time.perf_counter() - began)


def _save_or_stop(now: GroupProgress, checkpointer: GroupCheckpointer | None) -> None:
    """Save if it is time to, by the first process's clock.

    Raises:
        Stopped: on request, of any process.
    """
    stop = distributed.any_process(signals.stop_requested.is_set())
    if checkpointer and (stop or distributed.broadcast_from_primary([checkpointer.is_due()])[0]):
        checkpointer.save(now)
    if stop:
        raise Stopped


def _cell_results(group: CellGroup, now: GroupProgress) -> list[CellResult]:
    """What came of a group's cells."""
    first = group.cells[0]
    evaluations = list(product((point for point, _ in first.evaluation_points), first.simulations))
    state, seconds = to_numpy(now.state), now.seconds / len(group.cells)
    results = []
    for lane, cell in enumerate(group.cells):
        counts: list[np.ndarray] = [np.zeros(0, count_fields(cell.life))]
        for (point, simulations), found in zip(evaluations, now.counts, strict=False):  # fewer where all failed
            for (family, splits), counted in zip(
                evaluated_splits(cell, simulations), take_lane(found, lane), strict=True
            ):
                counts += _counts(cell, family, splits, point, simulations, counted)
        own = take_lane(state, lane)
        results.append(
            CellResult(
                cell,
                np.concatenate(counts),
                round(now.episodes[lane]),
                seconds,
                own.params,
                tree_digest(own),
                now.failures.get(lane, ""),
            )
        )
    return results


def _with_start_parameters(state: lr.TrainState, cells: Sequence[Cell]) -> lr.TrainState:
    """A fresh state, in which cells that start from a file have its parameters.

    Nothing else in it depends on parameters: no moments are gathered yet, and nobody has acted.
    """
    if not any(cell.training.start_from for cell in cells):
        return state
    params = [take_lane(state.params, lane) for lane in range(len(cells))]
    for lane, cell in enumerate(cells):
        if cell.training.start_from:
            params[lane] = load(cell.training.start_from, params[lane])
    return state._replace(params=stack_trees(params))


def _failures(
    group: CellGroup, metrics: dict[str, np.ndarray], done: int, keeper: GroupCheckpointer | None, known: dict[int, str]
) -> dict[int, str]:
    """Why lanes are to be given up after a chunk: a metric that is no number. Their last checkpoint is kept."""
    found = {}
    for lane, cell in enumerate(group.cells):
        broken = [name for name, values in metrics.items() if not math.isfinite(values[lane])]
        if broken and lane not in known:
            values = ", ".join(f"{name} is {metrics[name][lane]}" for name in broken)
            found[lane] = f"{values} after {done:,} steps; try a lower learning_rate"
            if keeper:
                keeper.keep_for_inspection(cell.id)
    return found


def _counts(
    cell: Cell, family: str, splits: Sequence[str], point: int, simulations: int, counted: Successes
) -> list[np.ndarray]:
    """Successes per task, an array of `count_fields` for every split, from those per block and slot."""
    found = []
    met = cell.pool_split != "training"  # the agent trains on held-out tasks, which are its specialty
    ordinals = block_ordinals(cell, splits)
    for block, split in enumerate(splits):
        slots = np.ones(cell.eval_tasks, bool)
        if met and split not in ("seen", "specialty"):
            continue  # its own tasks are among them, and the others are not its business
        if met and split == "specialty":
            slots = (ordinals[block] - cell.pool_first < (cell.pool_size or 0)) & (ordinals[block] >= cell.pool_first)
        known, places = np.unique(ordinals[block][slots], return_inverse=True)
        counts = np.zeros(len(known), count_fields(cell.life))
        counts["cell"], counts["env_steps"], counts["evaluated_on"], counts["ordinal"] = cell.id, point, split, known
        counts["family"], counts["simulations"] = family, simulations
        for name, values in counted._asdict().items():
            np.add.at(counts[name], places, values[block][slots])
        np.add.at(counts["episodes"], places, cell.eval_instances)
        found.append(counts)
    return found
