"""Rollouts: T steps of N environments with one policy acting.

Time indices are written out, because `done` means three things in this field: `reset_before[t]` says that step t is
the first of an episode, `terminated_after[t]` and `truncated_after[t]` that it is the last.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from incentivize.agents.hyper import Hyper
from incentivize.agents.memories import Memory
from incentivize.agents.networks import Network, Params
from incentivize.agents.teachers import Teacher
from incentivize.envs import episodes as ep
from incentivize.envs.family import Family, Observation, State
from incentivize.rewards import Incentive, Transition

if TYPE_CHECKING:
    from incentivize.envs.episodes import Episodes, StartBank


class Rollout(NamedTuple):
    """T steps of N environments; leaves [T, N, ...]."""

    observation: Observation
    action: jax.Array  # int32
    log_prob: jax.Array  # float32: of the action, under the policy that acted
    value: jax.Array  # float32
    next_value: jax.Array  # float32: of what came after; 0 after termination, of the final observation after truncation
    reward: jax.Array  # float32
    reset_before: jax.Array  # bool
    terminated_after: jax.Array  # bool
    truncated_after: jax.Array  # bool
    succeeded: jax.Array  # bool: the step brought success
    labels: Any  # float32 [T, N, A]: the expert's action probabilities; () where nobody asked for them


class ActorState(NamedTuple):
    """Where the environments stand between rollouts."""

    episodes: "Episodes"
    bank: "StartBank"
    memory: Memory  # leaves [N, ...]
    reset_before: jax.Array  # bool [N]: whether the next step is the first of an episode


@dataclass(frozen=True)
class ActorConfig:
    """Who acts where, and what is noted down; static under `jit`."""

    family: Family
    network: Network
    reward: Incentive
    teacher: Teacher | None = None


def init(acting: ActorConfig, draw: ep.StartSampler, key: jax.Array, num_envs: int, steps: int) -> ActorState:
    """Fresh environments, and an empty bank of the size that rollouts of `steps` need."""
    memory = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (num_envs, *leaf.shape)), acting.network.initial_memory())
    return ActorState(
        episodes=ep.init(draw, key, num_envs),
        bank=ep.empty_bank(draw, num_envs * steps),
        memory=memory,
        reset_before=jnp.ones(num_envs, bool),
    )


def collect(
    acting: ActorConfig, params: Params, actors: ActorState, key: jax.Array, steps: int, hyper: Hyper
) -> tuple[ActorState, Rollout]:
    """`steps` steps of every environment, from a full bank. Consumes `key`."""
    family, network, teacher = acting.family, acting.network, acting.teacher
    observe = jax.vmap(family.observe)

    def step(actors: ActorState, drawn: tuple[jax.Array, ...]):
        noise, keys_step, keys_reward, keys_teacher = drawn
        before = actors.episodes
        observation = observe(before.state)
        logits, value, memory = network.act(params, observation, reset_memory(network, actors))
        labels, behaviour = (), logits
        if teacher is not None:
            labels = jax.vmap(partial(teacher.label, family, noise=hyper.noise))(before.state, keys_teacher)
            behaviour = logits if teacher.acts == "student" else jnp.log(labels)
        action = jnp.argmax(behaviour + noise, axis=1)  # a draw from the softmax (Gumbel 1954)
        log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], axis=1)[:, 0]
        episodes, bank, result = ep.step(family, before, action, keys_step, actors.bank)
        moves = Transition(before.state, action, result.final, result.outcome, before.elapsed, keys_reward)
        reward = jax.vmap(lambda move: acting.reward.pays(family, move, hyper))(moves)
        row = (observation, action, log_prob, value, reward, actors.reset_before)
        row += (result.terminated, result.truncated, result.outcome.succeeded, labels)
        return ActorState(episodes, bank, memory, result.terminated | result.truncated), (row, result.final, memory)

    actors, (row, finals, memories) = jax.lax.scan(step, actors, _drawn(acting, key, (steps, len(actors.reset_before))))
    observation, action, log_prob, value, reward, reset_before, terminated, truncated, succeeded, labels = row
    last = network.act(params, observe(actors.episodes.state), reset_memory(network, actors))[1]
    following = jnp.concatenate([value[1:], last[None]])
    final_value = _final_values(acting, params, finals, memories, truncated)
    next_value = jnp.where(terminated, 0.0, jnp.where(truncated, final_value, following))
    return actors, Rollout(
        observation, action, log_prob, value, next_value, reward, reset_before, terminated, truncated, succeeded, labels
    )


def _drawn(acting: ActorConfig, key: jax.Array, shape: tuple[int, int]) -> tuple[jax.Array, ...]:
    """All that is random in a rollout, leaves [T, N, ...]: noise for the actions; keys of steps, rewards and teachers.

    Drawn at once: in the loop, each of its calls would cost a CPU as much as a small layer.
    """
    key_act, *others = jax.random.split(key, 4)
    noise = jax.random.gumbel(key_act, (*shape, acting.family.num_actions))
    return noise, *(jax.random.split(other, shape) for other in others)


def reset_memory(network: Network, actors: ActorState) -> Memory:
    """The memories before the next step, leaves [N, ...]: those of episodes that begin with it are as at the start."""

    def renewed(old: jax.Array, start: jax.Array) -> jax.Array:
        return jnp.where(actors.reset_before.reshape((-1,) + (1,) * start.ndim), start, old)

    return jax.tree.map(renewed, actors.memory, network.initial_memory())


def _final_values(
    acting: ActorConfig, params: Params, finals: State, memories: Memory, truncated: jax.Array
) -> jax.Array:
    """Values of the final observations of truncated episodes, float32 [T, N]; elsewhere 0.

    An environment runs out of time at most once a horizon: only so many final observations are valued, not T.
    """
    steps, num_envs = truncated.shape
    most = 1 + (steps - 1) // acting.family.horizon
    # [N, most], the truncated steps first; a sort is dear, and nearly always there is but one.
    times = truncated.argmax(0)[:, None] if most == 1 else jax.lax.top_k(truncated.T.astype(jnp.int32), most)[1]
    envs = jnp.arange(num_envs)[:, None]
    states, memory = jax.tree.map(lambda leaf: leaf[times, envs], (finals, memories))

    def value(state, memory):
        return acting.network.apply(params, acting.family.observe(state), memory)[1]

    values = jax.vmap(jax.vmap(value))(states, memory)
    return jnp.zeros((steps, num_envs)).at[times, envs].set(jnp.where(truncated[times, envs], values, 0.0))
