"""How far rollouts and updates are from what this machine can do: products of matrices, and reading memory."""

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


def _usual(call: Callable[[], Any], repeats: int) -> float:
    return statistics.median(seconds(call, repeats))


def products(rows: int, depth: int, width: int, repeats: int) -> float:
    """FLOP/s of a product [rows, depth] x [depth, width] in float32, what it reads being at hand."""
    times = max(1, 2**32 // (2 * rows * depth * width))
    left, right = jnp.ones((rows, depth)), jnp.ones((depth, width)) / depth

    @jax.jit
    def several(left: jax.Array, right: jax.Array) -> jax.Array:
        def once(_, carry):  # reads other numbers every time, so that none is spared
            left, found = carry
            return left + 1e-9, found + (left @ right)

        return jax.lax.fori_loop(0, times, once, (left, jnp.zeros((rows, width))))[1]

    return 2.0 * rows * depth * width * times / _usual(lambda: several(left, right), repeats)


def memory(megabytes: float, repeats: int) -> float:
    """Bytes per second of adding an array of so many megabytes to another in place: two are read and one is written."""
    size = int(megabytes * 250_000)
    times = max(1, int(2**31 / (12 * size)))

    @jax.jit
    def several(one: jax.Array, other: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, times, lambda _, sums: sums + other, one)

    one, other = jnp.zeros(size), jnp.ones(size)
    return 12.0 * size * times / _usual(lambda: several(one, other), repeats)


def _bytes(function: Callable[..., Any], *values: Any) -> float:
    """What a program without loops reads and writes, by XLA's count of what it has made of it."""
    return jax.jit(function).lower(*values).compile().cost_analysis()["bytes accessed"]


def reached(name: str, repeats: int, product: float, stream: float) -> list[Row]:
    """Two rows: a rollout, and the epochs that follow it, of a family as shipped."""
    cell = cell_of(name)
    setup, hyper, pool = build_setup(cell), hyper_of(cell), make_pool(None)
    training = jax.jit(partial(lr.train, setup))
    state = jax.jit(partial(lr.init, setup))(pool, jnp.uint32(0))
    state, _ = training(state, hyper, pool, jnp.int32(UPDATES))  # at first, the whole bank would be filled
    key = jax.random.key(0)

    def rollouts(state: lr.TrainState) -> Any:
        def once(_, carry):
            state, total = carry
            key, own = jax.random.split(state.key)
            actors, found = lr.collect(setup, state, pool, own, hyper)
            total = total + sum(leaf.sum(dtype=jnp.float32) for leaf in jax.tree.leaves(found))
            return state._replace(key=key, actors=actors), total

        return jax.lax.fori_loop(0, UPDATES, once, (state, jnp.float32(0)))

    collecting = jax.jit(rollouts)
    rollout = _usual(lambda: collecting(state), repeats) / UPDATES
    update = _usual(lambda: training(state, hyper, pool, jnp.int32(UPDATES)), repeats) / UPDATES - rollout

    samples = setup.steps_per_update
    _, found = jax.jit(partial(lr.collect, setup))(state, pool, key, hyper)
    each = setup.num_envs // setup.minibatches
    part = jax.tree.map(lambda leaf: leaf[:, :each], (found, setup.algorithm.compute_targets(found, hyper)))
    remembered = jax.tree.map(lambda leaf: leaf[:each], state.actors[0].memory)
    loss = jax.grad(lambda params: lr.loss(setup, params, lr.Batch(*part, remembered), hyper)[0])
    one_step = lr.Setup(**{**vars(setup), "steps": 1})
    forward = forward_flops(setup.network) * samples
    moved = {
        "rollout": setup.steps * _bytes(partial(lr.collect, one_step), state, pool, key, hyper),
        "epochs": setup.epochs * setup.minibatches * _bytes(loss, state.params),
    }
    work = {"rollout": (rollout, forward), "epochs": (update, 3 * setup.epochs * forward)}
    return [
        {
            "": f"{name}, {what}",
            "ms": f"{1e3 * taken:.1f}",
            "GFLOP/s": f"{flops / taken / 1e9:.0f}",
            "of products": f"{flops / taken / product:.0%}",
            "GB/s": f"{moved[what] / taken / 1e9:.1f}",
            "of what is near": f"{moved[what] / taken / stream:.0%}",
        }
        for what, (taken, flops) in work.items()
    ]


def ceilings(repeats: int) -> list[Row]:
    """What every family reaches of what the machine was measured to do. Batches fit a CPU's cache: that is near."""
    shapes = {"2048 x 2048 times 2048": (2048, 2048, 2048), "2048 x 64 times 64": (2048, 64, 64)}
    product = {f"product of matrices, {text}": products(*shape, repeats) for text, shape in shapes.items()}
    stream = {f"sum in place, arrays of {size} MB": memory(size, repeats) for size in (2, 256)}
    rows = [{"": name, "GFLOP/s": f"{rate / 1e9:.0f}"} for name, rate in product.items()]
    rows += [{"": name, "GB/s": f"{rate / 1e9:.0f}"} for name, rate in stream.items()]
    most, near = max(product.values()), max(stream.values())
    return rows + [row for name in envs.names() for row in reached(name, repeats, most, near)]
