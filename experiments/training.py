"""Training of cells: jitted chunks under a host loop, and an evaluation wherever the study wants one."""

import math
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from agents import learner as lr
from agents.evaluate import Successes
from agents.networks import Params
from experiments.cells import Cell
from experiments.checkpoints import load
from experiments.program import (
    Evaluation,
    Program,
    Tree,
    block_ordinals,
    compile_program,
    evaluation_key,
    hyper_of,
    pool_of,
    setup_of,
    sizes_of,
    stack,
    teaching_of,
)
from experiments.store import TASK_FIELDS

CHUNK = 32  # updates per jitted call at most, so that an interrupt and a loss that is no number are noticed
SIDE_BY_SIDE = 512  # environments per program on a CPU; more fill no core better


COUNTED = ("successes_greedy", "successes", "successes_best", "steps", "expert_steps", "by_attempt")
"""As `Successes` has them. The last is of every attempt of a life, and goes into the rows only."""


class RunError(Exception):
    """A run that cannot go on: its message says why, `cell` where it is that cell's loss. Exit status 1."""

    def __init__(self, message: str, cell: Cell | None = None) -> None:
        super().__init__(message)
        self.cell = cell


class Trained(NamedTuple):
    """What came of one cell."""

    cell: Cell
    counts: np.ndarray  # TASK_FIELDS and `by_attempt`: successes per budget, split and task
    episodes: int
    seconds: float  # its share, compilation included
    params: Params = ()  # in the end, NumPy arrays


def count_fields(life: int) -> list[Any]:
    """What is counted per task: TASK_FIELDS, and successes by attempt of a life, int32 [life]."""
    return [*TASK_FIELDS, ("by_attempt", np.int32, (life,))]


def lanes_of(cell: Cell, cells: int) -> int:
    """How many of so many cells like this one run side by side in one program."""
    most = max(1, SIDE_BY_SIDE // cell.training.num_envs) if jax.default_backend() == "cpu" else 64
    return min(most, cells)


@lru_cache(maxsize=2)
def _program(setup: lr.Setup, teaching: lr.Setup | None, sizes: Evaluation, lanes: int) -> Program:
    return compile_program(setup, teaching, sizes, lanes)


def train(cells: Sequence[Cell], lanes: int) -> list[Trained]:
    """Trains cells that share shapes and points side by side.

    Args:
        cells: at most `lanes`; lanes beyond them repeat the last one, unheeded.
        lanes: the number of cells that the program is compiled for.

    Raises:
        RunError: where a loss is no number.
    """
    began = time.perf_counter()
    first = cells[0]
    sizes = sizes_of(first)
    program = _program(setup_of(first), teaching_of(first), sizes, lanes)
    padded = [*cells, *[cells[-1]] * (lanes - len(cells))]
    pools, hyper = stack([pool_of(cell) for cell in padded]), stack([hyper_of(cell) for cell in padded])
    state = _started(program.begin(pools, jnp.array([cell.seed for cell in padded], jnp.uint32), hyper), padded)
    counts: list[list[np.ndarray]] = [[] for _ in cells]
    episodes = np.zeros(lanes)
    done = 0
    update = program.setup.steps_per_update
    taught = first.training.taught_steps // update * update if program.teach else 0
    for point, _ in first.points:
        while done < point:
            step, until = (
                (program.teach, min(taught, point)) if program.teach and done < taught else (program.train, point)
            )
            updates = min(CHUNK, (until - done) // update)
            state, metrics = step(state, hyper, pools, jnp.int32(updates))
            done += updates * update
            episodes += _checked(cells, jax.device_get(metrics), done)["episodes"]
        for simulations, measure in program.measures.items():
            found = jax.device_get(measure(state.params, pools, hyper, evaluation_key()))
            for lane, cell in enumerate(cells):
                for family, counted in zip(cell.members, _lane(found, lane), strict=True):
                    counts[lane] += _counts(cell, family, point, simulations, counted)
    seconds, params = (time.perf_counter() - began) / len(cells), jax.device_get(state.params)
    return [
        Trained(cell, np.concatenate(counts[lane]), round(episodes[lane]), seconds, _lane(params, lane))
        for lane, cell in enumerate(cells)
    ]


def _lane(tree: Tree, lane: int) -> Tree:
    """One cell's share of a program's leaves."""
    return jax.tree.map(lambda leaf: leaf[lane], tree)


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


def _checked(cells: Sequence[Cell], metrics: dict[str, np.ndarray], done: int) -> dict[str, np.ndarray]:
    """The metrics of a chunk, all of which are numbers."""
    for lane, cell in enumerate(cells):
        for name, values in metrics.items():
            if not math.isfinite(values[lane]):
                why = f"{name} is {values[lane]} after {done:,} steps; try a lower learning_rate"
                raise RunError(f"{cell.label}: {why}", cell)
    return metrics


def _counts(cell: Cell, family: str, point: int, simulations: int, counted: Successes) -> list[np.ndarray]:
    """Successes per task, an array of `count_fields` for every split, from those per block and slot."""
    found = []
    specialist = cell.pool_split != "training"
    ordinals = block_ordinals(cell)
    for block, split in enumerate(sizes_of(cell).blocks):
        slots = np.ones(cell.eval_tasks, bool)
        if specialist and split in ("validation", "unseen"):
            continue  # its own task is among them, and the others are not its business
        if specialist and split == "specialty":
            slots = ordinals[block] == cell.pool_first
        known, places = np.unique(ordinals[block][slots], return_inverse=True)
        counts = np.zeros(len(known), count_fields(cell.life))
        counts["cell"], counts["env_steps"], counts["split"], counts["ordinal"] = cell.id, point, split, known
        counts["family"], counts["simulations"] = family, simulations
        for name, values in zip(COUNTED, counted, strict=True):
            np.add.at(counts[name], places, values[block][slots])
        np.add.at(counts["episodes"], places, cell.eval_instances)
        found.append(counts)
    return found
