"""Training of groups of cells: a host loop over jitted updates, with evaluations at the cells' points."""

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
    blocks_by_family,
    build_setup,
    build_warm_start,
    evaluation_config,
    hyper_of,
    pool_of,
)
from incentivize.experiments.training.checkpoints import GroupCheckpointer, GroupProgress
from incentivize.experiments.training.compiled_group import CompiledGroup, compile_program
from incentivize.experiments.training.evaluation import EvaluationConfig, block_ordinals, evaluation_key
from incentivize.experiments.training.groups import CellGroup
from incentivize.experiments.training.pytrees import stack_trees, take_lane, to_numpy, tree_digest

MAX_UPDATES_PER_CALL = 32
"""Updates per jitted call at most: between calls, requests to stop and losses that are not finite are noticed."""


@lru_cache(maxsize=16)
def _compiled_group(
    setup: lr.Setup, teaching: lr.Setup | None, sizes: EvaluationConfig, lanes: int, checkify: bool, devices: Devices
) -> CompiledGroup:
    """Compile a group's program for one device, or for several together; 16 are kept: a host mostly has 8 devices."""
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

    A cell with a metric that is not finite is given up at the end of the call; the others of the group go on.

    Args:
        group: the cells.
        checkpoint_folder: folder of all groups' checkpoints; None for no checkpoints.
        save_every: seconds between checkpoints, at least.
        checkify: whether training raises an error at the first NaN.
        devices: the devices that train the group; empty for the default device. Several divide the environments of
            every agent.

    Returns:
        The results of the cells, in their order.

    Raises:
        Stopped: on request, after a checkpoint.
        InputError: a checkpoint is of another group, code or shape.
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
    hyper, pools = stack_trees([hyper_of(cell) for cell in padded]), stack_trees([pool_of(cell) for cell in padded])
    seeds = jnp.array([cell.seed for cell in padded], jnp.uint32)
    state = _with_start_parameters(program.init(pools, seeds, hyper), padded)
    beginning = GroupProgress(state, (), np.zeros(group.lanes))
    if folder is None:
        return _cell_results(group, _train(group, program, (hyper, pools), beginning, None))
    checkpointer = GroupCheckpointer(folder, group, save_every, checkify)
    try:
        shapes = program.count_shapes.values()
        saved = checkpointer.load(state, lambda number: tuple(islice(cycle(shapes), number)))
        distributed.check_alike([saved.steps if saved else -1, len(saved.counts) if saved else -1], "the checkpoints")
        if saved is not None and distributed.is_primary():
            budget = first.evaluation_points[-1][0]
            print(f"{first.label}: resumes from step {saved.steps:,} of {budget:,}", file=sys.stderr)
        return _cell_results(group, _train(group, program, (hyper, pools), saved or beginning, checkpointer))
    finally:
        checkpointer.close()


def _train(
    group: CellGroup,
    program: CompiledGroup,
    inputs: tuple[lr.Hyper, Pool],
    now: GroupProgress,
    checkpointer: GroupCheckpointer | None,
) -> GroupProgress:
    """Train up to every evaluation point in calls of several updates, and evaluate all policies there."""
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
    """Write a checkpoint if one is due by the primary process's clock, or a stop is requested.

    Raises:
        Stopped: any process was asked to stop.
    """
    stop = distributed.any_process(signals.stop_requested.is_set())
    if checkpointer and (stop or distributed.broadcast_from_primary([checkpointer.is_due()])[0]):
        checkpointer.save(now)
    if stop:
        raise Stopped


def _cell_results(group: CellGroup, now: GroupProgress) -> list[CellResult]:
    """Return the results of a group's cells, in their order."""
    first = group.cells[0]
    evaluations = list(product((point for point, _ in first.evaluation_points), first.simulations))
    state, seconds = to_numpy(now.state), now.seconds / len(group.cells)
    results = []
    for lane, cell in enumerate(group.cells):
        counts: list[np.ndarray] = [np.zeros(0, count_fields(cell.life))]
        for (point, simulations), measured in zip(evaluations, now.counts, strict=False):  # fewer where all failed
            families = blocks_by_family(cell, simulations)
            for (family, blocks), successes in zip(families, take_lane(measured, lane), strict=True):
                counts += _counts(cell, family, blocks, point, simulations, successes)
        cell_state = take_lane(state, lane)
        results.append(
            CellResult(
                cell=cell,
                counts=np.concatenate(counts),
                episodes=round(now.episodes[lane]),
                seconds=seconds,
                params=cell_state.params,
                digest=tree_digest(cell_state),
                failure=now.failures.get(lane, ""),
            )
        )
    return results


def _with_start_parameters(state: lr.TrainState, cells: Sequence[Cell]) -> lr.TrainState:
    """Return a new state with the parameters of their files for cells that start from one.

    Nothing else in a new state depends on parameters: Adam's moments are zero, and no action has been taken.
    """
    if not any(cell.training.start_from for cell in cells):
        return state
    params = [take_lane(state.params, lane) for lane in range(len(cells))]
    for lane, cell in enumerate(cells):
        if cell.training.start_from:
            params[lane] = load(cell.training.start_from, params[lane])
    return state._replace(params=stack_trees(params))


def _failures(
    group: CellGroup,
    metrics: dict[str, np.ndarray],
    done: int,
    checkpointer: GroupCheckpointer | None,
    earlier: dict[int, str],
) -> dict[int, str]:
    """Return why further lanes are given up, by lane: a metric is not finite. Keep their last checkpoint.

    Args:
        group: the group of the lanes.
        metrics: metrics of the last call by name, float32 [lanes] each.
        done: environment steps so far.
        checkpointer: the group's checkpoints; None for none.
        earlier: reasons why lanes were given up before, by lane.
    """
    failures = {}
    for lane, cell in enumerate(group.cells):
        broken = [name for name, values in metrics.items() if not math.isfinite(values[lane])]
        if broken and lane not in earlier:
            values = ", ".join(f"{name} is {metrics[name][lane]}" for name in broken)
            failures[lane] = f"{values} after {done:,} steps; try a lower learning_rate"
            if checkpointer:
                checkpointer.keep_for_inspection(cell.id)
    return failures


def _counts(
    cell: Cell, family: str, blocks: Sequence[str], point: int, simulations: int, successes: Successes
) -> list[np.ndarray]:
    """Return counts per task, one array of `count_fields` for every block, from counts [blocks, slots]."""
    arrays = []
    trains_on_heldout = cell.pool_split != "training"  # as specialists do
    ordinals = block_ordinals(cell, blocks)
    for index, block in enumerate(blocks):
        slots = np.ones(cell.eval_tasks, bool)
        if trains_on_heldout and block not in ("seen", "specialty"):
            continue  # its own tasks are among them
        if trains_on_heldout and block == "specialty":
            slots = (ordinals[index] - cell.pool_first < (cell.pool_size or 0)) & (ordinals[index] >= cell.pool_first)
        tasks, places = np.unique(ordinals[index][slots], return_inverse=True)
        counts = np.zeros(len(tasks), count_fields(cell.life))
        counts["cell"], counts["env_steps"], counts["evaluated_on"], counts["ordinal"] = cell.id, point, block, tasks
        counts["family"], counts["simulations"] = family, simulations
        for name, values in successes._asdict().items():
            np.add.at(counts[name], places, values[index][slots])
        np.add.at(counts["episodes"], places, cell.eval_instances)
        arrays.append(counts)
    return arrays
