"""Evaluation of cells: blocks of tasks, instances, search, and counts of successes."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.agents import learner as lr
from incentivize.agents import networks
from incentivize.agents.evaluate import Successes, evaluate
from incentivize.agents.likelihood import expert_log_likelihood
from incentivize.agents.search import search_policy
from incentivize.envs.family import Family
from incentivize.envs.tasks import Pool, make_pool
from incentivize.experiments.cells import Cell
from incentivize.experiments.storage.schema import evaluated_blocks
from incentivize.experiments.training.pytrees import stack_trees


class EvaluationConfig(NamedTuple):
    """Sizes of an evaluation; static.

    Attributes:
        tasks: slots per block.
        instances: episodes per slot.
        specialists: tasks of the block "specialty", repeated over its slots; 0 evaluates no held-out tasks.
        simulations: model steps per decision; one evaluation for each number.
        attempts: episodes of which the best is counted too.
        likelihood: whether the log likelihood of the expert's actions is measured.
        shifts: shifted families with their networks; held-out tasks of each make one more block.
    """

    tasks: int
    instances: int
    specialists: int
    simulations: tuple[int, ...] = (0,)
    attempts: int = 1
    likelihood: bool = False
    shifts: tuple[tuple[Family, networks.Network], ...] = ()

    def blocks(self, simulations: int = 0) -> tuple[str, ...]:
        """Return the names of the blocks evaluated: with a search, which is costly, held-out tasks alone, if any."""
        if simulations and self.specialists:
            return ("unseen",)
        return evaluated_blocks(self.specialists)

    def attempts_with(self, simulations: int) -> int:
        """Return the number of attempts per instance; one with a search."""
        return 1 if simulations else self.attempts


def _blocks(pool: Pool, sizes: EvaluationConfig, simulations: int) -> list[Pool]:
    """Return the pool of each block. Held-out and validation tasks are the same for every cell of a family."""
    pools = {
        "seen": pool,
        "validation": make_pool(sizes.tasks, split="validation"),
        "unseen": make_pool(sizes.tasks, split="heldout"),
        "specialty": make_pool(max(sizes.specialists, 1), split="heldout"),
    }
    return [pools[block] for block in sizes.blocks(simulations)]


def _tasks(family: Family, pools: Sequence[Pool], sizes: EvaluationConfig) -> jax.Array:
    """Return the tasks' digits [blocks * tasks, D], of the task space's dtype."""
    slots = jnp.arange(sizes.tasks, dtype=jnp.uint32)
    digits = jax.vmap(lambda pool: jax.vmap(lambda slot: family.tasks.member(pool, slot))(slots))(stack_trees(pools))
    return digits.reshape(-1, digits.shape[-1])


def evaluation_key() -> jax.Array:
    """Return the key of every evaluation: all policies meet the same instances."""
    return jax.random.key(20_241_115)


Measure = Callable[[Any, Pool, lr.Hyper, jax.Array], tuple[Successes, ...]]
"""From parameters, pools, hyperparameters and a key to counts in the order of `blocks_by_family`.

Leaves are [lanes, blocks, tasks, ...]."""


def count_successes(
    setup: lr.Setup, sizes: EvaluationConfig, simulations: int, params: Any, pool: Pool, hyper: lr.Hyper, key: jax.Array
) -> tuple[Successes, ...]:
    """Count one agent's successes: for each of its families, then for each shift, leaves [blocks, tasks, ...]."""

    def count(family: Family, network: networks.Network, pools: Sequence[Pool], first: int = 0) -> Successes:
        tasks = _tasks(family, pools, sizes)
        valued = setup.algorithm.name == "ppo"  # a taught network's value is not trained
        policy = search_policy(family, network, params, simulations, gamma=hyper.gamma, values=valued)
        memory = network.initial_memory()
        attempts = sizes.attempts_with(simulations)
        counts = evaluate(family, policy, memory, tasks, key, sizes.instances, attempts, first, setup.mesh)
        if sizes.likelihood:
            total, decisions = expert_log_likelihood(family, policy, memory, tasks, key)
            counts = counts._replace(log_likelihood=total, decisions=decisions)
        return jax.tree.map(lambda leaf: leaf.reshape(len(pools), sizes.tasks, *leaf.shape[1:]), counts)

    pools = _blocks(pool, sizes, simulations)
    first = sizes.tasks * sizes.blocks().index(sizes.blocks(simulations)[0])  # the same instances as without a search
    members = tuple(count(member, setup.network, pools, first) for member in setup.family.members)
    heldout = [make_pool(sizes.tasks, split="heldout")]
    return members + tuple(count(family, network, heldout) for family, network in sizes.shifts)


def block_ordinals(cell: Cell, blocks: Sequence[str]) -> np.ndarray:
    """Return the ordinal of the task in each slot, within its split, int64 [blocks, tasks]."""
    slots = np.arange(cell.eval_tasks)
    seen = slots if cell.pool_size is None else cell.pool_first + slots % cell.pool_size
    ordinals = {"seen": seen, "specialty": slots % max(cell.eval_specialists, 1)}
    return np.stack([ordinals.get(block, slots) for block in blocks])


@lru_cache  # runs of one process may share settings
def scripted_success(family: Family, sizes: EvaluationConfig) -> tuple[tuple[int, np.ndarray], ...]:
    """Evaluate the family's scripted policies on held-out tasks.

    Returns:
        By policy, its number and its successes with drawn actions, int32 [tasks].
    """
    heldout = [make_pool(sizes.tasks, split="heldout")]
    state = jax.eval_shape(family.init, jax.random.key(0), family.tasks.heldout(0))
    count = jax.eval_shape(lambda state: family.scripted(family.observe(state)), state).shape[0]
    counts = [_play_scripted(family, sizes, script, heldout, evaluation_key()) for script in range(count)]
    return tuple((script, np.array(played.successes)) for script, played in enumerate(counts))


@partial(jax.jit, static_argnums=(0, 1))
def _play_scripted(
    family: Family, sizes: EvaluationConfig, script: int, pools: Sequence[Pool], key: jax.Array
) -> Successes:
    """Evaluate the scripted policy of number `script`, traced, on tasks of the pools."""

    def policy(state: Any, elapsed: jax.Array, memory: Any, key: jax.Array) -> tuple[jax.Array, Any]:
        # A policy that ignores its observation is a constant, which the compiler would take long to fold.
        return jnp.log(jax.lax.optimization_barrier(family.scripted(family.observe(state)))[script]), memory

    return evaluate(family, policy, (), _tasks(family, pools, sizes), key, sizes.instances)
