"""Compiled programs of groups: cells that share shapes run side by side under `vmap`."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import checkify

from incentivize.agents import learner as lr
from incentivize.envs.tasks import Pool, make_pool
from incentivize.experiments.runtime import jax_settings
from incentivize.experiments.training.evaluation import EvaluationConfig, Measure, count_successes, evaluation_key
from incentivize.experiments.training.pytrees import stack_trees

LEVEL = "xla_backend_optimization_level"

Train = Callable[[lr.TrainState, lr.Hyper, Pool, jax.Array], tuple[lr.TrainState, lr.Metrics]]  # ..., updates []


class CompiledGroup(NamedTuple):
    """The compiled functions of one setup. All leaves of their trees have the leading axis [lanes].

    Attributes:
        setup: the setup of the training proper.
        lanes: number of cells that run side by side.
        init: from pools, seeds and hyperparameters to a new state.
        warm_start: a teacher's training before the training proper; None for none.
        train: the training proper.
        measures: evaluations by their simulations per decision.
        count_shapes: shapes and dtypes of the trees that `measures` return, by simulations per decision.
    """

    setup: lr.Setup
    lanes: int
    init: Callable[[Pool, jax.Array, lr.Hyper], lr.TrainState]
    warm_start: Train | None
    train: Train
    measures: dict[int, Measure]
    count_shapes: dict[int, Any]


def compile_program(
    setup: lr.Setup, teaching: lr.Setup | None, sizes: EvaluationConfig, lanes: int, checkify: bool = False
) -> CompiledGroup:
    """Compile all functions of a group, ahead of their use.

    Args:
        setup: the setup of the training proper.
        teaching: the setup of the warm start; None for none.
        sizes: sizes of every evaluation.
        lanes: number of cells that run side by side.
        checkify: whether training raises an error at the first NaN.
    """
    seldom = _options_of_seldom_programs()
    pools = stack_trees([make_pool(1)] * lanes)
    hyper = stack_trees([lr.Hyper(*map(jnp.float32, lr.Hyper()))] * lanes)
    seeds = jnp.zeros(lanes, jnp.uint32)
    beginning = jax.jit(jax.vmap(partial(lr.init, teaching or setup)))
    begin, spread = beginning.lower(pools, seeds, hyper).compile(seldom), None
    state = jax.eval_shape(beginning, pools, seeds, hyper)
    if setup.mesh is not None:  # sharded arrays stay where they are from one call to the next
        spread = begin.output_shardings
        state = jax.tree.map(
            lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), state, spread
        )

    def trainer(setup: lr.Setup) -> Train:
        if checkify:
            return _train_with_checkify(setup)
        train = jax.vmap(partial(lr.train, setup), in_axes=(0, 0, 0, None))
        jitted = jax.jit(train, donate_argnums=0, out_shardings=spread and (spread, None))
        return jitted.lower(state, hyper, pools, jnp.int32(1)).compile()

    def measurer(simulations: int) -> Any:
        score = jax.jit(jax.vmap(partial(count_successes, setup, sizes, simulations), in_axes=(0, 0, 0, None)))
        return score.lower(state.params, pools, hyper, evaluation_key())

    lowered = {simulations: measurer(simulations) for simulations in sizes.simulations}
    return CompiledGroup(
        setup=setup,
        lanes=lanes,
        init=begin,
        warm_start=trainer(teaching) if teaching else None,
        train=trainer(setup),
        measures={simulations: program.compile(seldom) for simulations, program in lowered.items()},
        count_shapes={simulations: program.out_info for simulations, program in lowered.items()},
    )


def _options_of_seldom_programs() -> Any:
    """Return options of the compiler for programs that run seldom and need not be fast.

    Less optimisation saves some 2 s of 17 per program on a CPU. A level that somebody asks for stays.
    """
    asked = f"--{LEVEL}=" in jax_settings.spell_out(os.environ.get("XLA_FLAGS", ""))
    return {LEVEL: 2} if jax.default_backend() == "cpu" and not asked else None


def _train_with_checkify(setup: lr.Setup) -> Train:
    """Return training that raises an error at the first NaN. Cells run in turn: checkify has no `vmap` of loops."""
    train_one = jax.jit(checkify.checkify(partial(lr.train, setup), errors=checkify.nan_checks))

    def train(
        state: lr.TrainState, hyper: lr.Hyper, pools: Pool, updates: jax.Array
    ) -> tuple[lr.TrainState, lr.Metrics]:
        done = []
        for lane in range(len(hyper.gamma)):
            error, result = train_one(*jax.tree.map(lambda leaf, lane=lane: leaf[lane], (state, hyper, pools)), updates)
            error.throw()
            done.append(result)
        return stack_trees(done)

    return train
