"""Controls: families made from another family by taking away something that should matter."""

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
    """A family from which something has been taken away.

    Raises:
        ValueError: if the control does not fit the family.
    """

    wants: ClassVar[bool | None] = None
    """The `reveals_rule` of the families that the control fits; None for all families."""

    lives: ClassVar[bool | None] = None
    """Whether the control fits families with several attempts at a task, or with one; None for both."""

    note: ClassVar[str] = ""
    """A line for a person, added to the family's rules."""

    def __post_init__(self) -> None:
        kind, family = type(self), self.family
        if kind.fits(family):
            return
        name = _name_of(kind)
        if kind.wants not in (None, family.reveals_rule):
            played = type(family.family if isinstance(family, Lives) else family).__name__
            if kind.wants:
                instead = Disjoint if family.attempts == 1 else Changing
                problem = f"needs a family with a visible rule; {played} hides its rule"
            else:
                instead, problem = Shuffled, f"needs a family with a hidden rule; {played} shows its rule"
            raise ValueError(f"control = {name!r}: {problem}. Choose control={_name_of(instead)!r}.")
        if kind.lives:
            problem = "needs at least two attempts. Set life=2 or more, or control='disjoint'."
        else:
            problem = "needs a single attempt, as its result tells the real rule. Set life=1, or control='changing'."
        raise ValueError(f"control = {name!r}: {problem}")

    @classmethod
    def fits(cls, family: Family) -> bool:
        """Return whether the control fits a family."""
        return cls.wants in (None, family.reveals_rule) and cls.lives in (None, family.attempts > 1)

    @property
    def rules(self) -> str:
        return "\n".join(filter(None, (self.family.rules, self.note)))


@dataclass(frozen=True)
class Shuffled(Control):
    """Descriptions are permuted among tasks by a fixed bijection: tasks can be learnt by heart, nothing generalises."""

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
    """The description is masked: an agent's success is that of an agent that does not know the task."""

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
    """The agent finds out another task's rule, drawn anew every episode, which is of no use for the task."""

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
    """Every attempt has a rule of its own, made by a fixed bijection: one attempt tells nothing about the next.

    As with shuffled descriptions, an agent can learn by heart which rule follows which, but nothing generalises from
    one attempt to the next. What an agent finds out within an attempt still helps in that attempt.
    """

    wants = False
    lives = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.family, Lives):
            raise ValueError("control = 'changing': must be applied to a life. Apply other wrappers afterwards.")
        object.__setattr__(self, "family", replace(self.family, changing=True))


@dataclass(frozen=True)
class CopiedSpace(TaskSpace):
    """A task space whose pools repeat every training task: a pool of N has N / copies distinct tasks."""

    copies: int = 8  # copies of every training task

    def _ordinal(self, pool: Pool, index: jax.Array) -> jax.Array:
        training = pool.split == SPLITS.index("training")
        return super()._ordinal(pool, jnp.where(training, index // self.copies, index))


@dataclass(frozen=True)
class LeakySpace(TaskSpace):
    """A task space in which every other drawn training task is a held-out task: the audit has to notice."""

    leaked: int = 256  # number of held-out tasks, the first ones, that training draws

    def sample(self, key: jax.Array, pool: Pool) -> jax.Array:
        key_own, key_leak, key_which = jax.random.split(key, 3)
        leak = super().sample(key_leak, make_pool(self.leaked, split="heldout"))
        leaks = jax.random.bernoulli(key_which) & (pool.split == SPLITS.index("training"))
        return jnp.where(leaks, leak, super().sample(key_own, pool))


@dataclass(frozen=True)
class Duplicated(Control):
    """Seven in eight tasks of a pool are copies: the success curve has to move to pools eight times as large."""

    @property
    def tasks(self) -> TaskSpace:
        return CopiedSpace(self.family.tasks.radices, self.family.tasks.salt)


@dataclass(frozen=True)
class Leak(Control):
    """Training draws held-out tasks, too: a planted leak."""

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


def _name_of(kind: type[Control]) -> str:
    """Return the name of a control."""
    return next(name for name, control in CONTROLS.items() if control is kind)


def controls_of(family: Family) -> tuple[str, ...]:
    """Return the names of the controls that fit a family."""
    return tuple(name for name, kind in CONTROLS.items() if kind.fits(family))
