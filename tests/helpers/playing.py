"""Families played: single steps, and whole episodes of the experts."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.contract import starts

KINDS = ("informed", "fair")


@partial(jax.jit, static_argnums=0)
def look(family, state, turn):
    """Return the observation, and what the last legal action but `turn` leads to: a state, and whether that ends it."""
    observation = family.observe(state)
    legal = observation.action_mask.sum()
    actions = jnp.flatnonzero(observation.action_mask, size=family.num_actions)
    after, outcome = family.step(state, actions[legal - 1 - turn % legal].astype(jnp.int32), jax.random.key(turn))
    return observation, after, outcome.ends_episode


@lru_cache
def success_and_cost_of_both(family, count):
    """Return the rates of success and the mean costs of both experts on held-out codes, float [2] each."""

    @jax.jit
    def play(states):
        def step(carry, key):
            states, running, won, cost = carry
            choose, move = jax.random.split(key)
            policies = jnp.stack(
                [jax.vmap(partial(family.expert, kind=kind))(one_of(states, place)) for place, kind in enumerate(KINDS)]
            )
            actions = jax.vmap(lambda policy: jax.random.categorical(choose, jnp.log(policy)))(policies)
            states, outcome = jax.vmap(jax.vmap(family.step, (0, 0, None)), (0, 0, None))(states, actions, move)
            won = won | (running & outcome.succeeded)
            return (states, running & ~outcome.succeeded & ~outcome.failed, won, cost + running * outcome.cost), None

        both = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), states)
        start = (both, jnp.ones((2, count), bool), jnp.zeros((2, count), bool), jnp.zeros((2, count)))
        _, _, won, cost = jax.lax.scan(step, start, jax.random.split(jax.random.key(1), family.horizon))[0]
        return won.mean(1), cost.mean(1)

    return jax.tree.map(np.asarray, play(starts(family, count)))


def one_of(tree, place):
    """Return one row of every leaf of a tree."""
    return jax.tree.map(lambda leaf: leaf[place], tree)


def success_and_cost(family, kind, count=10_000):
    """Return an expert's rate of success and its mean cost on held-out codes."""
    return tuple(float(both[KINDS.index(kind)]) for both in success_and_cost_of_both(family, count))
