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
from incentivize.experiments.storage.cell_store import Trained
from incentivize.experiments.storage.parameters import load
from incentivize.experiments.storage.schema import count_fields
from incentivize.experiments.training.build import hyper_of, looked_at, pool_of, setup_of, sizes_of, teaching_of
from incentivize.experiments.training.checkpoints import Keeper, Standing
from incentivize.experiments.training.compiled import Program, compile_program
from incentivize.experiments.training.evaluation import Evaluation, block_ordinals, evaluation_key
from incentivize.experiments.training.groups import Group
from incentivize.experiments.training.trees import _lane, digest, raw, stack

CHUNK = 32  # updates per jitted call at most, so that a request to stop and a loss that is no number are noticed

COUNTED = (
    "successes_greedy",
    "successes",
    "successes_best",
    "steps",
    "expert_steps",
    "by_attempt",
    "log_likelihood",
    "decisions",
)
"""As `Successes` has them. `by_attempt` is of every attempt of a life, and goes into the rows only."""


@lru_cache(maxsize=16)
def _program(
    setup: lr.Setup, teaching: lr.Setup | None, sizes: Evaluation, lanes: int, checked: bool, devices: Devices
) -> Program:
    """A program of its own for every device, or for several together; a host has 8 as a rule."""
    if len(devices) > 1:
        mesh = mesh_of(devices)
        setup, teaching = replace(setup, mesh=mesh), teaching and replace(teaching, mesh=mesh)
    return compile_program(setup, teaching, sizes, lanes, checked)


def train(
    group: Group, folder: Path | None = None, every: float = math.inf, checked: bool = False, devices: Devices = ()
) -> list[Trained]:
    """Trains a group of cells, from its last checkpoint if there is one.

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
    with jax.default_device(devices[0] if devices and not distributed.several() else None):
        return _train_there(group, folder, every, checked, devices)


def _train_there(group: Group, folder: Path | None, every: float, checked: bool, devices: Devices) -> list[Trained]:
    if distributed.anywhere(signals.requested.is_set()):
        raise Stopped
    first = group.cells[0]
    program = _program(setup_of(first), teaching_of(first), sizes_of(first), group.lanes, checked, devices)
    padded = [*group.cells, *[group.cells[-1]] * (group.lanes - len(group.cells))]
    inputs = stack([hyper_of(cell) for cell in padded]), stack([pool_of(cell) for cell in padded])
    seeds = jnp.array([cell.seed for cell in padded], jnp.uint32)
    begun = Standing(_started(program.begin(inputs[1], seeds, inputs[0]), padded), (), np.zeros(group.lanes))
    if folder is None:
        return _trained(group, _train(group, program, inputs, begun, None))
    keeper = Keeper(folder, group, every, checked)
    try:
        counted = program.counted.values()
        found = keeper.load(begun.state, lambda number: tuple(islice(cycle(counted), number)))
        distributed.check_alike([found.done if found else -1, len(found.found) if found else -1], "the checkpoints")
        if found is not None and distributed.first():
            print(f"{first.label}: goes on from {found.done:,} of {first.points[-1][0]:,} steps", file=sys.stderr)
        return _trained(group, _train(group, program, inputs, found or begun, keeper))
    finally:
        keeper.close()


def _train(
    group: Group, program: Program, inputs: tuple[lr.Hyper, Pool], now: Standing, keeper: Keeper | None
) -> Standing:
    """The host loop: chunks of updates up to every point, where policies are evaluated."""
    hyper, pools = inputs
    update = program.setup.steps_per_update
    taught = group.cells[0].training.taught_steps // update * update if program.teach else 0
    began = time.perf_counter() - now.seconds
    evaluations = [(point, simulations) for point, _ in group.cells[0].points for simulations in program.measures]
    for point, simulations in evaluations[len(now.found) :]:
        while now.done < point and len(now.failed) < len(group.cells):
            step, until = (
                (program.teach, min(taught, point)) if program.teach and now.done < taught else (program.train, point)
            )
            updates = min(CHUNK, (until - now.done) // update)
            state, metrics = step(now.state, hyper, pools, jnp.int32(updates))
            metrics, done = jax.device_get(metrics), now.done + updates * update
            failed = now.failed | _failures(group, metrics, done, keeper, now.failed)
            seconds = time.perf_counter() - began
            now = Standing(state, now.found, now.episodes + metrics["episodes"], done, seconds, failed)
            _pause(now, keeper)
        if len(now.failed) == len(group.cells):
            break
        _pause(now, keeper)  # an evaluation takes its time too, and several may follow each other
        counted = program.measures[simulations](now.state.params, pools, hyper, evaluation_key())
        measured = jax.device_get(distributed.whole(counted))
        now = now._replace(found=(*now.found, measured))
    return now._replace(seconds=time.perf_counter() - began)


def _pause(now: Standing, keeper: Keeper | None) -> None:
    """Saves if it is time to, by the first process's clock.

    Raises:
        Stopped: on request, of any process.
    """
    stop = distributed.anywhere(signals.requested.is_set())
    if keeper and (stop or distributed.agreed([keeper.due()])[0]):
        keeper.save(now)
    if stop:
        raise Stopped


def _trained(group: Group, now: Standing) -> list[Trained]:
    """What came of a group's cells."""
    first = group.cells[0]
    evaluations = list(product((point for point, _ in first.points), first.simulations))
    state, seconds = raw(now.state), now.seconds / len(group.cells)
    results = []
    for lane, cell in enumerate(group.cells):
        counts: list[np.ndarray] = [np.zeros(0, count_fields(cell.life))]
        for (point, simulations), found in zip(evaluations, now.found, strict=False):  # fewer where all failed
            for (family, splits), counted in zip(looked_at(cell, simulations), _lane(found, lane), strict=True):
                counts += _counts(cell, family, splits, point, simulations, counted)
        own = _lane(state, lane)
        results.append(
            Trained(
                cell,
                np.concatenate(counts),
                round(now.episodes[lane]),
                seconds,
                own.params,
                digest(own),
                now.failed.get(lane, ""),
            )
        )
    return results


def _started(state: lr.TrainState, cells: Sequence[Cell]) -> lr.TrainState:
    """A fresh state, in which cells that start from a file have its parameters.

    Nothing else in it depends on parameters: no moments are gathered yet, and nobody has acted.
    """
    if not any(cell.training.start_from for cell in cells):
        return state
    params = [_lane(state.params, lane) for lane in range(len(cells))]
    for lane, cell in enumerate(cells):
        if cell.training.start_from:
            params[lane] = load(cell.training.start_from, params[lane])
    return state._replace(params=stack(params))


def _failures(
    group: Group, metrics: dict[str, np.ndarray], done: int, keeper: Keeper | None, known: dict[int, str]
) -> dict[int, str]:
    """Why lanes are to be given up after a chunk: a metric that is no number. Their last checkpoint is kept."""
    found = {}
    for lane, cell in enumerate(group.cells):
        broken = [name for name, values in metrics.items() if not math.isfinite(values[lane])]
        if broken and lane not in known:
            values = ", ".join(f"{name} is {metrics[name][lane]}" for name in broken)
            found[lane] = f"{values} after {done:,} steps; try a lower learning_rate"
            if keeper:
                keeper.spare(cell.id)
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
        counts["cell"], counts["env_steps"], counts["split"], counts["ordinal"] = cell.id, point, split, known
        counts["family"], counts["simulations"] = family, simulations
        for name, values in zip(COUNTED, counted, strict=True):
            np.add.at(counts[name], places, values[block][slots])
        np.add.at(counts["episodes"], places, cell.eval_instances)
        found.append(counts)
    return found
