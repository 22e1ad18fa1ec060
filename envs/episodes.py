"""Batched episodes for training: time limit, automatic reset onto a new task, and a bank of fresh starts.

Drawing a task and building its instance costs far more than a step, and under `vmap` a conditional reset is paid by
every environment at every step. So starting states are drawn beforehand into a *bank*. An episode that ends takes the
next one; each is used once, in the order of the environments, whatever the state is. Between rollouts, only the states
that were taken are replaced.
"""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family, Outcome, State, ends
from incentivize.envs.tasks import Pool


class StartSampler(Protocol):
    """A function that draws a starting state, unbatched. It consumes the key."""

    def __call__(self, key: jax.Array) -> State: ...


class Episodes(NamedTuple):
    """N episodes under way."""

    state: State  # leaves [N, ...]
    elapsed: jax.Array  # int32 [N]: steps since the start


class StartBank(NamedTuple):
    """Starting states not yet used: those from `cursor` on."""

    states: State  # leaves [R, ...]
    cursor: jax.Array  # int32 []


class Step(NamedTuple):
    """The result of one batched step. `terminated` and `truncated` exclude each other."""

    outcome: Outcome  # leaves [N]
    terminated: jax.Array  # bool [N]: the outcome ended the episode
    truncated: jax.Array  # bool [N]: it ran out of time
    final: State  # leaves [N, ...]: the state that the action led to, before any reset


REFILLS = 32  # a bank is refilled in pieces of 1/32
STARTS = 0x57A7  # the key of a fixed set of starting states


class NearSuccess(NamedTuple):
    """The share of episodes that begin near success, and their greatest distance from it."""

    share: jax.Array  # float32 []: of the episodes
    steps: jax.Array  # int32 []: expert steps at most, at least 1


def start_sampler(
    family: Family, pool: Pool, near: NearSuccess | None = None, starts: jax.Array | None = None
) -> StartSampler:
    """Make a function that draws a task of the pool and an instance of the task.

    Args:
        family: the family to be played.
        pool: the pool that tasks are drawn from.
        near: the share of episodes that begin near success; None for none.
        starts: uint32 []: the number of distinct starting states, a set fixed by the pool's seed; None for no limit.
    """

    def draw(key: jax.Array) -> State:
        if starts is not None:
            key_number, _ = jax.random.split(key)
            number = jax.random.randint(key_number, (), 0, starts.astype(jnp.int32))
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(STARTS), pool.seed), number)
        key_task, key_instance = jax.random.split(key)
        task = family.tasks.sample(key_task, pool)
        if near is None:
            return family.init(key_instance, task)
        key_instance, key_share, key_start = jax.random.split(key_instance, 3)
        state = family.init(key_instance, task)
        close = family.start_near(key_start, task, near.steps)
        chosen = jax.random.bernoulli(key_share, near.share)
        return jax.tree.map(lambda a, b: jnp.where(chosen, a, b), close, state)

    return draw


def init(draw: StartSampler, key: jax.Array, num_envs: int) -> Episodes:
    """Start `num_envs` fresh episodes. Consumes `key`."""
    return Episodes(jax.vmap(draw)(jax.random.split(key, num_envs)), jnp.zeros(num_envs, jnp.int32))


def empty_bank(draw: StartSampler, size: int) -> StartBank:
    """Make a bank of at least `size` places, all of them used: `refill` it before a rollout.

    A rollout takes at most environments x steps states, if every step ends an episode.
    """
    size = -(-size // REFILLS) * REFILLS
    shapes = jax.eval_shape(draw, jax.random.key(0))
    return StartBank(jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape), leaf.dtype), shapes), jnp.int32(size))


def refill(bank: StartBank, draw: StartSampler, key: jax.Array) -> StartBank:
    """Replace every used state of the bank, piece by piece. The cost is proportional to their number.

    Args:
        bank: the bank, of which `cursor` states are used.
        draw: draws one starting state.
        key: a key for the draws; consumed.
    """
    piece = bank.states.task.shape[0] // REFILLS

    def replace(turn, states):
        fresh = jax.vmap(draw)(jax.random.split(jax.random.fold_in(key, turn), piece))
        return jax.tree.map(
            lambda old, new: jax.lax.dynamic_update_slice_in_dim(old, new, turn * piece, 0), states, fresh
        )

    pieces = (bank.cursor + piece - 1) // piece
    return StartBank(jax.lax.fori_loop(0, pieces, replace, bank.states), jnp.int32(0))


def take(bank: StartBank, needed: jax.Array) -> tuple[State, StartBank]:
    """Take one unused state for every environment that needs one.

    Args:
        bank: a bank with at least as many unused states as are needed.
        needed: bool [N]: which environments need a state.

    Returns:
        States, leaves [N, ...], meaningless where none was needed; the bank with its cursor moved on.
    """
    places = bank.cursor + jnp.cumsum(needed) - 1
    states = jax.tree.map(lambda leaf: leaf.at[places].get(mode="clip"), bank.states)
    return states, bank._replace(cursor=bank.cursor + needed.sum(dtype=jnp.int32))


def step(
    family: Family, episodes: Episodes, actions: jax.Array, keys: jax.Array, bank: StartBank
) -> tuple[Episodes, StartBank, Step]:
    """Advance N episodes by one step. An episode that ends is replaced by a fresh one from the bank.

    Args:
        family: the dynamics.
        episodes: N episodes.
        actions: int [N].
        keys: one key for each step, [N]; consumed.
        bank: a bank with at least N unused states.

    Returns:
        The episodes, fresh where they ended; the bank with its cursor moved on; the result of the step.
    """
    final, outcome = jax.vmap(family.step)(episodes.state, actions, keys)
    elapsed = episodes.elapsed + 1
    terminated, truncated = ends(family, outcome, elapsed)
    ended = terminated | truncated
    fresh, bank = take(bank, ended)

    def renewed(old, new):
        return jnp.where(ended.reshape((-1,) + (1,) * (old.ndim - 1)), new, old)

    state = jax.tree.map(renewed, final, fresh)
    return Episodes(state, jnp.where(ended, 0, elapsed)), bank, Step(outcome, terminated, truncated, final)
