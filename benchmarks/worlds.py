"""Environments of other projects as `BatchedEnv`s, each with its own batching and automatic resets."""

from collections.abc import Callable
from functools import partial
from typing import Any

import craftax.craftax_env as craftax
import gymnax
import jax
import jax.numpy as jnp
import jumanji
import navix
import xminigrid
from jumanji.wrappers import VmapAutoResetWrapper
from xminigrid.core.constants import Colors, Tiles
from xminigrid.types import RuleSet
from xminigrid.wrappers import GymAutoResetWrapper

from incentivize.experiments.bench.random_rollouts import BatchedEnv

OBJECTS = 6  # tiles laid out by a ruleset


def _begin(envs: Any) -> Any:
    return envs


def _prepare_nothing(carry: Any, key: jax.Array) -> Any:
    return carry


def of_gymnax(name: str, **options: Any) -> BatchedEnv:
    """Batch a gymnax environment; every step also computes a reset, and selects."""
    env, params = gymnax.make(name, **options)
    return _with_keys(env, params)


def of_craftax(name: str) -> BatchedEnv:
    """Batch Craftax, which has the interface of gymnax."""
    env = craftax.make_craftax_env_from_name(name, auto_reset=True)
    return _with_keys(env, env.default_params)


def _with_keys(env: Any, params: Any) -> BatchedEnv:
    def fresh(key: jax.Array, num_envs: int) -> Any:
        return jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(key, num_envs), params)

    def step(carry: Any, actions: jax.Array, keys: jax.Array) -> Any:
        return jax.vmap(env.step, in_axes=(0, 0, 0, None))(keys, carry[1], actions, params)[:2]

    return BatchedEnv(env.action_space(params).n, fresh, _begin, _prepare_nothing, step, lambda carry: carry[0])


def of_navix(name: str) -> BatchedEnv:
    """Batch a Navix environment, which resets itself at the step after the last."""
    env = navix.make(name)

    def fresh(key: jax.Array, num_envs: int) -> Any:
        return jax.vmap(env.reset)(jax.random.split(key, num_envs))

    def step(carry: Any, actions: jax.Array, keys: jax.Array) -> Any:
        return jax.vmap(env.step)(carry, actions)

    return BatchedEnv(int(env.action_space.n), fresh, _begin, _prepare_nothing, step, lambda carry: carry.observation)


def of_jumanji(name: str) -> BatchedEnv:
    """Batch a Jumanji environment in its own wrapper, which resets ended environments one by one."""
    env = VmapAutoResetWrapper(jumanji.make(name))

    def fresh(key: jax.Array, num_envs: int) -> Any:
        return env.reset(jax.random.split(key, num_envs))

    def step(carry: Any, actions: jax.Array, keys: jax.Array) -> Any:
        return env.step(carry[0], actions)

    return BatchedEnv(
        int(env.action_spec.num_values), fresh, _begin, _prepare_nothing, step, lambda carry: carry[1].observation
    )


def of_xland(name: str, rules: int) -> BatchedEnv:
    """Batch an XLand-MiniGrid environment; with `rules`, each environment has a ruleset of its own throughout."""
    env, params = xminigrid.make(name)
    env = GymAutoResetWrapper(env)

    def fresh(key: jax.Array, num_envs: int) -> Any:
        key_rules, key_reset = jax.random.split(key)
        keys = jax.random.split(key_reset, num_envs)
        if not rules:
            return None, jax.vmap(env.reset, in_axes=(None, 0))(params, keys)
        rulesets = jax.vmap(partial(ruleset, rules=rules))(jax.random.split(key_rules, num_envs))
        return rulesets, jax.vmap(env.reset)(params.replace(ruleset=rulesets), keys)

    def step(carry: Any, actions: jax.Array, keys: jax.Array) -> Any:
        rulesets, timesteps = carry
        if rulesets is None:
            return None, jax.vmap(env.step, in_axes=(None, 0, 0))(params, timesteps, actions)
        return rulesets, jax.vmap(env.step)(params.replace(ruleset=rulesets), timesteps, actions)

    return BatchedEnv(
        env.num_actions(params), fresh, _begin, _prepare_nothing, step, lambda carry: carry[1].observation
    )


def ruleset(key: jax.Array, rules: int) -> RuleSet:
    """Draw a ruleset of the same form as the published ones. Consumes `key`.

    There are OBJECTS tiles. A rule turns two that touch into another tile. The goal is to hold the last tile made, or
    to lay it beside the first.
    """
    key_shape, key_colour, key_goal, key_rule = jax.random.split(key, 4)
    shapes = jnp.array([Tiles.BALL, Tiles.SQUARE, Tiles.PYRAMID, Tiles.KEY, Tiles.HEX, Tiles.STAR], jnp.uint8)
    shape = jax.random.choice(key_shape, shapes, (OBJECTS + rules,))
    colour = jax.random.randint(key_colour, (OBJECTS + rules,), Colors.RED, Colors.PINK + 1, jnp.uint8)
    tiles = jnp.stack([shape, colour], axis=1)
    laid, made = tiles[:OBJECTS], tiles[OBJECTS:]
    hold = jnp.concatenate([jnp.array([1], jnp.uint8), made[-1], jnp.zeros(2, jnp.uint8)])  # AgentHoldGoal
    beside = jnp.concatenate([jnp.array([4], jnp.uint8), made[-1], laid[0]])  # TileNearGoal
    kinds = jax.random.randint(key_rule, (rules, 1), 3, 8, jnp.uint8)  # TileNearRule, on any side or on one
    encoded = jnp.concatenate([kinds, laid[:rules], laid[OBJECTS - rules :], made], axis=1)
    return RuleSet(goal=jnp.where(jax.random.bernoulli(key_goal), hold, beside), rules=encoded, init_tiles=laid)


WORLDS: dict[str, Callable[[], BatchedEnv]] = {
    "Navix-Empty-8x8": partial(of_navix, "Navix-Empty-8x8-v0"),
    "Navix-DoorKey-8x8": partial(of_navix, "Navix-DoorKey-8x8-v0"),
    "gymnax CartPole": partial(of_gymnax, "CartPole-v1"),
    "gymnax FourRooms": partial(of_gymnax, "FourRooms-misc"),
    "gymnax MetaMaze 13x13": partial(of_gymnax, "MetaMaze-misc", maze_size=13),
    "XLand-MiniGrid-Empty-8x8": partial(of_xland, "MiniGrid-Empty-8x8", 0),
    "XLand-MiniGrid-DoorKey-8x8": partial(of_xland, "MiniGrid-DoorKey-8x8", 0),
    "XLand-MiniGrid-R1-9x9": partial(of_xland, "XLand-MiniGrid-R1-9x9", 1),
    "Jumanji Snake": partial(of_jumanji, "Snake-v1"),
    "Jumanji Maze": partial(of_jumanji, "Maze-v0"),
    "Craftax-Classic, 64 environments": partial(of_craftax, "Craftax-Classic-Symbolic-v1"),
}
"""Environments by name. A maze of 13 x 13 squares is as large as our mazes of 7 x 7 cells with walls between them."""
