"""Families and other projects measured in turn in one process: steps, resets, training, compilation, memory."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax

from benchmarks.learners import Training, learners
from benchmarks.worlds import WORLDS
from incentivize import envs
from incentivize.experiments.bench.random_rollouts import (
    NUM_ENVS,
    ROLLOUTS,
    STEPS,
    BatchedEnv,
    as_thunk,
    batched_env,
    rollout_program,
)
from incentivize.experiments.bench.suite import seconds_once

SLOW = {"Jumanji Maze", "Craftax-Classic, 64 environments"}  # their calls have fewer steps
XLAND, MAZE, ROOMS = "XLand-MiniGrid-R1-9x9", "gymnax MetaMaze 13x13", "rejax: two networks of 64 x 64"
Row = dict[str, Any]


class Side(NamedTuple):
    """A compiled program to be measured.

    Attributes:
        call: a call without arguments.
        steps: the steps, or whatever else is counted, of a call.
        compiling: seconds of tracing and compiling.
        megabytes: the size of arguments, results and temporary arrays.
    """

    call: Callable[[], Any]
    steps: int
    compiling: float
    megabytes: float


def compile_side(make: Callable[[], tuple[Callable[[], Any], int, Any]]) -> Side:
    """Measure the compilation by `make`, which returns a call, its steps, and the compiled program."""
    began = time.perf_counter()
    call, steps, compiled = make()
    compiling = time.perf_counter() - began
    held = compiled.memory_analysis()
    sizes = held.argument_size_in_bytes + held.temp_size_in_bytes + held.output_size_in_bytes - held.alias_size_in_bytes
    return Side(call, steps, compiling, sizes / 1e6)


def stepped(make: Callable[[], BatchedEnv], rollouts: int = ROLLOUTS, num_envs: int = NUM_ENVS) -> tuple[Any, int, Any]:
    """Compile random rollouts, for `compile_side`."""
    program = rollout_program(make(), num_envs, rollouts)
    return as_thunk(program), program.steps, program.call


def begun(make: Callable[[], BatchedEnv]) -> tuple[Any, int, Any]:
    """Compile resets, for `compile_side`."""
    env, times = make(), 16

    def several(key: jax.Array) -> Any:
        return jax.lax.map(lambda key: env.fresh(key, NUM_ENVS), jax.random.split(key, times))

    compiled = jax.jit(several).lower(jax.random.key(0)).compile()
    return partial(compiled, jax.random.key(0)), times * NUM_ENVS, compiled


def trained(make: Callable[[], Training]) -> tuple[Any, int, Any]:
    """Compile updates of agents, for `compile_side`."""
    training = make()
    state = training.begin()

    def call() -> Any:
        nonlocal state
        state = training.call(state)
        return state

    return call, training.steps, training.call


def in_turn(makes: dict[str, Callable[[], Any]], repeats: int) -> tuple[dict[str, Side], dict[str, list[float]]]:
    """Measure all programs one after the other, `repeats` times; return them, and their rates by turn, by name."""
    sides = {name: compile_side(make) for name, make in makes.items()}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, side in sides.items():
            duration = seconds_once(side.call)
            if turn:  # the first one warms up
                rates[name].append(side.steps / duration)
    return sides, rates


def ratio(rates: list[float], others: list[float]) -> str:
    """Format the ratio of rates by turn: its median, lowest and highest value."""
    ratios = sorted(rate / other for rate, other in zip(rates, others, strict=True))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def _table(makes: dict[str, Callable[[], Any]], repeats: int, unit: str, against: dict[str, str]) -> list[Row]:
    """Measure programs in turn, and relate all to those named in `against`, by heading."""
    sides, rates = in_turn(makes, repeats)
    rows = []
    for name, side in sides.items():
        row: Row = {"": name, unit: f"{statistics.median(rates[name]):,.0f}"}
        row |= {head: "1" if other == name else ratio(rates[name], rates[other]) for head, other in against.items()}
        rows.append(row | {"compiled in s": f"{side.compiling:.1f}", "MB held": f"{side.megabytes:.1f}"})
    return rows


def worlds(repeats: int) -> list[Row]:
    """Measure steps per second of every family and of other projects."""
    makes = {name: partial(stepped, partial(batched_env, name)) for name in envs.names()}
    for name, make in WORLDS.items():
        few = 64 if name.startswith("Craftax") else NUM_ENVS
        makes[name] = partial(stepped, make, 1 if name in SLOW else ROLLOUTS, few)
    others = {"XLand R1": XLAND, "MetaMaze": MAZE, "Navix-Empty": "Navix-Empty-8x8", "CartPole": "gymnax CartPole"}
    return _table(makes, repeats, "steps/s", {f"times {name}": other for name, other in others.items()})


def fresh(repeats: int) -> list[Row]:
    """Measure episodes begun per second: a family draws a task and an instance, other projects reset."""
    makes = {name: partial(begun, partial(batched_env, name)) for name in envs.names()}
    makes |= {name: partial(begun, make) for name, make in WORLDS.items() if name not in SLOW}
    return _table(makes, repeats, "episodes/s", {"times XLand R1": XLAND})


def training(repeats: int) -> list[Row]:
    """Measure environment steps per second of PPO on FourRooms."""
    makes = {name: partial(trained, make) for name, make in learners().items()}
    others = {"times rejax": ROOMS, "times rejax, 32 agents": "rejax: 32 agents of 64 environments"}
    return _table(makes, repeats, "steps/s", others | {"times our table and 64": "ours: table and 64"})


TABLES = {
    f"Steps per second: random actions, {NUM_ENVS} environments, {ROLLOUTS * STEPS} steps of each a call ({STEPS} of "
    f"Jumanji Maze and Craftax), automatic resets, observations folded into the result. Every environment of ours "
    "is on a task of its own, a new one at every reset; rulesets of XLand R1 are drawn in code": worlds,
    f"Episodes begun per second, {NUM_ENVS} at a time": fresh,
    "PPO on gymnax FourRooms: 512 environments x 16 steps (32 agents: 64 each), 2 epochs x 4 minibatches": training,
}
