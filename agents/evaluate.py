"""Evaluation: how often a policy succeeds on given tasks, one episode per instance, nothing learnt."""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from agents.networks import Memory, Network, Params
from envs.family import Family, Observation


class Policy(Protocol):
    """A policy of one environment: logits float32 [A] and the memory after this step."""

    def __call__(self, observation: Observation, memory: Memory) -> tuple[jax.Array, Memory]: ...


class Successes(NamedTuple):
    """Episodes that succeeded, int32 [n] for n tasks: with the most probable action, and with one drawn."""

    greedy: jax.Array
    sampled: jax.Array


def policy_of(network: Network, params: Params) -> Policy:
    """The policy of a trained network."""

    def policy(observation: Observation, memory: Memory) -> tuple[jax.Array, Memory]:
        logits, _, memory = network.apply(params, observation, memory)
        return logits, memory

    return policy


def evaluate(
    family: Family, policy: Policy, initial_memory: Memory, tasks: jax.Array, key: jax.Array, instances: int
) -> Successes:
    """Successes per task.

    The starting states depend on `key` and on a task's place in `tasks` alone: policies evaluated with the same key and
    tasks meet the same instances, greedy and sampled ones too.

    Args:
        family: the dynamics.
        policy: unbatched.
        initial_memory: at the start of every episode.
        tasks: digits [n, D].
        key: consumed.
        instances: episodes per task.
    """
    key_start, key_act = jax.random.split(key)
    starts = jax.random.split(key_start, (tasks.shape[0], instances))
    states = jax.vmap(jax.vmap(family.init, in_axes=(0, None)))(starts, tasks)
    lanes = (2, tasks.shape[0], instances)  # greedy and sampled side by side, in one program
    episodes = 2 * tasks.shape[0] * instances

    def spread(leaf, own):
        return jnp.broadcast_to(leaf, lanes + own).reshape(episodes, *own)

    states = jax.tree.map(lambda leaf: spread(leaf, leaf.shape[2:]), states)
    memory = jax.tree.map(lambda leaf: spread(leaf, leaf.shape), initial_memory)
    greedy = jnp.arange(episodes) < episodes // 2

    def step(carry, key):
        states, memory, running, succeeded = carry
        key_act, key_step = jax.random.split(key)
        logits, memory = jax.vmap(policy)(jax.vmap(family.observe)(states), memory)
        action = jnp.where(greedy, jnp.argmax(logits, -1), jax.random.categorical(key_act, logits))
        states, outcome = jax.vmap(family.step)(states, action, jax.random.split(key_step, episodes))
        succeeded = succeeded | (running & outcome.succeeded)
        return (states, memory, running & ~outcome.succeeded & ~outcome.failed, succeeded), None

    start = (states, memory, jnp.ones(episodes, bool), jnp.zeros(episodes, bool))
    (_, _, _, succeeded), _ = jax.lax.scan(step, start, jax.random.split(key_act, family.horizon))
    return Successes(*succeeded.reshape(lanes).sum(-1, dtype=jnp.int32))
