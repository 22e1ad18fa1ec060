"""Evaluation: successes of a policy on given tasks, from given starting states, without learning."""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from incentivize.agents.memories import Memory
from incentivize.agents.networks import Network, Params
from incentivize.agents.sharding import shard
from incentivize.envs.family import Family, State


class Policy(Protocol):
    """A policy of one environment, which may observe the state or search from it.

    Args:
        state: the episode's state.
        elapsed: steps taken before this one in the episode, int32 [].
        memory: the policy's memory after the step before.
        key: a key for random numbers of the policy's own, not for the action; consumed.

    Returns:
        Logits, float32 [A], and the memory after this step.
    """

    def __call__(
        self, state: State, elapsed: jax.Array, memory: Memory, key: jax.Array
    ) -> tuple[jax.Array, Memory]: ...


class Successes(NamedTuple):
    """Counts and sums over the instances of each of n tasks, int32 [n] unless another shape or dtype is stated.

    If an episode is a life of several attempts at its task, all but `by_attempt` are of its last attempt.

    Attributes:
        successes_greedy: instances solved by always taking the most probable action.
        successes: instances solved by sampled actions, in the first episode of each instance.
        successes_best: instances solved by sampled actions, in at least one episode of each instance.
        steps: steps taken, summed over the attempts that `successes` counts.
        expert_steps: steps the expert takes from the starting states of the attempts that `successes` counts, summed.
        by_attempt: int32 [n, attempts of a life]: `successes` of each attempt; the last column is `successes`.
        log_likelihood: float32 [n], nats: log-probability of the expert's actions, summed over decisions; 0 unless
            filled in from `incentivize.agents.likelihood`.
        decisions: the number of decisions that `log_likelihood` sums over.
    """

    successes_greedy: jax.Array
    successes: jax.Array
    successes_best: jax.Array
    steps: jax.Array
    expert_steps: jax.Array
    by_attempt: jax.Array
    log_likelihood: jax.Array
    decisions: jax.Array


def policy_of(family: Family, network: Network, params: Params) -> Policy:
    """Return the policy of a trained network, which acts on its observation without search."""

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
    first: int = 0,
    mesh: Mesh | None = None,
) -> Successes:
    """Count the successes of a policy on each of n tasks.

    The starting states depend only on `key` and a task's place in `tasks`. So all policies evaluated with the same key
    and tasks meet the same instances, with greedy and with sampled actions. The first episode is the same for any
    number of `attempts`.

    Args:
        family: the dynamics.
        policy: the policy, unbatched.
        initial_memory: the policy's memory at the start of every episode.
        tasks: digits of the tasks, integers [n, D].
        key: a key for starting states, actions and steps; consumed.
        instances: starting states per task.
        attempts: episodes per instance with sampled actions, at least 1. One more is played with greedy actions.
        first: the number of tasks left out before `tasks`: the rest meet the instances that they meet in the full list.
        mesh: devices that divide the episodes among them. None: one device plays them all.

    Returns:
        Counts and sums per task, [n] and [n, attempts of a life].
    """
    key_start, key_act = jax.random.split(key)
    keys = jax.random.split(key_start, (first + tasks.shape[0], instances))[first:]
    starts = jax.vmap(jax.vmap(family.init, in_axes=(0, None)))(keys, tasks)
    lanes = (1 + attempts, tasks.shape[0], instances)  # greedy, then sampled, side by side in one program
    episodes = lanes[0] * lanes[1] * lanes[2]

    def repeat(leaf, shape):
        return jnp.broadcast_to(leaf, lanes + shape).reshape(episodes, *shape)

    memory = jax.tree.map(lambda leaf: repeat(leaf, leaf.shape), initial_memory)
    states = jax.tree.map(lambda leaf: repeat(leaf, leaf.shape[2:]), starts)
    greedy = jnp.arange(episodes) < lanes[1] * lanes[2]
    results = _play(family, policy, *shard(mesh, (states, memory, greedy)), key_act)
    by_attempt, steps = (leaf.reshape(lanes + leaf.shape[1:]) for leaf in results)
    zeros = jnp.zeros(lanes[1:], jnp.int32)
    succeeded, last = by_attempt[..., -1], jax.vmap(jax.vmap(family.last_attempt))(starts)
    counts = Successes(
        successes_greedy=succeeded[0],
        successes=succeeded[1],
        successes_best=succeeded[1:].any(0),
        steps=jnp.where(succeeded[1], steps[1], 0),
        expert_steps=jnp.where(succeeded[1], jax.vmap(jax.vmap(family.distance))(last), 0),
        by_attempt=by_attempt[1],
        log_likelihood=zeros.astype(jnp.float32),
        decisions=zeros,
    )
    return jax.tree.map(lambda leaf: leaf.sum(1, dtype=jnp.promote_types(leaf.dtype, jnp.int32)), counts)


def _play(
    family: Family, policy: Policy, states: State, memory: Memory, greedy: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Play one episode from each of the given states to its end.

    Args:
        family: the dynamics.
        policy: the policy, unbatched.
        states: starting states, leaves [episodes, ...].
        memory: the policy's memories at the start, leaves [episodes, ...].
        greedy: bool [episodes]: whether to take the most probable actions, not sampled ones.
        key: a key for actions and steps; consumed.

    Returns:
        Whether each attempt succeeded, bool [episodes, attempts of a life], and the steps of each episode's last
        attempt, int32 [episodes].
    """
    episodes, attempts = len(greedy), jnp.arange(family.attempts)

    def step(carry, inputs):
        states, memory, running, succeeded, steps = carry
        elapsed, key = inputs
        key_act, key_step, key_think = jax.random.split(key, 3)
        think = jax.vmap(policy, in_axes=(0, None, 0, 0))
        logits, memory = think(states, elapsed, memory, jax.random.split(key_think, episodes))
        action = jnp.where(greedy, jnp.argmax(logits, -1), jax.random.categorical(key_act, logits))
        current = running[:, None] & (jax.vmap(family.attempt)(states)[:, None] == attempts)
        states, outcome = jax.vmap(family.step)(states, action, jax.random.split(key_step, episodes))
        succeeded, steps = succeeded | (current & outcome.succeeded[:, None]), steps + current[:, -1]
        return (states, memory, running & ~outcome.ends_episode, succeeded, steps), None

    failed, no_steps = jnp.zeros((episodes, family.attempts), bool), jnp.zeros(episodes, jnp.int32)
    start = (states, memory, jnp.ones(episodes, bool), failed, no_steps)
    inputs = (jnp.arange(family.horizon), jax.random.split(key, family.horizon))
    (_, _, _, succeeded, steps), _ = jax.lax.scan(step, start, inputs)
    return succeeded, steps
