"""Probe environments: values and best actions known by hand (after rejax's and Andy Jones's probes)."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

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
    """One slot with values 0 and 1, two actions, at most two steps.

    Attributes:
        steps: how many steps to the end.
        pays: when the end is a success: "always", "seen" (slot 1), "action" (action 1), "match" (action equals slot),
            "never", or "toll": every step costs 1. The last two never end by themselves.
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
        step = jnp.uint8(0) if self.pays == "toll" else jnp.minimum(state.step, 2)  # a toll knows no time
        context = jnp.stack([state.seen, step])
        return Observation(context, jnp.zeros((0, 0), jnp.uint8), jnp.zeros(0, bool), jnp.ones(2, bool))

    def step(self, state, action, key):
        step = state.step + jnp.uint8(1)
        good = {"always": True, "seen": state.seen == 1, "action": action == 1, "match": action == state.seen}
        good = jnp.asarray(good.get(self.pays, False))
        end = (step >= self.steps) & (self.pays not in ("never", "toll"))
        return state._replace(step=step), outcome(end & good, end & ~good, float(self.pays == "toll"))

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
    """Episodes that end after 1 to 12 steps, as drawn, by success, by failure, or because time is up after 9."""

    limit: int = 9

    def init(self, key, task):
        key_seen, key_step = jax.random.split(key)
        return super().init(key_seen, task)._replace(step=jax.random.randint(key_step, (), 0, 12).astype(jnp.uint8))

    def step(self, state, action, key):
        end = state.step == 11
        return state._replace(step=state.step + jnp.uint8(1)), outcome(end & (action == 1), end & (action == 0))


@dataclass(frozen=True)
class Recall(Probe):
    """What is seen at the first step only is asked for at the last: without memory every policy wins half the time."""

    steps: int = 4
    pays: str = "match"

    def observe(self, state):
        context = jnp.stack([jnp.where(state.step == 0, state.seen, 0), jnp.minimum(state.step, 2)])
        return Observation(context, jnp.zeros((0, 0), jnp.uint8), jnp.zeros(0, bool), jnp.ones(2, bool))


def seen(slot, step=0):
    """The observation of a probe."""
    context = jnp.array([slot, step], jnp.uint8)
    return Observation(context, jnp.zeros((0, 0), jnp.uint8), jnp.zeros(0, bool), jnp.ones(2, bool))
