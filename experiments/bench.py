"""Benchmarks: compiled beforehand, blocked until ready, the median of several, ratios taken within one run."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console

import envs
from agents import learner as lr
from envs import episodes as ep
from envs.tasks import make_pool
from experiments.cells import Cell
from experiments.presets import training
from experiments.program import hyper_of, setup_of
from experiments.report import number, rich_table
from experiments.settings import Training
from experiments.store import environment

NUM_ENVS, STEPS = 1024, 32  # of the random-policy benchmark
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


def checksum(sums: Any, observation: Any) -> Any:
    """Observations [N, ...] folded into checksums of the same shapes and dtypes: what every benchmark does with them.

    Folded elementwise, so that reading an observation costs what its bytes cost: adding all of them up into one number
    at every step took longer than most steps.
    """
    return jax.tree.map(jnp.bitwise_xor, sums, observation)


def total(sums: Any) -> jax.Array:
    """One number of all checksums, int32 []."""
    return jnp.stack([leaf.sum(dtype=jnp.int32) for leaf in jax.tree.leaves(sums)]).sum()


def random_policy(name: str) -> tuple[Callable[..., Any], int]:
    """A program of random actions in NUM_ENVS environments with automatic reset, and its environment steps.

    Every environment is on a task of its own, every reset draws a new one. What is returned is `checksum` over all
    observations, so that none is compiled away, and how many episodes succeeded.
    """
    family = envs.make(name)
    draw = ep.draw_from(family, make_pool(None))
    rollouts = 8

    def step(carry, key):
        episodes, bank, sums = carry
        key_act, key_step = jax.random.split(key)
        actions = jax.random.randint(key_act, (NUM_ENVS,), 0, family.num_actions)
        episodes, bank, result = ep.step(family, episodes, actions, key_step, bank)
        sums = checksum(sums, jax.vmap(family.observe)(episodes.state))
        return (episodes, bank, sums), result.outcome.succeeded.sum()

    def rollout(carry, key):
        episodes, bank, sums = carry
        key_bank, key_steps = jax.random.split(key)
        return jax.lax.scan(step, (episodes, ep.refill(bank, draw, key_bank), sums), jax.random.split(key_steps, STEPS))

    @jax.jit
    def program(key):
        key_begin, key_rollouts = jax.random.split(key)
        start = ep.begin(draw, key_begin, NUM_ENVS)
        sums = jax.tree.map(jnp.zeros_like, jax.vmap(family.observe)(start.state))
        carry = start, ep.empty_bank(draw, NUM_ENVS * STEPS), sums
        (*_, sums), succeeded = jax.lax.scan(rollout, carry, jax.random.split(key_rollouts, rollouts))
        return total(sums), succeeded.sum()

    return program, rollouts * STEPS * NUM_ENVS


def _cell(name: str) -> Cell:
    """The generalist of a family as shipped."""
    return Cell(
        study="bench",
        role="generalist",
        family=name,
        training=Training.model_validate(training("quick").get(name, {})),
        points=((1, "total"),),
        eval_tasks=1,
        eval_instances=1,
        eval_specialists=1,
    )


def _trainer(cell: Cell, **fixed: jax.Array) -> tuple[Callable[..., Callable[[], Any]], lr.Setup, int]:
    """From a pool size and seed to a warm training call; the setup; environment steps per call."""
    setup, updates = setup_of(cell), 10
    begin = jax.jit(partial(lr.begin, setup))
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
    program, steps = random_policy(name)
    taken = seconds(partial(program, jax.random.key(0)), repeats)
    text = (
        f"random actions, {NUM_ENVS} environments each on its own task, auto-reset, observations folded into the result"
    )
    return [_rate(name, "envs", steps, taken, text)]


def _train(name: str, repeats: int) -> list[Measurement]:
    cell = _cell(name)
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
    of_pool, _, steps = _trainer(_cell(name), learning_rate=jnp.float32(0))
    ratios, taken = [], []
    for seed in range(repeats):
        pair = [seconds_once(of_pool(size, seed)) for size in (4, None)]
        ratios.append(pair[0] / pair[1])
        taken.append(pair[1])
    text = "whole updates at learning rate 0, every episode new against 4 tasks; the ratio is the median over pairs"
    return [_rate(name, "tasks", steps, taken, text, ratio=round(statistics.median(ratios), 3))]


BENCHMARKS = {"envs": _envs, "train": _train, "tasks": _tasks}


def bench(what: str, families: Sequence[str], repeats: int, as_json: bool, console: Console) -> None:
    """Runs benchmarks and prints them as a table, or as JSON with the machine."""
    chosen = [function for name, function in BENCHMARKS.items() if what in ("all", name)]
    found = [row for function in chosen for family in families for row in function(family, repeats)]
    machine = environment()
    if as_json:
        print(json.dumps({"machine": machine, "repeats": repeats, "results": found}, indent=1))
        return
    keys = list(dict.fromkeys(key for row in found for key in row if key != "settings"))
    console.print(rich_table("benchmarks", [{key: number(row.get(key)) for key in keys} for row in found]))
    for row in found:
        console.print(f"{row['benchmark']} {row['family']}: {row['settings']}", highlight=False, soft_wrap=True)
    versions = machine["versions"]
    where = (
        f"{machine['cores']} cores, {', '.join(machine['devices'])}, jax {versions['jax']}, Python {versions['python']}"
    )
    console.print(f"{where}; median of {repeats}, compilation apart", highlight=False, soft_wrap=True)
