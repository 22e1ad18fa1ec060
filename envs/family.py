"""The contract of a family: shared dynamics plus an exactly counted set of tasks.

A family is a frozen, hashable dataclass of knobs (static under `jit`) with pure functions of *one* environment and no
batch dimension: batch with `jax.vmap`. Time limits, resets and batching live in `episodes.py`; what the agent is paid
lives in `rewards/`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from incentivize.envs.render import Picture
from incentivize.envs.tasks import TaskSpace


class Observation(NamedTuple):
    """What the agent sees: small integers, each below the vocabulary that the family's `spec` states for its slot."""

    context: jax.Array  # uint8 [C]: the description of the task, and what concerns no single entity
    entities: jax.Array  # uint8 [E, F]: one row per entity, in no meaningful order
    entity_mask: jax.Array  # bool [E]: which rows exist
    action_mask: jax.Array  # bool [A]: which actions are legal; at least one


class Outcome(NamedTuple):
    """What a step brought."""

    succeeded: jax.Array  # bool []
    failed: jax.Array  # bool []
    cost: jax.Array  # float32 []: a price the family itself charges, such as a probe's; mostly 0
    ends_episode: jax.Array  # bool []: the episode ends here; mostly where it succeeded or failed


@dataclass(frozen=True)
class Spec:
    """The vocabularies of an observation: slot values run from 0 to the vocabulary less one, at most 255."""

    context: tuple[int, ...]  # one per context slot, length C
    entity: tuple[int, ...]  # one per entity feature, length F
    num_entities: int  # E


State = Any
"""A pytree with fields `task` (digits that the dynamics obey), `shown` (digits that the agent may see), which no
step changes, and a `_replace` method: a NamedTuple in practice."""


class Family(ABC):
    """A generator of tasks. Subclasses are frozen dataclasses; every method is pure and unbatched."""

    @property
    def reveals_rule(self) -> bool:
        """Whether the observation describes the task. Where it does not, the rule has to be found out by acting."""
        return True

    @property
    def members(self) -> "tuple[Family, ...]":
        """The families that an agent meets here: this one alone. A mixture has several."""
        return (self,)

    @property
    def attempts(self) -> int:
        """How many attempts at its task an episode has, one after the other. See `incentivize.envs.wrappers.lives`."""
        return 1

    def attempt(self, state: State) -> jax.Array:
        """Which of them is under way, from 0 on, int32 []."""
        return jnp.int32(0)

    def last_attempt(self, start: State) -> State:
        """The state in which the last of them will begin, from the one in which the episode does."""
        return start

    @property
    @abstractmethod
    def tasks(self) -> TaskSpace:
        """The family's tasks."""

    @property
    @abstractmethod
    def instances(self) -> int:
        """The number of starting states per task; a lower bound where `instances_are_exact` says so."""

    @property
    def instances_are_exact(self) -> bool:
        """Whether every task has exactly `instances` starting states. If not, `instances` is a lower bound."""
        return True

    @property
    def fair_success(self) -> float:
        """The success of the fair expert on instances of held-out tasks, within the horizon, from 0 to 1.

        Below 1 where what the agent can be shown does not always settle the task.
        `incentivize.envs.contract.CHECKS` compare it with what is measured.
        """
        return 1.0

    @property
    @abstractmethod
    def horizon(self) -> int:
        """The time limit of an episode, in steps."""

    @property
    @abstractmethod
    def num_actions(self) -> int:
        """The number of actions A."""

    @property
    @abstractmethod
    def spec(self) -> Spec:
        """The shapes and vocabularies of the observation."""

    @abstractmethod
    def init(self, key: jax.Array, task: jax.Array) -> State:
        """A starting state of `task` (digits [D]), always solvable within the horizon. Consumes `key`."""

    @abstractmethod
    def observe(self, state: State) -> Observation:
        """What the agent sees. Reads the rule from `state.shown`, never from `state.task`."""

    @abstractmethod
    def step(self, state: State, action: jax.Array, key: jax.Array) -> tuple[State, Outcome]:
        """One move. `action` is an integer [] below `num_actions`. Consumes `key`."""

    @abstractmethod
    def expert(self, state: State, kind: Literal["informed", "fair"] = "informed") -> jax.Array:
        """Return probabilities of the best actions, float32 [A], ties shared.

        "informed" knows the task. "fair" knows only what observations have shown so far: where the rule is visible, it
        reads the rule from `state.shown`, as `observe` does.
        """

    @abstractmethod
    def distance(self, state: State) -> jax.Array:
        """The expert's number of steps to success, int32 []."""

    @abstractmethod
    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> State:
        """A starting state at most `steps` (int [], at least 1) expert steps from success. Consumes `key`."""

    @abstractmethod
    def blind(self, observation: Observation) -> Observation:
        """The observation without the description of the task."""

    def scripted(self, observation: Observation) -> jax.Array:
        """Simple policies that ignore the description: action probabilities, float32 [S, A].

        The blind level of a family is the best of these and of a trained agent with the description masked. The first
        is uniform over legal actions; families add their own.
        """
        return (observation.action_mask / observation.action_mask.sum())[None]

    def behaviour(self, task: jax.Array) -> jax.Array:
        """What the task (digits [D]) amounts to, integers of any fixed shape: equal where two tasks are one in effect.

        The digits themselves, unless a family says otherwise.
        """
        return task

    @abstractmethod
    def describe(self, task: Any) -> str:
        """The task in one line for a person."""

    @property
    @abstractmethod
    def action_names(self) -> tuple[str, ...]:
        """What the actions are called, A names."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys on which a person plays them, A characters, none of them q or n: digits from 0, then letters."""
        return tuple("0123456789abcdef"[: self.num_actions])

    @property
    @abstractmethod
    def rules(self) -> str:
        """The rules for a person, enough to win with the picture alone: at most eight lines of 100 characters."""

    @abstractmethod
    def render(self, state: State, described: bool = True) -> Picture:
        """A picture of what the agent may see, always of the same size.

        It is for people: not to be traced, and never to show what the agent cannot know. What the agent was told
        earlier in the episode may be in it.

        Args:
            state: concrete.
            described: whether to show the description, read from `state.shown`; never from `state.task`.
        """


class Playable(Protocol):
    """What an agent can play: a family, or a mixture of families."""

    @property
    def spec(self) -> Spec:
        """The vocabularies of observations."""
        ...

    @property
    def num_actions(self) -> int:
        """How many actions there are, legal or not."""
        ...

    @property
    def members(self) -> Sequence[Family]:
        """The families that an agent meets, all with this `spec` and these actions."""
        ...


def as_shown(state: State) -> State:
    """Return the state with the rule that the agent was shown as the one that counts, for fair experts."""
    return state._replace(task=state.shown)


def outcome(succeeded: jax.Array, failed: jax.Array | bool = False, cost: jax.Array | float = 0.0) -> Outcome:
    """An `Outcome` with the usual defaults: success and failure end the episode."""
    succeeded, failed = jnp.asarray(succeeded), jnp.asarray(failed)
    return Outcome(succeeded, failed, jnp.float32(cost), succeeded | failed)


def ends(family: Family, outcome: Outcome, elapsed: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Whether episodes terminated, and whether they ran out of time instead: bool of the shape of `elapsed`."""
    return outcome.ends_episode, (elapsed >= family.horizon) & ~outcome.ends_episode
