"""Sums: read one number off a list that is shown, add another, answer.

A task is a list of six numbers below five. An instance picks one of them and a number to add. The episode is one answer
long, and succeeds if the answer is right.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family, Observation, Outcome, Spec, outcome
from incentivize.envs.render import ORANGE, PAPER, SAND, Picture
from incentivize.envs.tasks import TaskSpace


class SumsState(NamedTuple):
    """One question."""

    task: jax.Array  # uint8 [length]: the list that the answer obeys
    shown: jax.Array  # uint8 [length]: the list on the page
    place: jax.Array  # uint8 []: the place of the number that is asked for
    add: jax.Array  # uint8 []: the number to add


@dataclass(frozen=True)
class Sums(Family):
    """Lists of `length` numbers below `modulus`.

    Knobs:
        length: the number of numbers in a list.
        modulus: numbers and answers are below the modulus.
    """

    length: int = 6
    modulus: int = 5

    @property
    def tasks(self) -> TaskSpace:
        return TaskSpace((self.modulus,) * self.length)

    @property
    def instances(self) -> int:
        return self.length * self.modulus

    @property
    def horizon(self) -> int:
        return 1

    @property
    def num_actions(self) -> int:
        return self.modulus

    @property
    def spec(self) -> Spec:
        return Spec((self.length, self.modulus, *(self.modulus,) * self.length), entity=(), num_entities=0)

    def init(self, key: jax.Array, task: jax.Array) -> SumsState:
        place, add = jax.random.randint(key, (2,), 0, jnp.array([self.length, self.modulus])).astype(jnp.uint8)
        return SumsState(task, task, place, add)

    def observe(self, state: SumsState) -> Observation:
        context = jnp.concatenate([state.place[None], state.add[None], state.shown])
        return Observation(context, jnp.zeros((0, 0), jnp.uint8), jnp.zeros(0, bool), jnp.ones(self.modulus, bool))

    def _answer(self, state: SumsState, page: jax.Array) -> jax.Array:
        """Return the right answer for a list (uint8 [length]), uint8 []."""
        return (page[state.place] + state.add) % self.modulus

    def step(self, state: SumsState, action: jax.Array, key: jax.Array) -> tuple[SumsState, Outcome]:
        right = action == self._answer(state, state.task)
        return state, outcome(right, ~right)

    def expert(self, state: SumsState, kind: Literal["informed", "fair"] = "informed") -> jax.Array:
        page = state.shown if kind == "fair" else state.task  # a fair expert reads what the agent reads
        return jax.nn.one_hot(self._answer(state, page), self.modulus)

    def distance(self, state: SumsState) -> jax.Array:
        return jnp.int32(1)

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> SumsState:
        return self.init(key, task)

    def blind(self, observation: Observation) -> Observation:
        return observation._replace(context=observation.context.at[2:].set(0))

    def describe(self, task: Any) -> str:
        return "add to one of " + " ".join(str(int(number)) for number in task)

    @property
    def action_names(self) -> tuple[str, ...]:
        return tuple(str(answer) for answer in range(self.modulus))

    @property
    def rules(self) -> str:
        return f"In 1 step: add the number below to the marked one, answer with the sum modulo {self.modulus}."

    def render(self, state: SumsState, described: bool = True) -> Picture:
        picture = Picture.blank(3, 3 * self.length)
        for place in range(self.length):
            text = f" {int(state.shown[place]) if described else '?'} "
            picture.write(0, 3 * place, text, *((PAPER, ORANGE) if place == int(state.place) else ()))
        picture.write(2, 0, f"add {int(state.add)}", paper=SAND)
        return picture
