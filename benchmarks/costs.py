"""Costs of training against the number of tasks, environments, specialists and parameters."""

import statistics
from dataclasses import replace
from functools import partial
from itertools import cycle
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.peers import Row, in_turn, ratio, stepped
from incentivize import envs
from incentivize.agents import learner as lr
from incentivize.agents import networks
from incentivize.envs.tasks import make_pool
from incentivize.experiments.bench.random_rollouts import batched_env
from incentivize.experiments.bench.suite import cell_of
from incentivize.experiments.training.build import build_setup, hyper_of
from incentivize.experiments.training.flops import forward_flops
from incentivize.experiments.training.pytrees import stack_trees

UPDATES = 4
SIZES = (4, 4096, None)  # of pools; None: every episode a new task
ENVS = tuple(2**power for power in range(6, 17, 2))  # up to 65,536
AGENTS = (1, 64, 512, 4096)
WIDTHS = (16, 64, 256)


def _updates(
    setup: lr.Setup, hyper: lr.Hyper, size: int | None, agents: int = 1, updates: int = UPDATES
) -> tuple[Any, int, Any]:
    """Compile updates of one agent, or of several side by side with a pool each, for `in_turn`.

    A single agent has another pool in every call, because tasks that differ end episodes at different rates, and so pay
    differently for resets.
    """
    pools = [make_pool(size, seed=seed) for seed in range(max(agents, 16))]
    pool = stack_trees(pools[:agents]) if agents > 1 else pools[0]
    turns = cycle([pool] if agents > 1 else pools)

    def begin(pool: Any, seed: jax.Array) -> lr.TrainState:
        return lr.init(setup, pool, seed)

    def train(state: lr.TrainState, pool: Any) -> lr.TrainState:
        return lr.train(setup, state, hyper, pool, jnp.int32(updates))[0]

    seeds = jnp.arange(agents, dtype=jnp.uint32) if agents > 1 else jnp.uint32(0)
    if agents > 1:
        begin, train = jax.vmap(begin), jax.vmap(train)
    state = jax.jit(begin)(pool, seeds)
    compiled = jax.jit(train, donate_argnums=0).lower(state, pool).compile()

    def call() -> Any:
        nonlocal state
        state = compiled(state, next(turns))
        return state

    return call, updates * agents * setup.steps_per_update, compiled


def _rows(makes: dict[str, Any], repeats: int, against: str) -> list[Row]:
    """Measure programs in turn, and relate each to the one called `against`."""
    sides, rates = in_turn(makes, repeats)
    return [
        {
            "": name,
            "steps/s": f"{statistics.median(rates[name]):,.0f}",
            f"times {against}": ratio(rates[name], rates[against]),
            "MB held": f"{side.megabytes:.2f}",
            "times its": f"{side.megabytes / sides[against].megabytes:.3f}",
        }
        for name, side in sides.items()
    ]


def tasks(repeats: int) -> list[Row]:
    """Measure whole updates by number of tasks, at learning rate 0, so that all agents end episodes at one rate."""
    rows = []
    for name in envs.names():
        cell = cell_of(name)
        setup, hyper = build_setup(cell), hyper_of(cell)._replace(learning_rate=jnp.float32(0))
        total = f"{envs.make(name).tasks.size:,}"
        names = {f"{name}, {total if size is None else f'{size:,}'} tasks": size for size in SIZES}
        makes = {text: partial(_updates, setup, hyper, size) for text, size in names.items()}
        family_rows = _rows(makes, 2 * repeats, f"{name}, 4 tasks")
        rows += [{key.replace(f"{name}, ", ""): value for key, value in row.items()} for row in family_rows]
    return rows


def environments(repeats: int) -> list[Row]:
    """Measure random actions in errands by number of environments."""
    makes = {f"{n:,} environments": partial(stepped, partial(batched_env, "errands"), 8, n) for n in ENVS}
    return _rows(makes, repeats, "1,024 environments")


def specialists(repeats: int) -> list[Row]:
    """Measure updates of specialists side by side, with 32 environments each, by number of specialists."""
    cell = cell_of("errands", 32)
    makes = {f"{n:,} specialists": partial(_updates, build_setup(cell), hyper_of(cell), 1, n, 1) for n in AGENTS}
    return _rows(makes, 1 + repeats // 2, "1 specialists")


def sizes(repeats: int) -> list[Row]:
    """Measure updates in errands by kind and width of the network."""
    cell, family = cell_of("errands"), envs.make("errands")
    setup, hyper = build_setup(cell), hyper_of(cell)
    made = {
        f"{kind}, {width} wide": networks.make(kind, family, width=width)
        for kind in ("mlp", "relational")
        for width in WIDTHS
    }
    makes = {name: partial(_updates, replace(setup, network=network), hyper, None) for name, network in made.items()}
    rows = _rows(makes, repeats, "mlp, 64 wide")
    for row, network in zip(rows, made.values(), strict=True):
        flops = (1 + 3 * setup.epochs) * forward_flops(network) * float(row["steps/s"].replace(",", ""))
        row |= {"parameters": f"{network.num_params():,}", "GFLOP/s": f"{flops / 1e9:.0f}"}
    return rows


def model(repeats: int) -> list[Row]:
    """Fit seconds per environment step, linear in FLOPs, to two sizes, and predict three others."""
    family, cell = envs.make("errands"), cell_of("errands")
    setups = {}
    for num_envs, width in ((512, 16), (512, 256), (512, 64), (128, 32), (1024, 128)):
        network = networks.make("relational", family, width=width)
        setup = replace(build_setup(cell), num_envs=num_envs, network=network)
        setups[f"{num_envs:,} environments, {width} wide"] = setup
    makes = {name: partial(_updates, setup, hyper_of(cell), None) for name, setup in setups.items()}
    _, rates = in_turn(makes, repeats)
    pace = {name: 1 / statistics.median(values) for name, values in rates.items()}  # seconds per environment step
    flops = {name: (1 + 3 * setup.epochs) * forward_flops(setup.network) for name, setup in setups.items()}
    small, large = list(setups)[:2]
    per_flop = (pace[large] - pace[small]) / (flops[large] - flops[small])
    fixed = pace[small] - per_flop * flops[small]
    rows = []
    for name in setups:
        predicted = fixed + per_flop * flops[name]
        row = {"": name, "kFLOP per step": f"{flops[name] / 1e3:,.0f}", "us per step": f"{1e6 * pace[name]:.2f}"}
        rows.append(
            row | {"predicted": f"{1e6 * predicted:.2f}", "predicted / measured": f"{predicted / pace[name]:.2f}"}
        )
    rows.append({"": f"{1e6 * fixed:.2f} us a step, plus one for {1 / per_flop / 1e9:.0f} GFLOP/s"})
    return rows


TABLES = {
    "Against the number of tasks: whole updates as shipped, learning rate 0": tasks,
    "Against the number of environments: random actions in errands": environments,
    "Against the number of specialists: incentivized, of 32 environments, side by side in one program": specialists,
    "Against the size of the network: whole updates of errands as shipped, every episode new": sizes,
    "A model of what a step costs, from the first two sizes": model,
}
