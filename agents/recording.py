"""Trajectories: one episode of one policy, recorded step by step for replays."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from incentivize.agents.evaluate import Policy
from incentivize.agents.memories import Memory
from incentivize.envs.family import Family, Outcome, State


class Trajectory(NamedTuple):
    """T steps, where T is the horizon. Steps after the first outcome that ends the episode are meaningless.

    Attributes:
        states: the state before each step and after the last, leaves [T + 1, ...].
        actions: the actions taken, int32 [T].
        outcomes: the outcomes of the steps, leaves [T].
    """

    states: State
    actions: jax.Array
    outcomes: Outcome


def expert_of(family: Family) -> Policy:
    """Return the best policy of an agent: the informed expert's, or the fair expert's where the rule is hidden."""
    kind = "informed" if family.reveals_rule else "fair"

    def policy(state: State, elapsed: jax.Array, memory: Memory, key: jax.Array) -> tuple[jax.Array, Memory]:
        return jnp.log(family.expert(state, kind)), memory

    return policy


def record(family: Family, policy: Policy, memory: Memory, start: State, key: jax.Array) -> Trajectory:
    """Record one episode with sampled actions from a given state, unbatched.

    Args:
        family: the dynamics.
        policy: the policy, unbatched.
        memory: the policy's memory at the start.
        start: the starting state.
        key: a key for actions and steps; consumed. Policies with the same key meet the same luck while they act alike.

    Returns:
        The trajectory, of as many steps as the horizon.
    """

    def step(carry, inputs):
        state, memory = carry
        elapsed, key = inputs
        key_act, key_step, key_think = jax.random.split(key, 3)
        logits, memory = policy(state, elapsed, memory, key_think)
        action = jax.random.categorical(key_act, logits)
        state, outcome = family.step(state, action, key_step)
        return (state, memory), (state, action, outcome)

    inputs = jnp.arange(family.horizon), jax.random.split(key, family.horizon)
    _, (after, actions, outcomes) = jax.lax.scan(step, (start, memory), inputs)
    states = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), start, after)
    return Trajectory(states, actions, outcomes)
