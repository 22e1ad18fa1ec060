"""The benchmarks of `incentivize bench`: medians of several calls, compiled beforehand and blocked until ready."""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from incentivize.agents import learner as lr
from incentivize.envs.tasks import make_pool
from incentivize.experiments.bench.random_rollouts import NUM_ENVS, as_thunk, batched_env, rollout_program
from incentivize.experiments.cells import Cell
from incentivize.experiments.presentation.tables import format_value, rich_table
from incentivize.experiments.runtime.provenance import provenance
from incentivize.experiments.settings.presets import training_defaults
from incentivize.experiments.settings.schema import SAVE_EVERY
from incentivize.experiments.settings.training import Training
from incentivize.experiments.training.build import build_setup, hyper_of, pool_of
from incentivize.experiments.training.checkpoints import GroupCheckpointer, GroupProgress
from incentivize.experiments.training.groups import CellGroup, lanes_of
from incentivize.experiments.training.pytrees import stack_trees, to_numpy

SPECIALISTS, UPDATES, SPECIALIST_ENVS = 1000, 2, 32  # agents; updates and environments of each
Measurement = dict[str, Any]


def seconds_once(call: Callable[[], Any]) -> float:
    """Measure the wall-clock seconds of one warm call."""
    began = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - began


def seconds(call: Callable[[], Any], repeats: int) -> list[float]:
    """Measure the wall-clock seconds of a call several times, after a first call to warm up."""
    seconds_once(call)
    return [seconds_once(call) for _ in range(repeats)]


def cell_of(name: str, num_envs: int | None = None, **changes: Any) -> Cell:
    """Make the cell of a family's generalist with the shipped settings, except for `num_envs` and other changes."""
    batch = {} if num_envs is None else {"num_envs": num_envs}
    fixed = {"study": "bench", "role": "generalist", "family": name, "evaluation_points": ((1, "total"),)}
    fixed |= {"training": Training.model_validate(training_defaults("quick").get(name, {}) | batch)}
    return Cell(**(fixed | changes), eval_tasks=1, eval_instances=1, eval_specialists=1)


def _trainer(cell: Cell, **fixed: jax.Array) -> tuple[Callable[..., Callable[[], Any]], lr.Setup, int]:
    """Return a function from pool size and seed to a warm training call; the setup; environment steps per call."""
    setup, updates = build_setup(cell), 10
    begin = jax.jit(partial(lr.init, setup))
    train = jax.jit(partial(lr.train, setup))
    hyper = hyper_of(cell)._replace(**fixed)

    def of_pool(size: int | None, seed: int = 0) -> Callable[[], Any]:
        pool = make_pool(size, seed=seed)
        state, _ = jax.block_until_ready(train(begin(pool, 0), hyper, pool, jnp.int32(10)))
        return lambda: train(state, hyper, pool, jnp.int32(updates))

    return of_pool, setup, updates * setup.steps_per_update


def _rate(name: str, benchmark: str, steps: int, durations: Sequence[float], settings: str, **more: Any) -> Measurement:
    """Make the row of a benchmark whose calls of `steps` environment steps took so many seconds."""
    rates = [steps / duration for duration in durations]
    return {
        "benchmark": benchmark,
        "family": name,
        "steps/s": round(statistics.median(rates)),
        "slowest": round(min(rates)),
        "fastest": round(max(rates)),
        "settings": settings,
        **more,
    }


def _envs(name: str, repeats: int) -> list[Measurement]:
    """Measure random rollouts of a family."""
    program = rollout_program(batched_env(name), NUM_ENVS)
    durations = seconds(as_thunk(program), repeats)
    text = (
        f"random actions, {NUM_ENVS} environments each on its own task, auto-reset, observations folded into the result"
    )
    return [_rate(name, "envs", program.steps, durations, text)]


def _train(name: str, repeats: int) -> list[Measurement]:
    """Measure whole updates of a family's generalist."""
    cell = cell_of(name)
    of_pool, setup, steps = _trainer(cell)
    began = time.perf_counter()
    call = of_pool(None)
    compiling = time.perf_counter() - began
    durations = seconds(call, repeats)
    text = (
        f"PPO, {cell.training.network} of {setup.network.num_params():,} parameters, {setup.num_envs} environments x "
        f"{setup.steps} steps, {setup.epochs} epochs x {setup.minibatches} minibatches; first call {compiling:.1f} s"
    )
    return [_rate(name, "train", steps, durations, text)]


def _tasks(name: str, repeats: int) -> list[Measurement]:
    """Compare training with every episode new to training on 4 tasks, in alternation."""
    # Agents and tasks that differ end episodes, and so pay for resets, at different rates: hence no learning, and new
    # pools in every pair.
    of_pool, _, steps = _trainer(cell_of(name), learning_rate=jnp.float32(0))
    ratios, durations = [], []
    for seed in range(repeats):
        pair = [seconds_once(of_pool(size, seed)) for size in (4, None)]
        ratios.append(pair[0] / pair[1])
        durations.append(pair[1])
    text = "whole updates at learning rate 0, every episode new against 4 tasks; the ratio is the median over pairs"
    return [_rate(name, "tasks", steps, durations, text, ratio=round(statistics.median(ratios), 3))]


def _specialist(setup: lr.Setup, hyper: lr.Hyper, task: jax.Array, updates: jax.Array) -> Any:
    """Train one specialist for so many updates and return its parameters; `task` (uint32 []) is its seed, too."""
    pool = make_pool(1, split="heldout")._replace(first=task)
    return lr.train(setup, lr.init(setup, pool, task, hyper), hyper, pool, updates)[0].params


def _side_by_side(setup: lr.Setup, hyper: lr.Hyper, tasks: jax.Array, updates: jax.Array) -> Any:
    """Train specialists of tasks uint32 [groups, lanes] in one program; leaves of parameters [groups, lanes, ...].

    The lanes of a group are vmapped, and groups follow each other. So the working set fits a CPU's cache, and only one
    group's environments and banks are held in memory.
    """
    lanes = jax.vmap(partial(_specialist, setup), in_axes=(None, 0, None))
    return jax.lax.map(lambda group: lanes(hyper, group, updates), tasks)


def _specialists(name: str, repeats: int) -> list[Measurement]:
    """Compare one program for all specialists with a loop over a compiled one and with a compilation for each."""
    changes: dict[str, Any] = {"pool_size": 1, "pool_split": "heldout", "learner": "cloning", "teacher": "dagger"}
    cell = cell_of(name, SPECIALIST_ENVS, role="specialist", **changes)
    setup, hyper, updates = build_setup(cell), hyper_of(cell), jnp.int32(UPDATES)
    # On a CPU, as many lanes as fill a core and divide the specialists, so that no lane is wasted.
    lanes = max(n for n in range(1, lanes_of(cell, SPECIALISTS) + 1) if SPECIALISTS % n == 0)
    lanes = lanes if jax.default_backend() == "cpu" else SPECIALISTS
    tasks = np.arange(SPECIALISTS, dtype=np.uint32)
    groups = tasks.reshape(-1, lanes)
    began = time.perf_counter()
    program = jax.jit(partial(_side_by_side, setup)).lower(hyper, groups, updates).compile()
    compiling = time.perf_counter() - began
    alone = jax.jit(partial(_specialist, setup)).lower(hyper, tasks[0], updates).compile()
    calls: dict[str, Callable[[], Any]] = {
        "program": lambda: program(hyper, groups, updates),
        "loop": lambda: [alone(hyper, task, updates) for task in tasks],
        "recompiled": lambda: jax.jit(lambda *values: _specialist(setup, *values))(hyper, tasks[0], updates),
    }
    differences = _differences(program(hyper, groups, updates), calls["loop"]())
    durations: dict[str, list[float]] = {way: [] for way in calls}
    for repeat in range(repeats):
        for way in calls if repeat % 2 else reversed(calls):
            durations[way].append(seconds_once(calls[way]))
    return [_specialists_row(name, setup, lanes, durations, compiling, differences)]


def _differences(together: Any, alone: Sequence[Any]) -> np.ndarray:
    """Return the largest difference of any parameter, trained in one program or alone, by specialist: float [N].

    As a rule it is rounding alone. Now and then rounding decides between two actions, after which the runs diverge.
    """
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *alone)
    gaps = jax.tree.map(lambda first, second: np.abs(np.reshape(first, second.shape) - second), together, stacked)
    return np.max([leaf.reshape(len(alone), -1).max(1) for leaf in jax.tree.leaves(gaps)], axis=0)


def _specialists_row(
    name: str,
    setup: lr.Setup,
    lanes: int,
    durations: dict[str, list[float]],
    compiling: float,
    differences: np.ndarray,
) -> Measurement:
    """Make the row of the benchmark of specialists.

    Args:
        name: name of the family.
        setup: setup of a specialist.
        lanes: number of specialists that the program trains at a time.
        durations: seconds of every repeat by way of training: of all specialists, or of one for "recompiled".
        compiling: seconds to compile the program.
        differences: largest difference of parameters by specialist, float [N], as `_differences` returns it.
    """
    per_specialist = {
        way: np.array(times) / (1 if way == "recompiled" else SPECIALISTS) for way, times in durations.items()
    }
    usual = {way: float(np.median(times)) for way, times in per_specialist.items()}
    ratios = {way: per_specialist["program"] / per_specialist[way] for way in ("loop", "recompiled")}
    state = jax.eval_shape(partial(lr.init, setup), make_pool(1), jnp.uint32(0))
    megabytes = lanes * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)) / 1e6
    # With more updates, compilation matters less: (updates x pace) / (compilation + updates x pace) reaches 1/10 here.
    pace = usual["program"] / UPDATES
    tenth = (usual["recompiled"] - usual["program"]) / (9 * pace)
    text = (
        f"{SPECIALISTS:,} taught specialists of {setup.network.num_params():,} parameters, {UPDATES} updates of "
        f"{setup.num_envs} environments x {setup.steps} steps each, {setup.epochs} epochs x {setup.minibatches} "
        f"minibatches; one program: {lanes} at a time with {megabytes:,.1f} MB of states and banks, compiled in "
        f"{compiling:.1f} s, not counted; recompiled: measured on one specialist a repeat, compilation counted; ratios "
        f"of seconds per specialist: the median over repeats; difference: of parameters from those trained alone, "
        f"median over specialists; apart: how many have one above 1e-4"
    )
    row = {"benchmark": "specialists", "family": name, "specialists": SPECIALISTS}
    row |= {f"{way} s/update": round(value / UPDATES, 5) for way, value in usual.items()}
    for way, values in ratios.items():
        row[f"program/{way}"] = round(float(np.median(values)), 4)
        row[f"program/{way} range"] = f"{values.min():.3g}-{values.max():.3g}"
    row |= {
        "a tenth up to updates": int(tenth),
        "difference": float(np.median(differences)),
        "apart": int((differences > 1e-4).sum()),
    }
    return row | {"settings": text}


def _checkpoints(name: str, repeats: int) -> list[Measurement]:
    """Measure checkpoints of a cell with the shipped settings, and their share of its time."""
    cell = cell_of(name)
    state = jax.jit(jax.vmap(partial(lr.init, build_setup(cell))))(
        stack_trees([pool_of(cell)]), jnp.zeros(1, jnp.uint32)
    )
    megabytes = sum(leaf.nbytes for leaf in jax.tree.leaves(to_numpy(state))) / 1e6
    with TemporaryDirectory() as folder:
        keeper = GroupCheckpointer(Path(folder), CellGroup((cell,), 1), SAVE_EVERY)
        steps = iter(range(1, repeats + 2))
        durations = seconds(lambda: keeper.save(GroupProgress(state, (), np.zeros(1), next(steps))), repeats)
        keeper.close()
    usual = statistics.median(durations)
    row = {"benchmark": "saves", "family": name, "s/save": round(usual, 4), "slowest": round(max(durations), 4)}
    row |= {"MB": round(megabytes, 2), "share": round(usual / (usual + SAVE_EVERY), 5)}
    return [row | {"settings": f"parameters, optimiser, environments and bank, one agent, every {SAVE_EVERY:.0f} s"}]


def _transpose_if_wide(rows: list[Measurement]) -> list[dict[str, str]]:
    """Format rows with a line for every family, or with a column for each where lines would be too long."""
    keys = [key for key in rows[0] if key not in ("benchmark", "settings")]
    if len(keys) <= 6:
        return [{key: format_value(row[key]) for key in keys} for row in rows]
    return [{"": key} | {row["family"]: format_value(row[key]) for row in rows} for key in keys[1:]]


BENCHMARKS = {"envs": _envs, "train": _train, "tasks": _tasks, "specialists": _specialists, "saves": _checkpoints}
ALL = ("envs", "train", "tasks", "saves")  # not specialists, which take minutes a family


def bench(benchmark: str, families: Sequence[str], repeats: int, console: Console) -> dict[str, Any]:
    """Run benchmarks and print them as tables.

    Args:
        benchmark: a name of BENCHMARKS, or "all".
        families: names of the families to measure.
        repeats: number of measurements of each family.
        console: console that gets the tables.

    Returns:
        `machine`, `repeats` and `results`, for `--json`.
    """
    chosen = [BENCHMARKS[name] for name in (ALL if benchmark == "all" else (benchmark,))]
    rows = [row for measure in chosen for family in families for row in measure(family, repeats)]
    machine = provenance()
    for name in dict.fromkeys(row["benchmark"] for row in rows):
        console.print(rich_table(name, _transpose_if_wide([row for row in rows if row["benchmark"] == name])))
    for row in rows:
        console.print(f"{row['benchmark']} {row['family']}: {row['settings']}", highlight=False, soft_wrap=True)
    versions = machine["versions"]
    devices = f"{machine['cores']} cores, {', '.join(machine['devices'])}"
    where = f"{devices}, jax {versions['jax']}, Python {versions['python']}"
    console.print(f"{where}; medians of {repeats}, without compilation", highlight=False, soft_wrap=True)
    return {"machine": machine, "repeats": repeats, "results": rows}
