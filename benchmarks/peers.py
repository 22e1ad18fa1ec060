"""Ours and theirs in alternation within one process: environments, fresh episodes, training, compilation, memory."""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console

import envs
from benchmarks.learners import learners
from benchmarks.worlds import WORLDS
from experiments.bench import seconds_once
from experiments.pages import number, rich_table
from experiments.stepping import NUM_ENVS, ROLLOUTS, STEPS, World, going_on, stepping, world_of
from experiments.store import environment

SLOW = {"Jumanji Maze", "Craftax-Classic"}  # a call of which has fewer steps
ACROSS = {"mazes": "gymnax MetaMaze 13x13"}  # what else than XLand-MiniGrid-R1-9x9 a family is held against
PROJECTS = ("jax", "xminigrid", "gymnax", "navix", "jumanji", "craftax", "rejax")
Row = dict[str, Any]


class Side(NamedTuple):
    """What is measured: a call, its steps (or whatever is counted), and what compiling it took and needs."""

    call: Callable[[], Any]
    steps: int
    compiling: float  # seconds
    megabytes: float  # of arguments, results and what is held in between


def _side(make: Callable[[], tuple[Callable[[], Any], int, Any]]) -> Side:
    began = time.perf_counter()
    call, steps, compiled = make()
    compiling = time.perf_counter() - began
    held = compiled.memory_analysis()
    sizes = held.argument_size_in_bytes + held.temp_size_in_bytes + held.output_size_in_bytes - held.alias_size_in_bytes
    return Side(call, steps, compiling, sizes / 1e6)


def _stepped(make: Callable[[], World], rollouts: int) -> tuple[Callable[[], Any], int, Any]:
    program = stepping(make(), NUM_ENVS, rollouts)
    return going_on(program), program.steps, program.call


def _fresh(make: Callable[[], World]) -> tuple[Callable[[], Any], int, Any]:
    world, times = make(), 16

    def several(key: jax.Array) -> Any:
        return jax.lax.map(lambda one: world.fresh(one, NUM_ENVS), jax.random.split(key, times))

    compiled = jax.jit(several).lower(jax.random.key(0)).compile()
    return partial(compiled, jax.random.key(0)), times * NUM_ENVS, compiled


def _trained(make: Callable[[], Any]) -> tuple[Callable[[], Any], int, Any]:
    training = make()
    state = training.begin()

    def call() -> Any:
        nonlocal state
        state = training.call(state)
        return state

    return call, training.steps, training.compiled


def in_turn(makes: dict[str, Callable[[], Any]], repeats: int) -> tuple[dict[str, Side], dict[str, list[float]]]:
    """All sides one after the other, `repeats` times: their rates, those at one place being of one turn."""
    sides = {name: _side(make) for name, make in makes.items()}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, side in sides.items():
            taken = seconds_once(side.call)
            if turn:  # the first warms up
                rates[name].append(side.steps / taken)
    return sides, rates


def _row(name: str, side: Side, rates: dict[str, list[float]], against: dict[str, str]) -> Row:
    """A side's own rate, and for every heading its ratio to another's: the median over turns, lowest and highest."""
    row: Row = {"": name, "steps/s": round(statistics.median(rates[name]))}
    for heading, other in against.items():
        ratios = sorted(mine / theirs for mine, theirs in zip(rates[name], rates[other], strict=True))
        row[heading] = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})" if other != name else "1"
    return row | {"compile s": round(side.compiling, 1), "MB": round(side.megabytes, 1)}


def worlds(repeats: int) -> list[Row]:
    """Steps per second of every family and peer."""
    makes = {name: partial(_stepped, partial(world_of, name), ROLLOUTS) for name in envs.names()}
    makes |= {name: partial(_stepped, make, 1 if name in SLOW else ROLLOUTS) for name, make in WORLDS.items()}
    sides, rates = in_turn(makes, repeats)
    fastest = max(WORLDS, key=lambda name: statistics.median(rates[name]))
    against = {"times XLand R1": "XLand-MiniGrid-R1-9x9", "times MetaMaze": "gymnax MetaMaze 13x13"}
    against |= {"times Navix-Empty": "Navix-Empty-8x8", f"times {fastest}": fastest}
    return [_row(name, side, rates, against) for name, side in sides.items()]


def fresh(repeats: int) -> list[Row]:
    """Episodes begun per second: a task drawn and an instance made, by every family; a reset of every peer."""
    makes = {name: partial(_fresh, partial(world_of, name)) for name in envs.names()}
    makes |= {name: partial(_fresh, make) for name, make in WORLDS.items() if name not in SLOW}
    sides, rates = in_turn(makes, repeats)
    against = {"times XLand R1": "XLand-MiniGrid-R1-9x9"}
    rows = [_row(name, side, rates, against) for name, side in sides.items()]
    return [{key.replace("steps/s", "episodes/s"): value for key, value in row.items()} for row in rows]


def training(repeats: int) -> list[Row]:
    """Environment steps of PPO per second on FourRooms."""
    sides, rates = in_turn({name: partial(_trained, make) for name, make in learners().items()}, repeats)
    against = {"times rejax": "rejax, two networks of 64 x 64"}
    against |= {"times rejax, 32 agents": "rejax, 32 agents of 64 environments", "times ours": "ours, table and 64"}
    return [_row(name, side, rates, against) for name, side in sides.items()]


TABLES = {"environments": worlds, "fresh episodes": fresh, "training": training}
SETTINGS = {
    "environments": f"random actions, {NUM_ENVS} environments, {ROLLOUTS * STEPS} steps of each a call ({STEPS} of "
    f"{', '.join(sorted(SLOW))}), automatic resets, observations folded into the result; every environment of ours on "
    "a task of its own, a new one at every reset, rulesets of XLand R1 drawn in code",
    "fresh episodes": f"{NUM_ENVS} at a time",
    "training": "PPO on gymnax FourRooms, 512 environments x 16 steps (32 agents: 64 each), 2 epochs x 4 minibatches",
}


def main() -> None:
    """Measures and prints tables, or writes them as JSON with the machine and the settings."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--table", nargs="+", choices=TABLES, default=list(TABLES), help="which tables")
    parser.add_argument("--repeats", type=int, default=7, help="turns")
    parser.add_argument("--json", type=Path, help="also write them here, with hardware, versions and settings")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")  # the peers' own
    machine, console = environment(), Console()
    machine["versions"] |= {name: metadata.version(name) for name in PROJECTS}
    tables = {}
    for name in arguments.table:
        tables[name] = TABLES[name](arguments.repeats)
        console.print(rich_table(name, [{key: number(value) for key, value in row.items()} for row in tables[name]]))
        console.print(SETTINGS[name], highlight=False, soft_wrap=True)
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in PROJECTS)
    where = f"{machine['cores']} cores, {', '.join(machine['devices'])}, {versions}"
    console.print(f"{where}; medians of {arguments.repeats} turns, lowest and highest", highlight=False, soft_wrap=True)
    if arguments.json:
        found = {"machine": machine, "repeats": arguments.repeats, "settings": SETTINGS, "tables": tables}
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
