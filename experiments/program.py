"""Programs: cells that share shapes, compiled once and run several at a time under `vmap`."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import checkify

import envs
import rewards
from agents import cloning, networks, ppo
from agents import learner as lr
from agents.evaluate import Successes, evaluate
from agents.likelihood import likelihood
from agents.search import searching
from agents.teachers import TEACHERS
from envs.family import Family
from envs.mixture import Mixture
from envs.tasks import SPLITS, Pool, Split, make_pool
from experiments.cells import Cell, Knobs, variant
from experiments.settings import Training

Tree = TypeVar("Tree")

BLOCKS = ("seen", "validation", "unseen", "specialty")
"""Evaluated sets of tasks: the cell's pool; validation tasks; held-out tasks; the specialists' held-out tasks."""


def setup_of(cell: Cell) -> lr.Setup:
    """What fixes a cell's shapes and code; for an agent that is taught first, those of what comes after."""
    taught = cell.learner == "cloning"
    return _setup(cell, cloning.CLONING if taught else ppo.PPO, cell.teacher if taught else None)


def teaching_of(cell: Cell) -> lr.Setup | None:
    """The same for the teaching that comes before an agent is incentivized, if any does."""
    if cell.learner != "ppo" or cell.teacher is None:
        return None
    return _setup(cell, cloning.CLONING_WITH_VALUES, cell.teacher)


def _setup(cell: Cell, algorithm: lr.Algorithm, teacher: str | None) -> lr.Setup:
    family, training = family_of(cell), cell.training
    return lr.Setup(
        family=family,
        network=network_of(training, family),
        algorithm=algorithm,
        reward=rewards.make(training.reward),
        teacher=TEACHERS[teacher] if teacher else None,
        num_envs=training.num_envs,
        steps=training.rollout_steps,
        epochs=training.epochs,
        minibatches=training.minibatches,
    )


def family_of(cell: Cell) -> Family | Mixture:
    """What a cell's agent plays."""
    if len(cell.members) == 1:
        own: dict[str, Any] = dict(cell.knobs)
        return envs.make(cell.family, cell.control, cell.life, **own)
    knobs: dict[str, dict[str, Any]] = {member: {} for member in cell.members}
    for name, value in cell.knobs:
        member, _, knob = name.partition(".")
        knobs[member][knob] = value
    return Mixture(tuple(envs.make(name, cell.control, cell.life, **own) for name, own in knobs.items()))


def network_of(training: Training, family: Family | Mixture) -> networks.Network:
    """The network of a family's agents, or a mixture's.

    Raises:
        ValueError: where there is none of that kind, or none so small.
    """
    return networks.make(
        training.network,
        family,
        width=training.width,
        depth=training.depth,
        memory=training.memory,
        parameters=training.parameters or None,
    )


def hyper_of(cell: Cell) -> lr.Hyper:
    """A cell's traced hyperparameters."""
    values = {name: getattr(cell.training, name) for name in lr.Hyper._fields}
    if values["entropy_end"] is None:
        values["entropy_end"] = values["entropy"]
    return lr.Hyper(**{name: jnp.float32(value) for name, value in values.items()})


def pool_of(cell: Cell) -> Pool:
    """A cell's pool."""
    split: Split = next(name for name in SPLITS if name == cell.pool_split)
    return make_pool(cell.pool_size, seed=cell.pool_seed, split=split, first=cell.pool_first)


class Evaluation(NamedTuple):
    """Sizes of an evaluation; static."""

    tasks: int  # slots per block
    instances: int  # episodes per slot
    specialists: int  # tasks of the block "specialty", which share its slots in turn; 0: no held-out task is looked at
    simulations: tuple[int, ...] = (0,)
    attempts: int = 1
    likelihood: bool = False
    shifts: tuple[tuple[Family, networks.Network], ...] = ()  # held-out tasks of them are a block each

    def blocks(self, simulations: int = 0) -> tuple[str, ...]:
        """Those of BLOCKS that are evaluated: with a search, which costs much, held-out tasks alone if any are."""
        if simulations and self.specialists:
            return ("unseen",)
        return BLOCKS if self.specialists else ("seen", "validation")

    def attempts_with(self, simulations: int) -> int:
        """Episodes with drawn actions: one with a search, as the best of several is for agents without."""
        return 1 if simulations else self.attempts


def sizes_of(cell: Cell) -> Evaluation:
    """How a cell is evaluated."""
    return Evaluation(
        cell.eval_tasks,
        cell.eval_instances,
        cell.eval_specialists,
        cell.simulations,
        cell.attempts,
        cell.likelihood,
        tuple(_shifted(cell, knobs) for _, knobs in cell.shifts),
    )


def _shifted(cell: Cell, knobs: Knobs) -> tuple[Family, networks.Network]:
    """A cell's family with other knobs, and its network there.

    Raises:
        ValueError: where there is no such family, or its network is another.
    """
    all_knobs: dict[str, Any] = dict(cell.knobs) | dict(knobs)
    family = envs.make(cell.family, cell.control, cell.life, **all_knobs)
    own, there = (network_of(cell.training, one) for one in (family_of(cell), family))
    shapes = [jax.eval_shape(one.init, jax.random.key(0)) for one in (own, there)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"{variant(dict(knobs), 1)}: an agent of {cell.family} has another network there")
    return family, there


def looked_at(cell: Cell, simulations: int = 0) -> list[tuple[str, tuple[str, ...]]]:
    """What a cell's measures tell of, in order: families, and the splits of each."""
    return [(member, sizes_of(cell).blocks(simulations)) for member in cell.members] + [
        (cell.family, (name,)) for name, _ in cell.shifts
    ]


def most_counts(cell: Cell) -> int:
    """Tasks that a cell's evaluations count, at most."""
    sizes = sizes_of(cell)
    blocks = len(cell.members) * len(sizes.blocks()) + len(sizes.shifts)
    return len(cell.points) * len(cell.simulations) * blocks * sizes.tasks


def _blocks(pool: Pool, sizes: Evaluation, simulations: int) -> list[Pool]:
    """The pool of each block. Held-out and validation tasks are the same for every cell of a family."""
    pools = {
        "seen": pool,
        "validation": make_pool(sizes.tasks, split="validation"),
        "unseen": make_pool(sizes.tasks, split="heldout"),
        "specialty": make_pool(sizes.specialists, split="heldout"),
    }
    return [pools[block] for block in sizes.blocks(simulations)]


def _tasks(family: Family, pools: Sequence[Pool], sizes: Evaluation) -> jax.Array:
    """Digits [blocks * tasks, D]."""
    slots = jnp.arange(sizes.tasks, dtype=jnp.uint32)
    digits = jax.vmap(lambda pool: jax.vmap(lambda slot: family.tasks.member(pool, slot))(slots))(stack(pools))
    return digits.reshape(-1, digits.shape[-1])


def evaluation_key() -> jax.Array:
    """The key of every evaluation: all policies meet the same instances."""
    return jax.random.key(20_241_115)


Train = Callable[[lr.TrainState, lr.Hyper, Pool, jax.Array], tuple[lr.TrainState, lr.Metrics]]  # ..., updates []


Measure = Callable[[Any, Pool, lr.Hyper, jax.Array], tuple[Successes, ...]]
"""From parameters, pools, hyperparameters and a key to what is counted, as `looked_at` says: [cells, blocks, tasks]."""


class Program(NamedTuple):
    """The compiled functions of one `Setup`, for a fixed number of cells: the leading axis of all leaves."""

    setup: lr.Setup
    lanes: int
    begin: Callable[[Pool, jax.Array, lr.Hyper], lr.TrainState]  # pools, seeds, hyperparameters
    teach: Train | None  # before training, where an agent is taught first
    train: Train
    measures: dict[int, Measure]  # by simulations
    counted: dict[int, Any]  # likewise, shapes and types of what they return


def compile_program(
    setup: lr.Setup, teaching: lr.Setup | None, sizes: Evaluation, lanes: int, checked: bool = False
) -> Program:
    """Compiles all functions, ahead of their use; where `checked`, training stops where a number first is none."""

    def measure(simulations: int, params, pool, hyper, key) -> tuple[Successes, ...]:
        told = partial(measured, simulations, params, hyper, key)
        pools = _blocks(pool, sizes, simulations)
        first = sizes.tasks * sizes.blocks().index(sizes.blocks(simulations)[0])  # the same instances as without
        own = tuple(told(member, setup.network, pools, first) for member in setup.family.members)
        heldout = [make_pool(sizes.tasks, split="heldout")]
        return own + tuple(told(family, network, heldout) for family, network in sizes.shifts)

    def measured(
        simulations: int, params, hyper, key, family: Family, network, pools: Sequence[Pool], first: int = 0
    ) -> Successes:
        tasks = _tasks(family, pools, sizes)
        valued = setup.algorithm.name == "ppo"  # a taught network's value is nothing to go by
        policy = searching(family, network, params, simulations, gamma=hyper.gamma, values=valued)
        memory = network.initial_memory()
        attempts = sizes.attempts_with(simulations)
        found = evaluate(family, policy, memory, tasks, key, sizes.instances, attempts, first)
        if sizes.likelihood:
            total, decisions = likelihood(family, policy, memory, tasks, key)
            found = found._replace(log_likelihood=total, decisions=decisions)
        return jax.tree.map(lambda leaf: leaf.reshape(len(pools), sizes.tasks, *leaf.shape[1:]), found)

    begin = jax.jit(jax.vmap(partial(lr.begin, teaching or setup)))
    pools = stack([make_pool(1)] * lanes)
    hyper = stack([lr.Hyper(*map(jnp.float32, lr.Hyper()))] * lanes)
    seeds = jnp.zeros(lanes, jnp.uint32)
    state = jax.eval_shape(begin, pools, seeds, hyper)

    def trainer(setup: lr.Setup) -> Train:
        if checked:
            return _checked(setup)
        train = jax.jit(jax.vmap(partial(lr.train, setup), in_axes=(0, 0, 0, None)), donate_argnums=0)
        return train.lower(state, hyper, pools, jnp.int32(1)).compile()

    def measurer(simulations: int) -> Any:
        score = jax.jit(jax.vmap(partial(measure, simulations), in_axes=(0, 0, 0, None)))
        return score.lower(state.params, pools, hyper, evaluation_key())

    # What runs seldom need not be quick: less optimisation saves some 2 s per program, of 17.
    seldom: Any = {"xla_backend_optimization_level": 2} if jax.default_backend() == "cpu" else None
    lowered = {simulations: measurer(simulations) for simulations in sizes.simulations}
    return Program(
        setup=setup,
        lanes=lanes,
        begin=begin.lower(pools, seeds, hyper).compile(seldom),
        teach=trainer(teaching) if teaching else None,
        train=trainer(setup),
        measures={simulations: one.compile(seldom) for simulations, one in lowered.items()},
        counted={simulations: one.out_info for simulations, one in lowered.items()},
    )


def _checked(setup: lr.Setup) -> Train:
    """Training that raises where the first NaN comes from, one cell after the other: checks know no `vmap` of loops."""
    one = jax.jit(checkify.checkify(partial(lr.train, setup), errors=checkify.nan_checks))

    def train(
        state: lr.TrainState, hyper: lr.Hyper, pools: Pool, updates: jax.Array
    ) -> tuple[lr.TrainState, lr.Metrics]:
        done = []
        for lane in range(len(hyper.gamma)):
            error, result = one(*jax.tree.map(lambda leaf, lane=lane: leaf[lane], (state, hyper, pools)), updates)
            error.throw()
            done.append(result)
        return stack(done)

    return train


def stack(trees: Sequence[Tree]) -> Tree:
    """Trees of the same structure as one, with a new leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def block_ordinals(cell: Cell, splits: Sequence[str]) -> np.ndarray:
    """Which task of its split sits in each slot, int64 [splits, tasks]; shifts are of held-out tasks."""
    slots = np.arange(cell.eval_tasks)
    seen = slots if cell.pool_size is None else cell.pool_first + slots % cell.pool_size
    own = {"seen": seen, "specialty": slots % max(cell.eval_specialists, 1)}
    return np.stack([own.get(split, slots) for split in splits])


def scripted_success(family: Family, sizes: Evaluation) -> list[tuple[int, np.ndarray]]:
    """Successes of the family's scripted policies on held-out tasks: per policy, sampled, int [tasks]."""
    tasks = _tasks(family, [make_pool(sizes.tasks, split="heldout")], sizes)

    @jax.jit
    def measure(which, tasks, key):
        def policy(state, elapsed, memory, key):
            # A policy that heeds nothing is a constant, which the compiler would evaluate itself, at length.
            return jnp.log(jax.lax.optimization_barrier(family.scripted(family.observe(state)))[which]), memory

        return evaluate(family, policy, (), tasks, key, sizes.instances)

    state = jax.eval_shape(family.init, jax.random.key(0), tasks[0])
    count = jax.eval_shape(lambda state: family.scripted(family.observe(state)), state).shape[0]
    return [(which, np.array(measure(which, tasks, evaluation_key()).sampled)) for which in range(count)]
