"""Controls: families made from another family, in which what should matter has been taken away."""

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp

from envs.family import Family, Observation, Outcome, Spec, State
from envs.tasks import TaskSpace, shuffle


@dataclass(frozen=True)
class Control(Family):
    """A family that behaves as `family` in everything a control does not override."""

    family: Family

    @property
    def tasks(self) -> TaskSpace:
        return self.family.tasks

    @property
    def instances(self) -> int:
        return self.family.instances

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

    def describe(self, task: Any) -> str:
        return self.family.describe(task)


@dataclass(frozen=True)
class Shuffled(Control):
    """Descriptions permuted among tasks by a fixed bijection: a task can be learnt by heart, nothing generalises."""

    def _shown(self, state: State) -> State:
        radices = jnp.array(self.tasks.radices, jnp.uint32)
        shown = shuffle(state.task.astype(jnp.uint32), radices, 0x5EED)
        return state._replace(shown=shown.astype(state.task.dtype))

    def init(self, key: jax.Array, task: jax.Array) -> State:
        return self._shown(self.family.init(key, task))

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> State:
        return self._shown(self.family.start_near(key, task, steps))


@dataclass(frozen=True)
class Blind(Control):
    """The description masked: what an agent reaches here it reaches without knowing the task."""

    reveals_rule = False

    def observe(self, state: State) -> Observation:
        return self.family.blind(self.family.observe(state))


CONTROLS: dict[str, type[Control]] = {"shuffled": Shuffled, "blind": Blind}
