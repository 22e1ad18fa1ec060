"""Lives: episodes of several attempts at the same task, one after the other.

RL^2 (Duan et al. 2016, arXiv:1611.02779) calls a life a *trial* and an attempt an *episode*. The agent keeps its memory
from attempt to attempt and sees its last action and what that brought, so that it can use what it found out before.
Every attempt has a starting state of its own, and a sparse reward pays for each attempt that succeeds.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from incentivize.envs.arguments import check_integer
from incentivize.envs.family import Observation, Outcome, Spec, State, ends
from incentivize.envs.render import Picture
from incentivize.envs.tasks import shuffle
from incentivize.envs.wrappers.base import Wrapper

MOST_ATTEMPTS = 16
CHANGES = 0x11FE  # this plus the number of an attempt is the key of the bijection that changes its task

BROUGHT = ("", "goes on", "won", "lost", "too late")
"""The words for the result of the last action: none before a life's first action, then the attempt went on or ended."""
NOTHING, GOES_ON, WON, LOST, TOO_LATE = range(len(BROUGHT))


class LifeState(NamedTuple):
    """One life under way. The states in it have None in place of `shown`, which a life sets itself."""

    task: jax.Array  # digits [D] that the first attempt obeys, and all others unless tasks change
    shown: jax.Array  # digits [D] that the agent may see; not used if tasks change: then each attempt shows its own
    now: State  # the state of the attempt under way, with the task that the attempt obeys
    starts: State  # leaves [attempts, ...]: the first state of every attempt, with the task that the attempt obeys
    attempt: jax.Array  # uint8 []: the number of the attempt under way, from 0 on
    elapsed: jax.Array  # uint16 []: steps since the attempt began
    tried: jax.Array  # uint8 []: the last action plus one; 0 before the first
    brought: jax.Array  # uint8 []: the result of the last action, an index of BROUGHT


def _bare(state: State) -> State:
    """Return a state without its `shown`."""
    return state._replace(shown=None)


@dataclass(frozen=True)
class Lives(Wrapper):
    """A family whose episodes are lives: several attempts at one task. RL^2 calls a life a trial.

    An attempt ends as an episode of `family` does, or when the horizon of `family` is reached. That is no truncation:
    the next attempt begins, and the life ends with the last one. The "fair" expert is that of `family`, which has no
    memory: it knows what the attempt under way has shown.

    Attributes:
        life: the number of attempts, 1 to MOST_ATTEMPTS. In RL^2 this is the number of episodes of a trial.
        changing: whether each attempt after the first is at a task of its own, made from the first one's by a fixed
            bijection. Only for hidden rules. See `incentivize.envs.wrappers.controls.Changing`.

    Raises:
        ValueError: if `life` is out of range, or tasks change although the rule is visible.
    """

    life: int
    changing: bool = False

    def __post_init__(self) -> None:
        check_integer("life", self.life, 1, MOST_ATTEMPTS)
        if self.changing and self.reveals_rule:
            raise ValueError(
                f"changing = True: needs a family with a hidden rule; {type(self.family).__name__} shows its rule. "
                "Set changing=False."
            )

    @property
    def attempts(self) -> int:
        return self.life

    def attempt(self, state: LifeState) -> jax.Array:
        return state.attempt.astype(jnp.int32)

    def last_attempt(self, start: LifeState) -> LifeState:
        last = self.attempts - 1
        return start._replace(now=jax.tree.map(lambda leaf: leaf[last], start.starts), attempt=jnp.uint8(last))

    @property
    def instances_are_exact(self) -> bool:
        """Whether `instances` is exact: not in a life, as it counts the starting states of one attempt."""
        return self.attempts == 1 and self.family.instances_are_exact

    @property
    def horizon(self) -> int:
        return self.attempts * self.family.horizon

    @property
    def spec(self) -> Spec:
        """The family's spec with three more context slots: the attempt, the last action, its result."""
        spec = self.family.spec
        return replace(spec, context=(*spec.context, self.attempts, self.num_actions + 1, len(BROUGHT)))

    def _life(self, starts: State) -> LifeState:
        """Begin a life from the starts of its attempts (leaves [attempts, ...])."""
        first, zero = jax.tree.map(lambda leaf: leaf[0], starts), jnp.uint8(0)
        return LifeState(first.task, first.shown, _bare(first), _bare(starts), zero, jnp.uint16(0), zero, zero)

    def _tasks(self, task: jax.Array) -> jax.Array:
        """Return the tasks of all attempts, digits [attempts, D], from that of the first."""
        if not self.changing:
            return jnp.broadcast_to(task, (self.attempts, *task.shape))
        keys, radices = CHANGES + jnp.arange(1, self.attempts), jnp.array(self.tasks.radices, jnp.uint32)
        others = jax.vmap(shuffle, (None, None, 0))(task.astype(jnp.uint32), radices, keys)
        return jnp.concatenate([task[None], others.astype(task.dtype)])

    def init(self, key: jax.Array, task: jax.Array) -> LifeState:
        return self._life(jax.vmap(self.family.init)(jax.random.split(key, self.attempts), self._tasks(task)))

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> LifeState:
        """Begin a life all of whose attempts start near success."""
        keys = jax.random.split(key, self.attempts)
        return self._life(jax.vmap(self.family.start_near, (0, 0, None))(keys, self._tasks(task), steps))

    def _now(self, state: LifeState) -> State:
        """Return the state of the attempt under way as the family expects it, with `shown`."""
        return state.now._replace(shown=state.now.task if self.changing else state.shown)

    def step(self, state: LifeState, action: jax.Array, key: jax.Array) -> tuple[LifeState, Outcome]:
        after, outcome = self.family.step(self._now(state), action, key)
        elapsed = state.elapsed + jnp.uint16(1)
        terminated, late = ends(self.family, outcome, elapsed)
        ended, last = terminated | late, state.attempt == self.attempts - 1
        renewed = ended & ~last
        attempt = state.attempt + renewed.astype(jnp.uint8)
        brought = jnp.select([outcome.succeeded, outcome.failed, late], [WON, LOST, TOO_LATE], GOES_ON)
        state = state._replace(
            now=jax.tree.map(lambda old, new: jnp.where(renewed, new[attempt], old), _bare(after), state.starts),
            attempt=attempt,
            elapsed=jnp.where(renewed, jnp.uint16(0), elapsed),
            tried=(1 + action).astype(jnp.uint8),
            brought=brought.astype(jnp.uint8),
        )
        return state, outcome._replace(ends_episode=ended & last)

    def observe(self, state: LifeState) -> Observation:
        seen = self.family.observe(self._now(state))
        slots = jnp.stack([state.attempt, state.tried, state.brought])
        return seen._replace(context=jnp.concatenate([seen.context, slots]))

    def _inner(self, observation: Observation) -> Observation:
        """Return the family's own part of an observation."""
        return observation._replace(context=observation.context[:-3])

    def blind(self, observation: Observation) -> Observation:
        """Mask the description, the last action and its result, as these would reveal the task in time."""
        blind = self.family.blind(self._inner(observation))
        slots = observation.context[-3:].at[1:].set(0)
        return blind._replace(context=jnp.concatenate([blind.context, slots]))

    def scripted(self, observation: Observation) -> jax.Array:
        return self.family.scripted(self._inner(observation))

    def expert(self, state: LifeState, kind: Literal["informed", "fair"] = "informed") -> jax.Array:
        return self.family.expert(self._now(state), kind)

    def distance(self, state: LifeState) -> jax.Array:
        """Return the expert's number of steps to success in the attempt under way, int32 []."""
        return self.family.distance(self._now(state))

    @property
    def rules(self) -> str:
        tasks = "each at a task of its own" if self.changing else "at one task"
        note = f"You have {self.attempts} attempts {tasks}, in a row. Below: what the last step brought."
        return f"{self.family.rules}\n{note}"

    def render(self, state: LifeState, described: bool = True) -> Picture:
        text = f"attempt {int(state.attempt) + 1}/{self.attempts}"
        if described and int(state.tried):
            text += f": {self.action_names[int(state.tried) - 1]} - {BROUGHT[int(state.brought)]}"
        return self.family.render(self._now(state), described).captioned(text)
