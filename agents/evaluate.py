"""Evaluation: how often a policy succeeds on given tasks, one start per instance, nothing learnt."""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from incentivize.agents.memories import Memory
from incentivize.agents.networks import Network, Params
from incentivize.agents.sharding import shard
from incentivize.envs.family import Family, State


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
    """What became of the instances of each of n tasks: counts and sums, int32 [n] each unless said otherwise.

    Where an episode is a life of several attempts at its task, they are of the last of them.
    """

    successes_greedy: jax.Array  # instances solved by the most probable actions
    successes: jax.Array  # by drawn actions, in the first episode
    successes_best: jax.Array  # by drawn actions, in one episode at least
    steps: jax.Array  # taken in the attempts that `sampled` counts
    expert_steps: jax.Array  # that the expert takes from the starts of the same
    by_attempt: jax.Array  # int32 [n, attempts of a life]: as `sampled`, of each attempt; the last column is `sampled`
    log_likelihood: jax.Array  # float32 [n]: see `incentivize.agents.likelihood`; 0 unless it was asked for
    decisions: jax.Array  # that it is the sum over


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
    first: int = 0,
    mesh: Mesh | None = None,
) -> Successes:
    """Successes per task.

    The starting states depend on `key` and on a task's place in `tasks` alone: policies evaluated with the same key and
    tasks meet the same instances, greedy and sampled ones too. The first episode is the same however many follow.

    Args:
        family: the dynamics.
        policy: unbatched.
        initial_memory: at the start of every episode: nothing is carried from one to the next.
        tasks: digits [n, D].
        key: consumed.
        instances: starting states per task.
        attempts: episodes per instance with drawn actions, at least 1. One more is played with the most probable ones.
        first: the place of the first task, where those before it are left out.
        mesh: devices that divide the episodes among them, if there are any.
    """
    key_start, key_act = jax.random.split(key)
    starts = jax.random.split(key_start, (first + tasks.shape[0], instances))[first:]
    states = jax.vmap(jax.vmap(family.init, in_axes=(0, None)))(starts, tasks)
    lanes = (1 + attempts, tasks.shape[0], instances)  # greedy, then drawn, side by side in one program
    episodes = lanes[0] * lanes[1] * lanes[2]

    def every(leaf, own):
        return jnp.broadcast_to(leaf, lanes + own).reshape(episodes, *own)

    memory = jax.tree.map(lambda leaf: every(leaf, leaf.shape), initial_memory)
    begun = jax.tree.map(lambda leaf: every(leaf, leaf.shape[2:]), states)
    greedy = jnp.arange(episodes) < lanes[1] * lanes[2]
    played = _play(family, policy, *shard(mesh, (begun, memory, greedy)), key_act)
    by_attempt, steps = (leaf.reshape(lanes + leaf.shape[1:]) for leaf in played)
    no_episodes = jnp.zeros(lanes[1:], jnp.int32)
    succeeded, last = by_attempt[..., -1], jax.vmap(jax.vmap(family.last_attempt))(states)
    found = Successes(
        successes_greedy=succeeded[0],
        successes=succeeded[1],
        successes_best=succeeded[1:].any(0),
        steps=jnp.where(succeeded[1], steps[1], 0),
        expert_steps=jnp.where(succeeded[1], jax.vmap(jax.vmap(family.distance))(last), 0),
        by_attempt=by_attempt[1],
        log_likelihood=no_episodes.astype(jnp.float32),
        decisions=no_episodes,
    )
    return jax.tree.map(lambda leaf: leaf.sum(1, dtype=jnp.promote_types(leaf.dtype, jnp.int32)), found)


def _play(
    family: Family, policy: Policy, states: State, memory: Memory, greedy: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Episodes from given states to their end.

    `greedy`, bool [episodes], says in which of them the most probable actions are taken.

    Returns:
        Which attempts succeeded, bool [episodes, attempts of a life], and the steps of the last, int32 [episodes].
    """
    episodes, attempts = len(greedy), jnp.arange(family.attempts)

    def step(carry, now):
        states, memory, running, succeeded, steps = carry
        elapsed, key = now
        key_act, key_step, key_think = jax.random.split(key, 3)
        think = jax.vmap(policy, in_axes=(0, None, 0, 0))
        logits, memory = think(states, elapsed, memory, jax.random.split(key_think, episodes))
        action = jnp.where(greedy, jnp.argmax(logits, -1), jax.random.categorical(key_act, logits))
        here = running[:, None] & (jax.vmap(family.attempt)(states)[:, None] == attempts)
        states, outcome = jax.vmap(family.step)(states, action, jax.random.split(key_step, episodes))
        succeeded, steps = succeeded | (here & outcome.succeeded[:, None]), steps + here[:, -1]
        return (states, memory, running & ~outcome.ends_episode, succeeded, steps), None

    failed, no_steps = jnp.zeros((episodes, family.attempts), bool), jnp.zeros(episodes, jnp.int32)
    start = (states, memory, jnp.ones(episodes, bool), failed, no_steps)
    now = (jnp.arange(family.horizon), jax.random.split(key, family.horizon))
    (_, _, _, succeeded, steps), _ = jax.lax.scan(step, start, now)
    return succeeded, steps
