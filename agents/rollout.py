"""Rollouts: T steps of N environments with one policy acting.

Time indices are written out, because `done` has three meanings in this field. `reset_before[t]` says that step t is the
first of an episode; `terminated_after[t]` and `truncated_after[t]` say that it is the last.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from incentivize.agents.hyperparameters import Hyper
from incentivize.agents.memories import Memory
from incentivize.agents.networks import Network, Params
from incentivize.agents.teachers import Teacher
from incentivize.envs import episodes as ep
from incentivize.envs.family import Family, Observation, State
from incentivize.rewards import Incentive, Transition


class Rollout(NamedTuple):
    """T steps of N environments.

    Attributes:
        observation: observations before the steps, leaves [T, N, ...].
        action: actions taken, int32 [T, N].
        log_prob: log-probabilities of the actions under the network's policy, float32 [T, N].
        value: values of the observations before the steps, float32 [T, N].
        next_value: values of the observations after the steps, float32 [T, N]: 0 after termination, the final
            observation's value after truncation. () until the whole rollout is collected.
        reward: rewards of the steps, float32 [T, N].
        reset_before: whether the step is its episode's first, bool [T, N].
        terminated_after: whether the step's outcome ended the episode, bool [T, N].
        truncated_after: whether the time limit ended the episode after the step, bool [T, N].
        succeeded: whether the step brought success, bool [T, N].
        labels: the teacher's action probabilities, float32 [T, N, A]; () without a teacher.
    """

    observation: Observation
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    next_value: Any
    reward: jax.Array
    reset_before: jax.Array
    terminated_after: jax.Array
    truncated_after: jax.Array
    succeeded: jax.Array
    labels: Any


class ActorState(NamedTuple):
    """N environments between two rollouts.

    Attributes:
        episodes: the episodes under way, leaves [N, ...].
        bank: starting states for the episodes to come.
        memory: the network's memories after the last step, leaves [N, ...].
        reset_before: whether the next step is the first of an episode, bool [N].
    """

    episodes: ep.Episodes
    bank: ep.StartBank
    memory: Memory
    reset_before: jax.Array


@dataclass(frozen=True)
class ActorConfig:
    """The static part of a rollout, hashed by `jit`.

    Attributes:
        family: the dynamics.
        network: the policy and the value function.
        reward: the incentive that pays for steps.
        teacher: the source of labels. None: no labels, and the network acts.
    """

    family: Family
    network: Network
    reward: Incentive
    teacher: Teacher | None = None


def init(config: ActorConfig, draw: ep.StartSampler, key: jax.Array, num_envs: int, steps: int) -> ActorState:
    """Start `num_envs` (N) fresh environments, with an empty bank of the size that rollouts of `steps` need.

    Args:
        config: the dynamics and the network.
        draw: sampler of starting states, unbatched.
        key: a key for starting states; consumed.
        num_envs: N, environments stepped in parallel.
        steps: T, steps of each environment per rollout.

    Returns:
        The environments before their first step, leaves [N, ...].
    """
    memory = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (num_envs, *leaf.shape)), config.network.initial_memory())
    return ActorState(
        episodes=ep.init(draw, key, num_envs),
        bank=ep.empty_bank(draw, num_envs * steps),
        memory=memory,
        reset_before=jnp.ones(num_envs, bool),
    )


def collect(
    config: ActorConfig, params: Params, actors: ActorState, key: jax.Array, steps: int, hyper: Hyper
) -> tuple[ActorState, Rollout]:
    """Collect T steps of each of N environments.

    Args:
        config: the dynamics, the network, the reward and the teacher.
        params: the network's parameters.
        actors: the N environments, whose bank is full.
        key: a key for actions, steps, rewards and labels; consumed.
        steps: T, static.
        hyper: hyperparameters, float32 [] each; scales of the reward and noise of the teacher are used.

    Returns:
        The environments after the last step, leaves [N, ...], and the rollout, leaves [T, N, ...].
    """
    family, network, teacher = config.family, config.network, config.teacher
    observe = jax.vmap(family.observe)

    def step(actors: ActorState, randomness: tuple[jax.Array, ...]) -> tuple[ActorState, tuple[Rollout, State, Memory]]:
        noise, keys_step, keys_reward, keys_teacher = randomness
        before = actors.episodes
        observation = observe(before.state)
        logits, value, memory = network.act(params, observation, reset_memory(network, actors))
        labels, behaviour = (), logits
        if teacher is not None:
            labels = jax.vmap(partial(teacher.label, family, noise=hyper.noise))(before.state, keys_teacher)
            behaviour = logits if teacher.acts == "student" else jnp.log(labels)
        action = jnp.argmax(behaviour + noise, axis=1)  # a sample from the softmax (Gumbel 1954)
        log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], axis=1)[:, 0]
        episodes, bank, result = ep.step(family, before, action, keys_step, actors.bank)
        moves = Transition(before.state, action, result.final, result.outcome, before.elapsed, keys_reward)
        reward = jax.vmap(lambda move: config.reward.compute(family, move, hyper))(moves)
        row = Rollout(
            observation=observation,
            action=action,
            log_prob=log_prob,
            value=value,
            next_value=(),
            reward=reward,
            reset_before=actors.reset_before,
            terminated_after=result.terminated,
            truncated_after=result.truncated,
            succeeded=result.outcome.succeeded,
            labels=labels,
        )
        after = ActorState(episodes, bank, memory, result.terminated | result.truncated)
        return after, (row, result.final, memory)

    randomness = _draw_randomness(config, key, (steps, len(actors.reset_before)))
    actors, (rollout, finals, memories) = jax.lax.scan(step, actors, randomness)
    last_value = network.act(params, observe(actors.episodes.state), reset_memory(network, actors))[1]
    following = jnp.concatenate([rollout.value[1:], last_value[None]])
    final_value = _final_values(config, params, finals, memories, rollout.truncated_after)
    next_value = jnp.where(rollout.truncated_after, final_value, following)
    return actors, rollout._replace(next_value=jnp.where(rollout.terminated_after, 0.0, next_value))


def _draw_randomness(config: ActorConfig, key: jax.Array, shape: tuple[int, int]) -> tuple[jax.Array, ...]:
    """Draw all random numbers of a rollout of `shape` (T, N).

    Drawn at once: in the loop, each of these calls would cost a CPU as much as a small layer.

    Returns:
        Gumbel noise for the actions, float32 [T, N, A]; keys of steps, rewards and teachers, [T, N] each.
    """
    key_act, *keys = jax.random.split(key, 4)
    noise = jax.random.gumbel(key_act, (*shape, config.family.num_actions))
    return noise, *(jax.random.split(key, shape) for key in keys)


def reset_memory(network: Network, actors: ActorState) -> Memory:
    """Return the memories before the next step, leaves [N, ...]: initial ones where it begins an episode."""

    def reset(old: jax.Array, initial: jax.Array) -> jax.Array:
        return jnp.where(actors.reset_before.reshape((-1,) + (1,) * initial.ndim), initial, old)

    return jax.tree.map(reset, actors.memory, network.initial_memory())


def _final_values(
    config: ActorConfig, params: Params, finals: State, memories: Memory, truncated: jax.Array
) -> jax.Array:
    """Return the values of the final observations of truncated episodes, float32 [T, N]; elsewhere 0.

    An environment is truncated at most once per horizon: only so many final observations are valued, not T.

    Args:
        config: the dynamics and the network.
        params: the network's parameters.
        finals: the states that the actions led to, before any reset, leaves [T, N, ...].
        memories: the network's memories after the steps, leaves [T, N, ...].
        truncated: whether the time limit ended the episode after the step, bool [T, N].
    """
    steps, num_envs = truncated.shape
    most = 1 + (steps - 1) // config.family.horizon
    # [N, most], the truncated steps first. A sort is expensive, and there is nearly always just one.
    times = truncated.argmax(0)[:, None] if most == 1 else jax.lax.top_k(truncated.T.astype(jnp.int32), most)[1]
    envs = jnp.arange(num_envs)[:, None]
    states, memory = jax.tree.map(lambda leaf: leaf[times, envs], (finals, memories))

    def value(state, memory):
        return config.network.apply(params, config.family.observe(state), memory)[1]

    values = jax.vmap(jax.vmap(value))(states, memory)
    return jnp.zeros((steps, num_envs)).at[times, envs].set(jnp.where(truncated[times, envs], values, 0.0))
