"""Gymnax's FourRooms as a family, and the network of rejax, so that both projects train the same agent."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import gymnax
import jax
import jax.numpy as jnp

from incentivize.agents.memories import Memory
from incentivize.envs.family import Family, Observation, Outcome, Spec, outcome
from incentivize.envs.render import Picture
from incentivize.envs.tasks import TaskSpace

ROOMS, PARAMS = gymnax.make("FourRooms-misc")
SIDE = 13  # squares of the map, walls included


class Walk(NamedTuple):
    """The state of an episode.

    Attributes:
        task: uint8 [2], without meaning: FourRooms as gymnax ships it has one goal and one start.
        shown: the same.
        inner: the state of gymnax.
    """

    task: jax.Array
    shown: jax.Array
    inner: Any


@dataclass(frozen=True)
class FourRooms(Family):
    """Gymnax's dynamics behind the contract of a family; our episodes have the time limit."""

    tasks = TaskSpace((4, 4))
    instances = 1
    horizon = PARAMS.max_steps_in_episode
    num_actions = 4
    spec = Spec((SIDE,) * 4, (), 0)
    action_names = ("north", "east", "south", "west")
    rules = "Walk to the goal. One move in three goes astray."

    def init(self, key: jax.Array, task: jax.Array) -> Walk:
        return Walk(task, task, ROOMS.reset_env(key, PARAMS)[1])

    def observe(self, state: Walk) -> Observation:
        seen = ROOMS.get_obs(state.inner).astype(jnp.uint8)
        return Observation(seen, jnp.zeros((0, 0), jnp.uint8), jnp.zeros(0, bool), jnp.ones(4, bool))

    def step(self, state: Walk, action: jax.Array, key: jax.Array) -> tuple[Walk, Outcome]:
        _, inner, reward, _, _ = ROOMS.step_env(key, state.inner, action, PARAMS)
        return state._replace(inner=inner), outcome(reward)

    def expert(self, state: Walk, kind: str = "informed") -> jax.Array:
        raise NotImplementedError("FourRooms has no expert")

    distance = start_near = expert

    def blind(self, observation: Observation) -> Observation:
        return observation

    def describe(self, task: Any) -> str:
        return "walk to the goal"

    def render(self, state: Walk, described: bool = True) -> Picture:
        raise NotImplementedError("FourRooms has no pictures here")


class Layers(nn.Module):
    """Two layers of 64 and a head, as rejax has them."""

    out: int

    @nn.compact
    def __call__(self, seen: jax.Array) -> jax.Array:
        for _ in range(2):
            seen = nn.swish(nn.Dense(64)(seen))
        return nn.Dense(self.out)(seen)


@dataclass(frozen=True)
class SeparateNetworks:
    """A policy and a value network without shared layers, as an `incentivize.agents.networks.Network`."""

    num_actions: int = 4

    def init(self, key: jax.Array) -> Any:
        key_policy, key_value = jax.random.split(key)
        seen = jnp.zeros(4)
        return {"policy": Layers(4).init(key_policy, seen), "value": Layers(1).init(key_value, seen)}

    def initial_memory(self) -> Memory:
        return ()

    def act(self, params: Any, observations: Observation, memories: Memory) -> tuple[jax.Array, jax.Array, Memory]:
        seen = observations.context.astype(jnp.float32)
        return Layers(4).apply(params["policy"], seen), Layers(1).apply(params["value"], seen)[:, 0], memories

    def apply(self, params: Any, observation: Observation, memory: Memory) -> tuple[jax.Array, jax.Array, Memory]:
        batch = jax.tree.map(lambda leaf: leaf[None], observation)
        return jax.tree.map(lambda leaf: leaf[0], self.act(params, batch, memory))

    def sequences(self, params: Any, observations: Observation, reset_before: jax.Array, memories: Memory) -> Any:
        flat = jax.tree.map(lambda leaf: leaf.reshape(reset_before.size, *leaf.shape[2:]), observations)
        logits, values, _ = self.act(params, flat, memories)
        return logits.reshape(*reset_before.shape, -1), values.reshape(reset_before.shape), memories
