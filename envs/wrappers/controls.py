"""Controls: families made from another family, in which what should matter has been taken away."""

from dataclasses import dataclass, replace
from typing import ClassVar

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family, Observation, State
from incentivize.envs.render import Picture
from incentivize.envs.tasks import SPLITS, Pool, TaskSpace, make_pool, shuffle
from incentivize.envs.wrappers.base import Wrapper
from incentivize.envs.wrappers.lives import Lives


@dataclass(frozen=True)
class Control(Wrapper):
    """A family in which something has been taken away."""

    wants: ClassVar[bool | None] = None
    """The `reveals_rule` of the families it is for; None where it is for all."""

    lives: ClassVar[bool | None] = None
    """Whether it is for families with several attempts at a task, or with one; None where it is for both."""

    note: ClassVar[str] = ""
    """What a person has to know beyond the family's rules."""

    def __post_init__(self) -> None:
        kind, family = type(self), self.family
        if kind.fits(family):
            return
        name = next(name for name, known in CONTROLS.items() if known is kind)
        if kind.wants not in (None, family.reveals_rule):
            rule = "visible" if kind.wants else "hidden"
            raise ValueError(f"control={name!r}: is for families with a {rule} rule, not {type(family).__name__}")
        why = "there is one attempt, and no other whose rule could differ; want life=2 or more, or control='disjoint'"
        if not kind.lives:
            carried = "control='changing' only takes away what carries over from one to the next"
            why = f"what an attempt brings tells the real rule; want life=1 ({carried})"
        raise ValueError(f"control={name!r}: is none with life={family.attempts}, as {why}")

    @classmethod
    def fits(cls, family: Family) -> bool:
        """Whether it is for that family."""
        return cls.wants in (None, family.reveals_rule) and cls.lives in (None, family.attempts > 1)

    @property
    def rules(self) -> str:
        return "\n".join(filter(None, (self.family.rules, self.note)))


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
    lives = False
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
class Changing(Control):
    """A rule of its own in every attempt of a life, by a fixed bijection: finding one out teaches nothing of the next.

    As with shuffled descriptions, who has met a task can know by heart what follows it; nothing generalises from one
    attempt to the next. What is found out within an attempt still serves there.
    """

    wants = False
    lives = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.family, Lives):
            raise ValueError("control='changing': is made of a life itself, not of what has been made of one")
        object.__setattr__(self, "family", replace(self.family, changing=True))


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
    "changing": Changing,
    "blind": Blind,
    "duplicated": Duplicated,
    "leak": Leak,
}


def controls_of(family: Family) -> tuple[str, ...]:
    """The controls that are for a family."""
    return tuple(name for name, kind in CONTROLS.items() if kind.fits(family))
