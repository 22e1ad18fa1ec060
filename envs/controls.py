"""Controls: families made from another family, in which what should matter has been taken away."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from envs.family import Family, Observation, Outcome, Spec, State
from envs.render import Picture
from envs.tasks import SPLITS, Pool, TaskSpace, make_pool, shuffle


@dataclass(frozen=True)
class Control(Family):
    """A family that behaves as `family` in everything a control does not override."""

    family: Family

    wants: ClassVar[bool | None] = None
    """The `reveals_rule` of the families it is for; None where it is for all."""

    note: ClassVar[str] = ""
    """What a person has to know beyond the family's rules."""

    def __post_init__(self) -> None:
        if self.wants is not None and self.family.reveals_rule != self.wants:
            rule = "visible" if self.wants else "hidden"
            name = next(name for name, kind in CONTROLS.items() if kind is type(self))
            raise ValueError(f"control={name!r}: is for families with a {rule} rule, not {type(self.family).__name__}")

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
        return "\n".join(filter(None, (self.family.rules, self.note)))

    def render(self, state: State, described: bool = True) -> Picture:
        return self.family.render(state, described)


@dataclass(frozen=True)
class Shuffled(Control):
    """Descriptions permuted among tasks by a fixed bijection: a task can be learnt by heart, nothing generalises."""

    wants = True
    note = "But the description that you see is another task's."

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

    note = "But all that tells one task from another is hidden: '?' stands for it."

    @property
    def reveals_rule(self) -> bool:
        return False

    def observe(self, state: State) -> Observation:
        return self.family.blind(self.family.observe(state))

    def render(self, state: State, described: bool = True) -> Picture:
        return self.family.render(state, described=False)


@dataclass(frozen=True)
class Disjoint(Control):
    """What can be found out is another task's rule, drawn anew every episode: finding out teaches nothing."""

    wants = False
    note = "But what is revealed is another task's rule."

    def _shown(self, key: jax.Array, state: State) -> State:
        return state._replace(shown=self.tasks.sample(key, make_pool(None)))

    def init(self, key: jax.Array, task: jax.Array) -> State:
        key_init, key_shown = jax.random.split(key)
        return self._shown(key_shown, self.family.init(key_init, task))

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> State:
        key_start, key_shown = jax.random.split(key)
        return self._shown(key_shown, self.family.start_near(key_start, task, steps))


@dataclass(frozen=True)
class CopiedSpace(TaskSpace):
    """Of so many training tasks only one is new: pools are smaller than they say."""

    copies: int = 8

    def _ordinal(self, pool: Pool, index: jax.Array) -> jax.Array:
        training = pool.split == SPLITS.index("training")
        return super()._ordinal(pool, jnp.where(training, index // self.copies, index))


@dataclass(frozen=True)
class LeakySpace(TaskSpace):
    """Every other training task is one of the first held-out tasks: the audit has to notice."""

    leaked: int = 256

    def sample(self, key: jax.Array, pool: Pool) -> jax.Array:
        key_own, key_leak, key_which = jax.random.split(key, 3)
        leak = super().sample(key_leak, make_pool(self.leaked, split="heldout"))
        leaks = jax.random.bernoulli(key_which) & (pool.split == SPLITS.index("training"))
        return jnp.where(leaks, leak, super().sample(key_own, pool))


@dataclass(frozen=True)
class Duplicated(Control):
    """Pools of which seven in eight tasks are copies: the curve has to move to pools eight times as large."""

    @property
    def tasks(self) -> TaskSpace:
        return CopiedSpace(self.family.tasks.radices, self.family.tasks.salt)


@dataclass(frozen=True)
class Leak(Control):
    """A planted leak of held-out tasks into training."""

    @property
    def tasks(self) -> TaskSpace:
        return LeakySpace(self.family.tasks.radices, self.family.tasks.salt)


CONTROLS: dict[str, type[Control]] = {
    "shuffled": Shuffled,
    "disjoint": Disjoint,
    "blind": Blind,
    "duplicated": Duplicated,
    "leak": Leak,
}


def controls_of(family: Family) -> tuple[str, ...]:
    """The controls that are for a family."""
    return tuple(name for name, kind in CONTROLS.items() if kind.wants in (None, family.reveals_rule))
