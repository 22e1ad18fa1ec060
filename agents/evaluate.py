"""Evaluation: how often a policy succeeds on given tasks, one start per instance, nothing learnt."""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from agents.memories import Memory
from agents.networks import Network, Params
from envs.family import Family, State


class Policy(Protocol):
    """A policy of one environment. It may think before it acts: the state is there to be observed, or searched from.

    Args:
        state: where the episode stands.
        elapsed: steps taken before this one in the episode, int32 [].
        memory: from the step before.
        key: for what is drawn while thinking, not for the action; consumed.

    Returns:
        Logits float32 [A], and the memory after this step.
    """

    def __call__(
        self, state: State, elapsed: jax.Array, memory: Memory, key: jax.Array
    ) -> tuple[jax.Array, Memory]: ...


class Successes(NamedTuple):
    """What became of the instances of each of n tasks: counts and sums, int32 [n] each."""

    greedy: jax.Array  # instances solved by the most probable actions
    sampled: jax.Array  # by drawn actions, at the first attempt
    best: jax.Array  # by drawn actions, at one attempt at least
    steps: jax.Array  # taken in the episodes that `sampled` counts
    expert_steps: jax.Array  # that the expert takes from the starts of the same episodes


def policy_of(family: Family, network: Network, params: Params) -> Policy:
    """The policy of a trained network, which acts on what it observes without further thought."""

    def policy(state: State, elapsed: jax.Array, memory: Memory, key: jax.Array) -> tuple[jax.Array, Memory]:
        logits, _, memory = network.apply(params, family.observe(state), memory)
        return logits, memory

    return policy


def evaluate(
    family: Family,
    policy: Policy,
    initial_memory: Memory,
    tasks: jax.Array,
    key: jax.Array,
    instances: int,
    attempts: int = 1,
) -> Successes:
    """Successes per task.

    The starting states depend on `key` and on a task's place in `tasks` alone: policies evaluated with the same key and
    tasks meet the same instances, greedy and sampled ones too. The first attempt is the same however many follow.

    Args:
        family: the dynamics.
        policy: unbatched.
        initial_memory: at the start of every episode: nothing is carried from one attempt to the next.
        tasks: digits [n, D].
        key: consumed.
        instances: starting states per task.
        attempts: episodes per instance with drawn actions, at least 1. One more is played with the most probable ones.
    """
    key_start, key_act = jax.random.split(key)
    starts = jax.random.split(key_start, (tasks.shape[0], instances))
    states = jax.vmap(jax.vmap(family.init, in_axes=(0, None)))(starts, tasks)
    lanes = (1 + attempts, tasks.shape[0], instances)  # greedy, then the attempts, side by side in one program
    episodes = lanes[0] * lanes[1] * lanes[2]

    def spread(leaf, own):
        return jnp.broadcast_to(leaf, lanes + own).reshape(episodes, *own)

    memory = jax.tree.map(lambda leaf: spread(leaf, leaf.shape), initial_memory)
    greedy = jnp.arange(episodes) < lanes[1] * lanes[2]
    played = _play(
        family, policy, jax.tree.map(lambda leaf: spread(leaf, leaf.shape[2:]), states), memory, greedy, key_act
    )
    succeeded, steps = (leaf.reshape(lanes) for leaf in played)
    found = Successes(
        greedy=succeeded[0],
        sampled=succeeded[1],
        best=succeeded[1:].any(0),
        steps=jnp.where(succeeded[1], steps[1], 0),
        expert_steps=jnp.where(succeeded[1], jax.vmap(jax.vmap(family.distance))(states), 0),
    )
    return Successes(*(leaf.sum(-1, dtype=jnp.int32) for leaf in found))


def _play(
    family: Family, policy: Policy, states: State, memory: Memory, greedy: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Episodes from given states to their end: whether they succeeded, bool [episodes], and their steps, int32.

    `greedy`, bool [episodes], says in which of them the most probable actions are taken.
    """
    episodes = len(greedy)

    def step(carry, now):
        states, memory, running, succeeded, steps = carry
        elapsed, key = now
        key_act, key_step, key_think = jax.random.split(key, 3)
        think = jax.vmap(policy, in_axes=(0, None, 0, 0))
        logits, memory = think(states, elapsed, memory, jax.random.split(key_think, episodes))
        action = jnp.where(greedy, jnp.argmax(logits, -1), jax.random.categorical(key_act, logits))
        states, outcome = jax.vmap(family.step)(states, action, jax.random.split(key_step, episodes))
        succeeded, steps = succeeded | (running & outcome.succeeded), steps + running
        return (states, memory, running & ~outcome.over, succeeded, steps), None

    start = (states, memory, jnp.ones(episodes, bool), jnp.zeros(episodes, bool), jnp.zeros(episodes, jnp.int32))
    now = (jnp.arange(family.horizon), jax.random.split(key, family.horizon))
    (_, _, _, succeeded, steps), _ = jax.lax.scan(step, start, now)
    return succeeded, steps
