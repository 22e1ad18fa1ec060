"""Probe environments: values and best actions known by hand (after rejax's and Andy Jones's probes)."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.family import Family, Observation, Spec, outcome
from incentivize.envs.render import Picture
from incentivize.envs.tasks import TaskSpace


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


def seen(slot, step=0):
    """Return an observation of a probe, as numpy arrays."""
    context = np.array([slot, step], np.uint8)
    return Observation(context, np.zeros((0, 0), np.uint8), np.zeros(0, bool), np.ones(2, bool))
