"""Families made from another family, which answers every method that they do not override."""

from dataclasses import dataclass
from typing import Any, Literal

import jax

from incentivize.envs.family import Family, Observation, Outcome, Spec, State
from incentivize.envs.render import Picture
from incentivize.envs.tasks import TaskSpace


@dataclass(frozen=True)
class Wrapper(Family):
    """A family that passes every method and property that is not overridden on to `family`."""

    family: Family

    @property
    def reveals_rule(self) -> bool:
        return self.family.reveals_rule

    @property
    def tasks(self) -> TaskSpace:
        return self.family.tasks

    @property
    def instances(self) -> int:
        return self.family.instances

    @property
    def instances_are_exact(self) -> bool:
        return self.family.instances_are_exact

    @property
    def fair_success(self) -> float:
        return self.family.fair_success

    @property
    def horizon(self) -> int:
        return self.family.horizon

    @property
    def num_actions(self) -> int:
        return self.family.num_actions

    @property
    def spec(self) -> Spec:
        return self.family.spec

    def init(self, key: jax.Array, task: jax.Array) -> State:
        return self.family.init(key, task)

    def observe(self, state: State) -> Observation:
        return self.family.observe(state)

    def step(self, state: State, action: jax.Array, key: jax.Array) -> tuple[State, Outcome]:
        return self.family.step(state, action, key)

    def expert(self, state: State, kind: Literal["informed", "fair"] = "informed") -> jax.Array:
        return self.family.expert(state, kind)

    def distance(self, state: State) -> jax.Array:
        return self.family.distance(state)

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> State:
        return self.family.start_near(key, task, steps)

    def blind(self, observation: Observation) -> Observation:
        return self.family.blind(observation)

    def scripted(self, observation: Observation) -> jax.Array:
        return self.family.scripted(observation)

    def behaviour(self, task: jax.Array) -> jax.Array:
        return self.family.behaviour(task)

    def describe(self, task: Any) -> str:
        return self.family.describe(task)

    @property
    def action_names(self) -> tuple[str, ...]:
        return self.family.action_names

    @property
    def keys(self) -> tuple[str, ...]:
        return self.family.keys

    @property
    def rules(self) -> str:
        return self.family.rules

    def render(self, state: State, described: bool = True) -> Picture:
        return self.family.render(state, described)

    @property
    def attempts(self) -> int:
        return self.family.attempts

    def attempt(self, state: State) -> jax.Array:
        return self.family.attempt(state)

    def last_attempt(self, start: State) -> State:
        return self.family.last_attempt(start)
