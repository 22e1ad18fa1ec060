"""Probe environments: values and best actions known by hand (after rejax's and Andy Jones's probes)."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.family import Family, Observation, Spec, outcome
from incentivize.envs.render import Picture
from incentivize.envs.tasks import TaskSpace, make_pool


class ProbeState(NamedTuple):
    task: jax.Array
    shown: jax.Array
    seen: jax.Array  # uint8 []: the one slot of the observation
    step: jax.Array  # uint8 []


@dataclass(frozen=True)
class Probe(Family):
    """A probe with one slot of values 0 and 1, two actions and at most two steps.

    Attributes:
        steps: steps to the end of an episode.
        pays: condition for success at the end: "always", "seen" (slot is 1), "action" (action is 1), "match" (action
            equals slot) or "never"; "toll" charges 1 for every step. The last two end at the time limit only.
        limit: time limit, in steps.
    """

    steps: int = 1
    pays: str = "always"
    limit: int = 5

    @property
    def tasks(self):
        return TaskSpace((4, 4))

    @property
    def instances(self):
        return 2

    @property
    def horizon(self):
        return self.limit

    @property
    def num_actions(self):
        return 2

    @property
    def spec(self):
        return Spec(context=(2, 3), entity=(), num_entities=0)

    def init(self, key, task):
        return ProbeState(task, task, jax.random.bernoulli(key).astype(jnp.uint8), jnp.uint8(0))

    def observe(self, state):
        step = jnp.uint8(0) if self.pays == "toll" else jnp.minimum(state.step, 2)  # a toll's value is constant
        context = jnp.stack([state.seen, step])
        return Observation(context, jnp.zeros((0, 0), jnp.uint8), jnp.zeros(0, bool), jnp.ones(2, bool))

    def step(self, state, action, key):
        step = state.step + jnp.uint8(1)
        successes = {"always": True, "seen": state.seen == 1, "action": action == 1, "match": action == state.seen}
        success = jnp.asarray(successes.get(self.pays, False))
        end = (step >= self.steps) & (self.pays not in ("never", "toll"))
        return state._replace(step=step), outcome(end & success, end & ~success, float(self.pays == "toll"))

    def expert(self, state, kind="informed"):
        best = {"action": jnp.uint8(1), "match": state.seen}.get(self.pays)
        return jnp.full(2, 0.5) if best is None else jax.nn.one_hot(best, 2)

    def distance(self, state):
        return jnp.int32(self.steps) - state.step

    def start_near(self, key, task, steps):
        return self.init(key, task)

    def blind(self, observation):
        return observation

    def describe(self, task):
        return "probe"

    action_names = ("first", "second")
    rules = "A probe is for agents."

    def render(self, state, described=True):
        return Picture.blank(1, 1)


RULES = ("always", "seen", "action", "match", "toll")


@dataclass(frozen=True)
class Ruled(Probe):
    """A probe whose task says what it pays (one of RULES) and after how many steps, 1 or 2: one program for all."""

    limit: int = 2

    @property
    def tasks(self):
        return TaskSpace((len(RULES), 2))

    def pool(self, pays, steps=1):
        """Return the pool of one task."""
        split, ordinal = self.tasks.locate(np.array([RULES.index(pays), steps - 1], np.uint8))
        return jax.device_get(make_pool(1, split=split, first=ordinal))

    def observe(self, state):
        step = jnp.where(state.task[0] == RULES.index("toll"), jnp.uint8(0), state.step)
        return super().observe(state._replace(step=step))

    def step(self, state, action, key):
        step, toll = state.step + jnp.uint8(1), state.task[0] == RULES.index("toll")
        success = jnp.stack([jnp.bool_(True), state.seen == 1, action == 1, action == state.seen, jnp.bool_(False)])
        success, end = success[state.task[0]], (step > state.task[1]) & ~toll
        return state._replace(step=step), outcome(end & success, end & ~success, toll.astype(jnp.float32))

    def expert(self, state, kind="informed"):
        best = jnp.where(state.task[0] == RULES.index("action"), jnp.uint8(1), state.seen)
        told = (state.task[0] == RULES.index("action")) | (state.task[0] == RULES.index("match"))
        return jnp.where(told, jax.nn.one_hot(best, 2), 0.5)


@dataclass(frozen=True)
class AnyLength(Probe):
    """A probe of random length, 1 to 12 steps: episodes end by success, by failure, or by the time limit of 9 steps."""

    limit: int = 9

    def init(self, key, task):
        key_seen, key_step = jax.random.split(key)
        return super().init(key_seen, task)._replace(step=jax.random.randint(key_step, (), 0, 12).astype(jnp.uint8))

    def step(self, state, action, key):
        end = state.step == 11
        return state._replace(step=state.step + jnp.uint8(1)), outcome(end & (action == 1), end & (action == 0))


@dataclass(frozen=True)
class Recall(Probe):
    """A probe that shows its slot at the first step and asks for it at the last: without memory, half are won."""

    steps: int = 4
    pays: str = "match"

    def observe(self, state):
        context = jnp.stack([jnp.where(state.step == 0, state.seen, 0), jnp.minimum(state.step, 2)])
        return Observation(context, jnp.zeros((0, 0), jnp.uint8), jnp.zeros(0, bool), jnp.ones(2, bool))


class Walker(NamedTuple):
    task: jax.Array
    shown: jax.Array
    place: jax.Array  # uint8 []: steps from the goal


@dataclass(frozen=True)
class Corridor(Probe):
    """A walk of two actions, to the goal or away from it: success at the goal, failure beyond the far end.

    Two entities are seen, the goal and, from even places alone, the far end; the context shows the task, which changes
    nothing. A random walk ends in all three ways.

    Attributes:
        length: places to start in, 1 to `length` steps from the goal.
    """

    length: int = 3
    limit: int = 6

    @property
    def tasks(self):
        return TaskSpace((64, 64))

    @property
    def instances(self):
        return self.length

    @property
    def spec(self):
        return Spec(context=(64, 64), entity=(2, self.length + 2), num_entities=2)

    def init(self, key, task):
        return Walker(task, task, jax.random.randint(key, (), 1, self.length + 1).astype(jnp.uint8))

    def observe(self, state):
        entities = (
            jnp.array([[0, 0], [1, 0]], jnp.uint8)
            .at[:, 1]
            .set(jnp.stack([state.place, jnp.uint8(self.length + 1) - state.place]))
        )
        exists = jnp.stack([jnp.bool_(True), state.place % 2 == 0])
        return Observation(state.shown, jnp.where(exists[:, None], entities, 0), exists, jnp.ones(2, bool))

    def step(self, state, action, key):
        place = jnp.where(action == 0, state.place - 1, state.place + 1).astype(jnp.uint8)
        return state._replace(place=place), outcome(place == 0, place > self.length)

    def expert(self, state, kind="informed"):
        return jnp.array([1.0, 0.0])

    def distance(self, state):
        return state.place.astype(jnp.int32)

    def start_near(self, key, task, steps):
        farthest = jnp.minimum(steps, self.length).astype(jnp.int32)
        return Walker(task, task, jax.random.randint(key, (), 1, farthest + 1).astype(jnp.uint8))


def seen(slot, step=0):
    """Return an observation of a probe, as numpy arrays."""
    context = np.array([slot, step], np.uint8)
    return Observation(context, np.zeros((0, 0), np.uint8), np.zeros(0, bool), np.ones(2, bool))
