"""Lives: several attempts at the same task, one after the other, make one episode.

After RL^2 (Duan et al. 2016, arXiv:1611.02779): the agent keeps its memory from attempt to attempt and sees which
action it took last and what that brought, so that it can use in one attempt what it found out in those before. Every
attempt has a start of its own, and a sparse reward pays for each that succeeds.
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

MOST = 16  # attempts
CHANGES = 0x11FE  # keys of the bijections that change a task: one more for every attempt

BROUGHT = ("", "goes on", "won", "lost", "too late")
"""What the last action brought, in words: nothing before the first of a life; then an attempt goes on or has ended."""
NOTHING, GOES_ON, WON, LOST, TOO_LATE = range(len(BROUGHT))


class LifeState(NamedTuple):
    """One life under way. The states in it have no `shown` of their own: what a life shows is its own affair."""

    task: jax.Array  # digits [D] that the first attempt obeys, and all others unless tasks change
    shown: jax.Array  # digits [D] that the agent may see; where tasks change, those of the attempt under way instead
    now: State  # where the attempt under way stands, with the task that it obeys
    starts: State  # leaves [attempts, ...]: where each begins, likewise
    attempt: jax.Array  # uint8 []: which one is under way
    elapsed: jax.Array  # uint16 []: steps since it began
    tried: jax.Array  # uint8 []: the last action, one more; 0 before the first
    brought: jax.Array  # uint8 []: what it brought, an index of BROUGHT


def _bare(state: State) -> State:
    return state._replace(shown=None)


@dataclass(frozen=True)
class Lives(Wrapper):
    """A family in whose episodes the task is attempted several times.

    An attempt ends as an episode of `family` does, or when the time of one is up. That is no truncation here: the next
    attempt begins, and with the last one the life is over. The memoryless "fair" expert stays what it is in `family`:
    it knows what the attempt under way has shown.

    Attributes:
        life: how many attempts it has, 1 to MOST.
        changing: each attempt after the first is at a task of its own, which a fixed bijection makes of the first one;
            for a hidden rule, as what is shown changes too. See `incentivize.envs.wrappers.controls.Changing`.
    """

    life: int
    changing: bool = False

    def __post_init__(self) -> None:
        if not 1 <= check_integer("life", self.life) <= MOST:
            raise ValueError(f"life={self.life!r}: want 1 to {MOST} attempts")
        if self.changing and self.reveals_rule:
            raise ValueError("changing=True: is for families with a hidden rule")

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
        """No: `instances` counts the starts of one attempt."""
        return self.attempts == 1 and self.family.instances_are_exact

    @property
    def horizon(self) -> int:
        return self.attempts * self.family.horizon

    @property
    def spec(self) -> Spec:
        """That of the family, with three more context slots: the attempt, the last action, what it brought."""
        spec = self.family.spec
        return replace(spec, context=(*spec.context, self.attempts, self.num_actions + 1, len(BROUGHT)))

    def _life(self, starts: State) -> LifeState:
        """A fresh life from the starts of its attempts (leaves [attempts, ...])."""
        first, none = jax.tree.map(lambda leaf: leaf[0], starts), jnp.uint8(0)
        return LifeState(first.task, first.shown, _bare(first), _bare(starts), none, jnp.uint16(0), none, none)

    def _tasks(self, task: jax.Array) -> jax.Array:
        """Digits [attempts, D]: those of every attempt."""
        if not self.changing:
            return jnp.broadcast_to(task, (self.attempts, *task.shape))
        keys, radices = CHANGES + jnp.arange(1, self.attempts), jnp.array(self.tasks.radices, jnp.uint32)
        others = jax.vmap(shuffle, (None, None, 0))(task.astype(jnp.uint32), radices, keys)
        return jnp.concatenate([task[None], others.astype(task.dtype)])

    def init(self, key: jax.Array, task: jax.Array) -> LifeState:
        return self._life(jax.vmap(self.family.init)(jax.random.split(key, self.attempts), self._tasks(task)))

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> LifeState:
        """All attempts start near success."""
        keys = jax.random.split(key, self.attempts)
        return self._life(jax.vmap(self.family.start_near, (0, 0, None))(keys, self._tasks(task), steps))

    def _now(self, state: LifeState) -> State:
        """The attempt under way as the family knows it."""
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
        told = jnp.stack([state.attempt, state.tried, state.brought])
        return seen._replace(context=jnp.concatenate([seen.context, told]))

    def _inner(self, observation: Observation) -> Observation:
        """What the family itself would show."""
        return observation._replace(context=observation.context[:-3])

    def blind(self, observation: Observation) -> Observation:
        """Without the description, and without what was tried and what came of it, which would tell it in time."""
        blind = self.family.blind(self._inner(observation))
        told = observation.context[-3:].at[1:].set(0)
        return blind._replace(context=jnp.concatenate([blind.context, told]))

    def scripted(self, observation: Observation) -> jax.Array:
        return self.family.scripted(self._inner(observation))

    def expert(self, state: LifeState, kind: Literal["informed", "fair"] = "informed") -> jax.Array:
        return self.family.expert(self._now(state), kind)

    def distance(self, state: LifeState) -> jax.Array:
        """The expert's number of steps to the end of the attempt under way."""
        return self.family.distance(self._now(state))

    @property
    def rules(self) -> str:
        what = "each at a task of its own" if self.changing else "at one task"
        note = f"You have {self.attempts} attempts {what}, in a row. Below: what the last step brought."
        return f"{self.family.rules}\n{note}"

    def render(self, state: LifeState, described: bool = True) -> Picture:
        text = f"attempt {int(state.attempt) + 1}/{self.attempts}"
        if described and int(state.tried):
            text += f": {self.action_names[int(state.tried) - 1]} - {BROUGHT[int(state.brought)]}"
        return self.family.render(self._now(state), described).captioned(text)
