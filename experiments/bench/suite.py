"""Benchmarks: compiled beforehand, blocked until ready, the median of several, ratios taken within one run."""

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
from incentivize.experiments.settings.schema import SAVE_EVERY, Training
from incentivize.experiments.training.build import build_setup, hyper_of, pool_of
from incentivize.experiments.training.checkpoints import GroupCheckpointer, GroupProgress
from incentivize.experiments.training.groups import CellGroup, lanes_of
from incentivize.experiments.training.trees import stack_trees, to_numpy

SPECIALISTS, UPDATES, SPECIALIST_ENVS = 1000, 2, 32  # of the benchmark of specialists: how many, each of what size
Measurement = dict[str, Any]


def seconds_once(call: Callable[[], Any]) -> float:
    """Wall-clock seconds of one warm call."""
    began = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - began


def seconds(call: Callable[[], Any], repeats: int) -> list[float]:
    """Wall-clock seconds of a call, warmed up first, several times."""
    seconds_once(call)
    return [seconds_once(call) for _ in range(repeats)]


def cell_of(name: str, num_envs: int | None = None, **own: Any) -> Cell:
    """The generalist of a family as shipped, unless told otherwise."""
    batch = {} if num_envs is None else {"num_envs": num_envs}
    fixed = {"study": "bench", "role": "generalist", "family": name, "evaluation_points": ((1, "total"),)}
    fixed |= {"training": Training.model_validate(training_defaults("quick").get(name, {}) | batch)}
    return Cell(**(fixed | own), eval_tasks=1, eval_instances=1, eval_specialists=1)


def _trainer(cell: Cell, **fixed: jax.Array) -> tuple[Callable[..., Callable[[], Any]], lr.Setup, int]:
    """From a pool size and seed to a warm training call; the setup; environment steps per call."""
    setup, updates = build_setup(cell), 10
    begin = jax.jit(partial(lr.init, setup))
    train = jax.jit(partial(lr.train, setup))
    hyper = hyper_of(cell)._replace(**fixed)

    def of_pool(size: int | None, seed: int = 0) -> Callable[[], Any]:
        pool = make_pool(size, seed=seed)
        state, _ = jax.block_until_ready(train(begin(pool, 0), hyper, pool, jnp.int32(10)))
        return lambda: train(state, hyper, pool, jnp.int32(updates))

    return of_pool, setup, updates * setup.steps_per_update


def _rate(name: str, what: str, steps: int, taken: Sequence[float], settings: str, **more: Any) -> Measurement:
    rates = [steps / second for second in taken]
    return {
        "benchmark": what,
        "family": name,
        "steps/s": round(statistics.median(rates)),
        "slowest": round(min(rates)),
        "fastest": round(max(rates)),
        "settings": settings,
        **more,
    }


def _envs(name: str, repeats: int) -> list[Measurement]:
    program = rollout_program(batched_env(name), NUM_ENVS)
    taken = seconds(as_thunk(program), repeats)
    text = (
        f"random actions, {NUM_ENVS} environments each on its own task, auto-reset, observations folded into the result"
    )
    return [_rate(name, "envs", program.steps, taken, text)]


def _train(name: str, repeats: int) -> list[Measurement]:
    cell = cell_of(name)
    of_pool, setup, steps = _trainer(cell)
    began = time.perf_counter()
    call = of_pool(None)
    compiling = time.perf_counter() - began
    taken = seconds(call, repeats)
    text = (
        f"PPO, {cell.training.network} of {setup.network.num_params():,} parameters, {setup.num_envs} environments x "
        f"{setup.steps} steps, {setup.epochs} epochs x {setup.minibatches} minibatches; first call {compiling:.1f} s"
    )
    return [_rate(name, "train", steps, taken, text)]


def _tasks(name: str, repeats: int) -> list[Measurement]:
    """Training at every-episode-new against training on 4 tasks, in alternation: the ratio of each pair."""
    # Without learning, and on other pools every time: agents and tasks that differ end episodes, and so pay for
    # resets, at different rates.
    of_pool, _, steps = _trainer(cell_of(name), learning_rate=jnp.float32(0))
    ratios, taken = [], []
    for seed in range(repeats):
        pair = [seconds_once(of_pool(size, seed)) for size in (4, None)]
        ratios.append(pair[0] / pair[1])
        taken.append(pair[1])
    text = "whole updates at learning rate 0, every episode new against 4 tasks; the ratio is the median over pairs"
    return [_rate(name, "tasks", steps, taken, text, ratio=round(statistics.median(ratios), 3))]


def _specialist(setup: lr.Setup, hyper: lr.Hyper, task: jax.Array, updates: jax.Array) -> Any:
    """One specialist's parameters after so many updates, from its beginning; `task` (uint32 []) is its seed too."""
    pool = make_pool(1, split="heldout")._replace(first=task)
    return lr.train(setup, lr.init(setup, pool, task, hyper), hyper, pool, updates)[0].params


def _side_by_side(setup: lr.Setup, hyper: lr.Hyper, tasks: jax.Array, updates: jax.Array) -> Any:
    """The same for tasks [groups, lanes], in one program; leaves [groups, lanes, ...].

    The lanes of a group are vmapped and the groups follow each other, so that what is at work at a time fits a CPU's
    cache, and only one group's environments and banks are held at all.
    """
    lanes = jax.vmap(partial(_specialist, setup), in_axes=(None, 0, None))
    return jax.lax.map(lambda group: lanes(hyper, group, updates), tasks)


def _specialists(name: str, repeats: int) -> list[Measurement]:
    """One program for all specialists, a loop over a compiled one, and one compiled for itself, in alternation."""
    own: dict[str, Any] = {"pool_size": 1, "pool_split": "heldout", "learner": "cloning", "teacher": "dagger"}
    cell = cell_of(name, SPECIALIST_ENVS, role="specialist", **own)
    setup, hyper, updates = build_setup(cell), hyper_of(cell), jnp.int32(UPDATES)
    # On a CPU as many lanes as fill a core and divide the specialists: none is trained for nothing.
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
    apart = _differences(program(hyper, groups, updates), calls["loop"]())
    taken: dict[str, list[float]] = {what: [] for what in calls}
    for turn in range(repeats):
        for what in calls if turn % 2 else reversed(calls):
            taken[what].append(seconds_once(calls[what]))
    return [_specialists_row(name, setup, lanes, taken, compiling, apart)]


def _differences(together: Any, alone: Sequence[Any]) -> np.ndarray:
    """Per specialist, the largest between parameters trained in one program and those trained alone.

    Rounding alone as a rule. Now and then it decides between two actions, after which two runs go ways of their own.
    """
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *alone)
    both = jax.tree.map(lambda mine, theirs: np.abs(np.reshape(mine, theirs.shape) - theirs), together, stacked)
    return np.max([leaf.reshape(len(alone), -1).max(1) for leaf in jax.tree.leaves(both)], axis=0)


def _specialists_row(
    name: str, setup: lr.Setup, lanes: int, taken: dict[str, list[float]], compiling: float, apart: np.ndarray
) -> Measurement:
    """Seconds and ratios; `taken` is of all specialists, but of one where each is compiled for itself."""
    each = {what: np.array(values) / (1 if what == "recompiled" else SPECIALISTS) for what, values in taken.items()}
    one = {what: float(np.median(values)) for what, values in each.items()}
    ratios = {what: each["program"] / each[what] for what in ("loop", "recompiled")}
    state = jax.eval_shape(partial(lr.init, setup), make_pool(1), jnp.uint32(0))
    megabytes = lanes * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)) / 1e6
    # With more updates each, compiling matters less: (updates x pace) / (compiling + updates x pace) reaches 1/10 here.
    pace = one["program"] / UPDATES
    tenth = (one["recompiled"] - one["program"]) / (9 * pace)
    text = (
        f"{SPECIALISTS:,} taught specialists of {setup.network.num_params():,} parameters, {UPDATES} updates of "
        f"{setup.num_envs} environments x {setup.steps} steps each, {setup.epochs} epochs x {setup.minibatches} "
        f"minibatches; one program: {lanes} at a time with {megabytes:,.1f} MB of states and banks, compiled in "
        f"{compiling:.1f} s, not counted; recompiled: measured on one specialist a repeat, compilation counted; ratios "
        f"of seconds per specialist: the median over repeats; difference: of parameters from those trained alone, "
        f"median over specialists; apart: how many have one above 1e-4"
    )
    row = {"benchmark": "specialists", "family": name, "specialists": SPECIALISTS}
    row |= {f"{what} s/update": round(value / UPDATES, 5) for what, value in one.items()}
    for what, values in ratios.items():
        row[f"program/{what}"] = round(float(np.median(values)), 4)
        row[f"program/{what} range"] = f"{values.min():.3g}-{values.max():.3g}"
    row |= {
        "a tenth up to updates": int(tenth),
        "difference": float(np.median(apart)),
        "apart": int((apart > 1e-4).sum()),
    }
    return row | {"settings": text}


def _checkpoints(name: str, repeats: int) -> list[Measurement]:
    """Checkpoints of a training run as shipped, and the share of its time that they take."""
    cell = cell_of(name)
    state = jax.jit(jax.vmap(partial(lr.init, build_setup(cell))))(
        stack_trees([pool_of(cell)]), jnp.zeros(1, jnp.uint32)
    )
    megabytes = sum(leaf.nbytes for leaf in jax.tree.leaves(to_numpy(state))) / 1e6
    with TemporaryDirectory() as folder:
        keeper = GroupCheckpointer(Path(folder), CellGroup((cell,), 1), SAVE_EVERY)
        steps = iter(range(1, repeats + 2))
        taken = seconds(lambda: keeper.save(GroupProgress(state, (), np.zeros(1), next(steps))), repeats)
        keeper.close()
    usual = statistics.median(taken)
    row = {"benchmark": "saves", "family": name, "s/save": round(usual, 4), "slowest": round(max(taken), 4)}
    row |= {"MB": round(megabytes, 2), "share": round(usual / (usual + SAVE_EVERY), 5)}
    return [row | {"settings": f"parameters, optimiser, environments and bank, one agent, every {SAVE_EVERY:.0f} s"}]


def _transpose_if_wide(rows: list[Measurement]) -> list[dict[str, str]]:
    """A line per family; a column for each where a line would not fit a terminal."""
    keys = [key for key in rows[0] if key not in ("benchmark", "settings")]
    if len(keys) <= 6:
        return [{key: format_value(row[key]) for key in keys} for row in rows]
    return [{"": key} | {row["family"]: format_value(row[key]) for row in rows} for key in keys[1:]]


BENCHMARKS = {"envs": _envs, "train": _train, "tasks": _tasks, "specialists": _specialists, "saves": _checkpoints}
ALL = ("envs", "train", "tasks", "saves")  # specialists take minutes a family: only where asked for


def bench(what: str, families: Sequence[str], repeats: int, console: Console) -> dict[str, Any]:
    """Run benchmarks and prints them as tables.

    Returns:
        The same for programs: `machine`, `repeats` and `results`.
    """
    chosen = [BENCHMARKS[name] for name in (ALL if what == "all" else (what,))]
    found = [row for function in chosen for family in families for row in function(family, repeats)]
    machine = provenance()
    for name in dict.fromkeys(row["benchmark"] for row in found):
        console.print(rich_table(name, _transpose_if_wide([row for row in found if row["benchmark"] == name])))
    for row in found:
        console.print(f"{row['benchmark']} {row['family']}: {row['settings']}", highlight=False, soft_wrap=True)
    versions = machine["versions"]
    where = (
        f"{machine['cores']} cores, {', '.join(machine['devices'])}, jax {versions['jax']}, Python {versions['python']}"
    )
    console.print(f"{where}; median of {repeats}, compilation apart", highlight=False, soft_wrap=True)
    return {"machine": machine, "repeats": repeats, "results": found}
