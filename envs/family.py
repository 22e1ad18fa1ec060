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
    """An observation: small integers, each below the vocabulary that the family's `spec` states for its slot."""

    context: jax.Array  # uint8 [C]: the description of the task, and all else that belongs to no single entity
    entities: jax.Array  # uint8 [E, F]: one row per entity, in no meaningful order
    entity_mask: jax.Array  # bool [E]: which rows exist
    action_mask: jax.Array  # bool [A]: which actions are legal; at least one


class Outcome(NamedTuple):
    """The result of a step."""

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
"""A pytree with the fields `task` (digits that the dynamics obey) and `shown` (digits that the agent may see), and a
`_replace` method: a NamedTuple in practice. No step changes these two fields."""


class Family(ABC):
    """A generator of tasks. Subclasses are frozen dataclasses; every method is pure and unbatched."""

    @property
    def reveals_rule(self) -> bool:
        """Whether observations describe the task. If not, the agent has to find its rule out by acting."""
        return True

    @property
    def members(self) -> "tuple[Family, ...]":
        """The families that an agent meets: this one alone. A mixture has several."""
        return (self,)

    @property
    def attempts(self) -> int:
        """The number of attempts at its task in an episode. See `incentivize.envs.wrappers.lives`."""
        return 1

    def attempt(self, state: State) -> jax.Array:
        """Return the number of the attempt under way, from 0 on, int32 []."""
        return jnp.int32(0)

    def last_attempt(self, start: State) -> State:
        """Return the state in which the episode's last attempt will begin, from the one in which its first does."""
        return start

    @property
    @abstractmethod
    def tasks(self) -> TaskSpace:
        """The family's tasks."""

    @property
    @abstractmethod
    def instances(self) -> int:
        """The number of starting states per task; a lower bound if `instances_are_exact` is False."""

    @property
    def instances_are_exact(self) -> bool:
        """Whether every task has exactly `instances` starting states. If not, `instances` is a lower bound."""
        return True

    @property
    def fair_success(self) -> float:
        """The success of the fair expert on instances of held-out tasks, within the horizon, from 0 to 1.

        Below 1 if observations do not always settle the task. `incentivize.envs.contract.CHECKS` compare it with a
        measured success.
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
        """Return a starting state of `task` (digits [D]), always solvable within the horizon. Consumes `key`."""

    @abstractmethod
    def observe(self, state: State) -> Observation:
        """Return the agent's observation. It reads the rule from `state.shown`, never from `state.task`."""

    @abstractmethod
    def step(self, state: State, action: jax.Array, key: jax.Array) -> tuple[State, Outcome]:
        """Return the state after an action (int [], below `num_actions`) and the outcome. Consumes `key`."""

    @abstractmethod
    def expert(self, state: State, kind: Literal["informed", "fair"] = "informed") -> jax.Array:
        """Return probabilities of the best actions, float32 [A], ties shared.

        "informed" knows the task. "fair" knows only what observations have shown so far: if the rule is visible, it
        reads the rule from `state.shown`, as `observe` does.
        """

    @abstractmethod
    def distance(self, state: State) -> jax.Array:
        """Return the expert's number of steps to success, int32 []."""

    @abstractmethod
    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> State:
        """Return a state of `task` (digits [D]) 1 to `steps` (int []) expert steps from success. Consumes `key`."""

    @abstractmethod
    def blind(self, observation: Observation) -> Observation:
        """Return the observation without the description of the task."""

    def scripted(self, observation: Observation) -> jax.Array:
        """Return action probabilities of S simple policies that ignore the description, float32 [S, A].

        The blind level of a family is the best of these and of a trained agent with the description masked. The first
        policy is uniform over legal actions; families add their own.
        """
        return (observation.action_mask / observation.action_mask.sum())[None]

    def behaviour(self, task: jax.Array) -> jax.Array:
        """Return integers of any fixed shape, equal for two tasks (digits [D]) that behave alike.

        By default these are the digits themselves.
        """
        return task

    @abstractmethod
    def describe(self, task: Any) -> str:
        """Describe the task (digits [D]) in one line for a person."""

    @property
    @abstractmethod
    def action_names(self) -> tuple[str, ...]:
        """The names of the actions, A of them."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keyboard keys of the actions, A characters, none of them q or n: digits from 0, then letters."""
        return tuple("0123456789abcdef"[: self.num_actions])

    @property
    @abstractmethod
    def rules(self) -> str:
        """The rules for a person, enough to win with the picture alone: at most eight lines of 100 characters."""

    @abstractmethod
    def render(self, state: State, described: bool = True) -> Picture:
        """Draw the agent's view, always in the same size.

        The picture is for people. It never shows what the agent cannot know; it may show what observations told the
        agent earlier in the episode.

        Args:
            state: a concrete state; `render` is never traced.
            described: whether to show the description, read from `state.shown`; never from `state.task`.
        """


class Playable(Protocol):
    """An interface that an agent can play: a family, or a mixture of families."""

    @property
    def spec(self) -> Spec:
        """The vocabularies of observations."""
        ...

    @property
    def num_actions(self) -> int:
        """The number of actions A, legal or not."""
        ...

    @property
    def members(self) -> Sequence[Family]:
        """The families that an agent meets, all with this `spec` and these actions."""
        ...


def as_shown(state: State) -> State:
    """Return the state with `shown` as its task, for fair experts."""
    return state._replace(task=state.shown)


def outcome(succeeded: jax.Array, failed: jax.Array | bool = False, cost: jax.Array | float = 0.0) -> Outcome:
    """Make an `Outcome` in which success and failure (bool []) end the episode; `cost` is a float32 []."""
    succeeded, failed = jnp.asarray(succeeded), jnp.asarray(failed)
    return Outcome(succeeded, failed, jnp.float32(cost), succeeded | failed)


def ends(family: Family, outcome: Outcome, elapsed: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return whether episodes terminated, and whether they ran out of time instead.

    Args:
        family: the family, for its horizon.
        outcome: outcomes of the last steps, leaves of any shape [...].
        elapsed: int32 [...]: steps since the starts of the episodes, the last one counted.

    Returns:
        Terminated, bool [...]; truncated, bool [...]. They exclude each other.
    """
    return outcome.ends_episode, (elapsed >= family.horizon) & ~outcome.ends_episode
