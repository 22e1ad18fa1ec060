"""Replays: one episode of one policy, kept step by step, to be looked at."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from incentivize.agents.evaluate import Policy
from incentivize.agents.memories import Memory
from incentivize.envs.family import Family, Outcome, State


class Trajectory(NamedTuple):
    """T steps, the horizon; what comes after the first that is `over` means nothing."""

    states: State  # leaves [T + 1, ...]: before every step, and after the last
    actions: jax.Array  # int32 [T]
    outcomes: Outcome  # leaves [T]


def expert_of(family: Family) -> Policy:
    """The best policy for what an agent can know: where the rule is hidden, the expert who was shown no more."""
    kind = "informed" if family.reveals_rule else "fair"

    def policy(state: State, elapsed: jax.Array, memory: Memory, key: jax.Array) -> tuple[jax.Array, Memory]:
        return jnp.log(family.expert(state, kind)), memory

    return policy


def record(family: Family, policy: Policy, memory: Memory, start: State, key: jax.Array) -> Trajectory:
    """One episode with drawn actions from a given state, unbatched.

    Args:
        family: the dynamics.
        policy: unbatched.
        memory: the policy's, at the start.
        start: where it begins.
        key: consumed; policies with the same key meet the same luck, as far as they act alike.
    """

    def step(carry, now):
        state, memory = carry
        elapsed, key = now
        key_act, key_step, key_think = jax.random.split(key, 3)
        logits, memory = policy(state, elapsed, memory, key_think)
        action = jax.random.categorical(key_act, logits)
        state, outcome = family.step(state, action, key_step)
        return (state, memory), (state, action, outcome)

    now = jnp.arange(family.horizon), jax.random.split(key, family.horizon)
    _, (after, actions, outcomes) = jax.lax.scan(step, (start, memory), now)
    states = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), start, after)
    return Trajectory(states, actions, outcomes)
