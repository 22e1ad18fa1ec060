"""Rollouts and updates against the ceilings of this machine: matrix products and memory bandwidth."""

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from incentivize import envs
from incentivize.agents import learner as lr
from incentivize.envs.tasks import make_pool
from incentivize.experiments.bench.suite import cell_of, seconds
from incentivize.experiments.training.build import build_setup, hyper_of
from incentivize.experiments.training.flops import forward_flops

Row = dict[str, Any]
UPDATES = 5


def _median_seconds(call: Callable[[], Any], repeats: int) -> float:
    return statistics.median(seconds(call, repeats))


def products(rows: int, depth: int, width: int, repeats: int) -> float:
    """Measure the FLOP/s of a product [rows, depth] x [depth, width] in float32, with operands in cache."""
    times = max(1, 2**32 // (2 * rows * depth * width))
    left, right = jnp.ones((rows, depth)), jnp.ones((depth, width)) / depth

    @jax.jit
    def several(left: jax.Array, right: jax.Array) -> jax.Array:
        def once(_, carry):  # the operand changes every time, so that no product is optimised away
            left, total = carry
            return left + 1e-9, total + (left @ right)

        return jax.lax.fori_loop(0, times, once, (left, jnp.zeros((rows, width))))[1]

    return 2.0 * rows * depth * width * times / _median_seconds(lambda: several(left, right), repeats)


def memory(megabytes: float, repeats: int) -> float:
    """Measure the bytes per second of adding one array to another in place: two are read, one is written."""
    size = int(megabytes * 250_000)
    times = max(1, int(2**31 / (12 * size)))

    @jax.jit
    def several(sums: jax.Array, summand: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, times, lambda _, sums: sums + summand, sums)

    sums, summand = jnp.zeros(size), jnp.ones(size)
    return 12.0 * size * times / _median_seconds(lambda: several(sums, summand), repeats)


def _bytes(function: Callable[..., Any], *values: Any) -> float:
    """Return the bytes that a program without loops reads and writes, as XLA counts them after compiling it."""
    return jax.jit(function).lower(*values).compile().cost_analysis()["bytes accessed"]


def shares_of_ceilings(name: str, repeats: int, product: float, stream: float) -> list[Row]:
    """Measure a rollout, and the epochs that follow it, of a family with the shipped settings.

    Args:
        name: the family.
        repeats: how many times each is measured.
        product: FLOP/s of the fastest matrix product.
        stream: bytes per second from the nearest memory.

    Returns:
        A row for the rollout and a row for the epochs.
    """
    cell = cell_of(name)
    setup, hyper, pool = build_setup(cell), hyper_of(cell), make_pool(None)
    training = jax.jit(partial(lr.train, setup))
    state = jax.jit(partial(lr.init, setup))(pool, jnp.uint32(0))
    state, _ = training(state, hyper, pool, jnp.int32(UPDATES))  # the first update would fill the whole bank
    key = jax.random.key(0)

    def rollouts(state: lr.TrainState) -> Any:
        def once(_, carry):
            state, total = carry
            key, key_rollout = jax.random.split(state.key)
            actors, rollout = lr.collect(setup, state, pool, key_rollout, hyper)
            total = total + sum(leaf.sum(dtype=jnp.float32) for leaf in jax.tree.leaves(rollout))
            return state._replace(key=key, actors=actors), total

        return jax.lax.fori_loop(0, UPDATES, once, (state, jnp.float32(0)))

    collecting = jax.jit(rollouts)
    rollout_seconds = _median_seconds(lambda: collecting(state), repeats) / UPDATES
    update_seconds = _median_seconds(lambda: training(state, hyper, pool, jnp.int32(UPDATES)), repeats) / UPDATES

    samples = setup.steps_per_update
    _, rollout = jax.jit(partial(lr.collect, setup))(state, pool, key, hyper)
    size = setup.num_envs // setup.minibatches
    minibatch = jax.tree.map(lambda leaf: leaf[:, :size], (rollout, setup.algorithm.compute_targets(rollout, hyper)))
    memory_before = jax.tree.map(lambda leaf: leaf[:size], state.actors[0].memory)
    loss = jax.grad(lambda params: lr.loss(setup, params, lr.Batch(*minibatch, memory_before), hyper)[0])
    one_step = lr.Setup(**{**vars(setup), "steps": 1})
    forward = forward_flops(setup.network) * samples
    moved = {
        "rollout": setup.steps * _bytes(partial(lr.collect, one_step), state, pool, key, hyper),
        "epochs": setup.epochs * setup.minibatches * _bytes(loss, state.params),
    }
    epochs_seconds = update_seconds - rollout_seconds
    work = {"rollout": (rollout_seconds, forward), "epochs": (epochs_seconds, 3 * setup.epochs * forward)}
    return [
        {
            "": f"{name}, {part}",
            "ms": f"{1e3 * duration:.1f}",
            "GFLOP/s": f"{flops / duration / 1e9:.0f}",
            "of matrix products": f"{flops / duration / product:.0%}",
            "GB/s": f"{moved[part] / duration / 1e9:.1f}",
            "of near memory": f"{moved[part] / duration / stream:.0%}",
        }
        for part, (duration, flops) in work.items()
    ]


def ceilings(repeats: int) -> list[Row]:
    """Measure the ceilings of the machine, and every family against them; batches fit a CPU's cache (near memory)."""
    shapes = {"2048 x 2048 times 2048": (2048, 2048, 2048), "2048 x 64 times 64": (2048, 64, 64)}
    product = {f"matrix product, {text}": products(*shape, repeats) for text, shape in shapes.items()}
    stream = {f"sum in place, arrays of {size} MB": memory(size, repeats) for size in (2, 256)}
    rows = [{"": name, "GFLOP/s": f"{rate / 1e9:.0f}"} for name, rate in product.items()]
    rows += [{"": name, "GB/s": f"{rate / 1e9:.0f}"} for name, rate in stream.items()]
    most, near = max(product.values()), max(stream.values())
    return rows + [row for name in envs.names() for row in shares_of_ceilings(name, repeats, most, near)]
