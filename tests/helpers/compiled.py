"""Functions of learners, networks and evaluation, compiled once for all tests of a process.

What is no array is static: equal setups, networks and families share a program, wherever they are made.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp

from incentivize.agents import evaluate as ev
from incentivize.agents import learner as lr
from incentivize.agents.networks import Network
from incentivize.envs.family import Family
from incentivize.envs.tasks import make_pool
from incentivize.experiments.training import evaluation

HYPER = jax.device_get(lr.Hyper(*map(jnp.float32, lr.Hyper())))
POOL = jax.device_get(make_pool(None))

init = jax.jit(lr.init, static_argnums=0)
train = jax.jit(lr.train, static_argnums=0)
collect = jax.jit(lr.collect, static_argnums=0)
parameters = jax.jit(Network.init, static_argnums=0)
apply = jax.jit(Network.apply, static_argnums=0)
unroll = jax.jit(Network.unroll, static_argnums=0)
evaluate = jax.jit(ev.evaluate, static_argnums=(0, 1, 5, 6, 7, 8))


@cache
def family_method(family: Family, method: str) -> Callable[..., Any]:
    """Return a method of a family, compiled; equal families share it."""
    return jax.jit(getattr(family, method))


def hyper(**own: float) -> lr.Hyper:
    """Return hyperparameters as float32 scalars, so that no type differs from call to call."""
    return jax.device_get(lr.Hyper(*map(jnp.float32, lr.Hyper(**own))))


@partial(jax.jit, static_argnums=(0, 1, 5))
def evaluate_network(family, network, params, tasks, key, instances) -> ev.Successes:
    """Count the successes of a network on tasks, as `evaluate` does."""
    policy = ev.policy_of(family, network, params)
    return ev.evaluate(family, policy, network.initial_memory(), tasks, key, instances)


@partial(jax.jit, static_argnums=(0, 1))
def tasks_of_blocks(family, sizes, pools) -> jax.Array:
    """Return the digits of the tasks of all evaluated blocks."""
    return evaluation._tasks(family, pools, sizes)


@partial(jax.jit, static_argnums=0)
def first_rollout(setup, pool, seed, hyper) -> tuple[lr.TrainState, lr.Rollout]:
    """Return a fresh run and its first rollout."""
    state = lr.init(setup, pool, seed)
    return state, lr.collect(setup, state, pool, state.key, hyper)[1]
