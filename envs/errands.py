"""Errands: walk to the one object that fits a description, past objects that nearly fit.

A task is a target: F attributes of V values each. An instance scatters the target and its distractors on a torus.
Touching the target succeeds; touching a distractor fails. Target and distractors are exchangeable given a hidden
centre (each keeps an attribute of the centre with probability 1/2 and draws the rest), so that the description is the
only clue: without it no policy beats 1 / objects.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from envs.family import Family, Observation, Outcome, Spec, outcome
from envs.grid import ACTIONS, KEYS, OFFSETS, cell_near, descend, distinct, flood, neighbours
from envs.render import BLUE, FAINT, GREEN, GRID, LEAF, ORANGE, PAPER, SAND, Picture, lattice
from envs.tasks import TaskSpace


class ErrandsState(NamedTuple):
    """One errand under way. Cells are numbered row by row."""

    task: jax.Array  # uint8 [F]: the target's attributes
    shown: jax.Array  # uint8 [F]: the description
    looks: jax.Array  # uint8 [objects, F]
    cells: jax.Array  # uint8 [objects]
    target: jax.Array  # uint8 []: which object is the target
    agent: jax.Array  # uint8 []: the agent's cell
    distances: jax.Array  # uint8 [size * size]: steps to the target around the distractors


@dataclass(frozen=True)
class Errands(Family):
    """A target among near misses on a torus.

    Knobs:
        attributes: F, how many attributes describe an object.
        values: V, how many values each attribute has.
        objects: how many objects lie about, the target included. Up to four can never wall in a cell of a torus.
        size: the side of the torus.
    """

    attributes: int = 10
    values: int = 16
    objects: int = 4
    size: int = 5

    def __post_init__(self) -> None:
        if not 2 <= self.objects <= 4:
            raise ValueError(f"objects={self.objects}: want 2 to 4 (five could wall in the target)")
        if not self.objects <= self.values <= 256:
            raise ValueError(f"values={self.values}: want {self.objects} (as many as objects) to 256")
        if not 4 <= self.size <= 11:
            raise ValueError(f"size={self.size}: want 4 to 11")
        if not 2 <= self.attributes <= 64:
            raise ValueError(f"attributes={self.attributes}: want 2 to 64")

    @property
    def tasks(self) -> TaskSpace:
        return TaskSpace((self.values,) * self.attributes)

    @property
    def instances(self) -> int:
        cells = self.size**2
        layouts = cells * (cells - 1)  # the agent and the target
        for other in range(self.objects - 1):
            layouts *= cells - 2 - other
        return layouts  # the distractors' attributes multiply this further

    @property
    def horizon(self) -> int:
        return 2 * self.size

    @property
    def num_actions(self) -> int:
        return 4

    @property
    def spec(self) -> Spec:
        return Spec(
            context=(self.values,) * self.attributes,
            entity=(self.values,) * self.attributes + (self.size,) * 2,
            num_entities=self.objects,
        )

    def init(self, key: jax.Array, task: jax.Array) -> ErrandsState:
        # One draw of words serves all, half a word an attribute: the generator is most of what a reset costs.
        halves = self.objects * self.attributes
        words = jax.random.bits(key, (2 * self.objects + 3 + (halves + 1) // 2,))
        places, apart, slots, looks = jnp.split(words, (self.objects + 1, 2 * self.objects + 1, 2 * self.objects + 3))
        cells = distinct(places, self.size**2)
        looks = jnp.concatenate([looks >> 16, looks & 0xFFFF])[:halves].reshape(self.objects, self.attributes)
        looks, target = self._objects(task, apart, slots, looks)
        return self._state(task, looks, cells[:-1], target, cells[-1])

    def _objects(self, task, apart, slots, halves) -> tuple[jax.Array, jax.Array]:
        """Attributes of all objects, uint8 [objects, F], no two alike, and the target's index, from random numbers."""
        # Row 0 makes the centre from the target, the others the distractors from the centre: the upper bit of a half
        # word says whether a value is kept, its lower bits what it is otherwise.
        keep = halves >> 15 == 0
        values = ((halves & 0x7FFF) % self.values).astype(jnp.uint8)
        centre = jnp.where(keep[0], task, values[0])
        looks = jnp.concatenate([task[None], jnp.where(keep[1:], centre, values[1:])])
        # One random attribute takes a different value in every object, in a way that favours none of them.
        column = jnp.arange(self.attributes) == slots[0] % self.attributes
        apart = distinct(apart, self.values)
        apart = ((apart - apart[0])[:, None] + task) % self.values
        looks = jnp.where(column, apart, looks).astype(jnp.uint8)
        target = (slots[1] % self.objects).astype(jnp.int32)
        places = jnp.arange(self.objects)
        order = jnp.where(places == target, 0, jnp.where(places == 0, target, places))
        return looks[order], target

    def _state(self, task, looks, cells, target, agent) -> ErrandsState:
        small = jnp.uint8
        blocked = ((jnp.arange(self.size**2)[:, None] == cells) & (jnp.arange(self.objects) != target)).any(-1)
        free = ~blocked.reshape(self.size, self.size)
        # Rolls, not gathers: they make a reset five times as quick.
        exits = jnp.stack([free & jnp.roll(free, (-row, -column), (0, 1)) for row, column in OFFSETS])
        return ErrandsState(
            task=task,
            shown=task,
            looks=looks,
            cells=cells.astype(small),
            target=target.astype(small),
            agent=agent.astype(small),
            distances=flood(exits, cells[target], self.horizon),
        )

    def observe(self, state: ErrandsState) -> Observation:
        size = self.size
        rows = (state.cells // size + size - state.agent // size) % size
        columns = (state.cells % size + size - state.agent % size) % size
        return Observation(
            context=state.shown,
            entities=jnp.concatenate([state.looks, rows[:, None], columns[:, None]], axis=1),
            entity_mask=jnp.ones(self.objects, bool),
            action_mask=jnp.ones(4, bool),
        )

    def step(self, state: ErrandsState, action: jax.Array, key: jax.Array) -> tuple[ErrandsState, Outcome]:
        agent = neighbours(state.agent, self.size, self.size)[action].astype(jnp.uint8)
        touched = state.cells == agent
        success = touched & (jnp.arange(self.objects) == state.target)
        return state._replace(agent=agent), outcome(success.any(), (touched & ~success).any())

    def expert(self, state: ErrandsState, kind: Literal["informed", "fair"] = "informed") -> jax.Array:
        ahead = neighbours(state.agent, self.size, self.size)
        return descend(state.distances, state.agent, ahead, jnp.ones(4, bool))

    def distance(self, state: ErrandsState) -> jax.Array:
        return state.distances[state.agent].astype(jnp.int32)

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> ErrandsState:
        key_init, key_start = jax.random.split(key)
        state = self.init(key_init, task)
        return state._replace(agent=cell_near(key_start, state.distances, steps))

    def blind(self, observation: Observation) -> Observation:
        return observation._replace(context=jnp.zeros_like(observation.context))

    def scripted(self, observation: Observation) -> jax.Array:
        """Uniform; the nearest object, whatever it is."""
        offsets = observation.entities[:, -2:].astype(jnp.int32)
        steps = jnp.minimum(offsets, self.size - offsets)
        row, column = offsets[steps.sum(1).argmin()]
        north_south = jnp.array([2 * row > self.size, False, 2 * row < self.size, False]) & (row != 0)
        east_west = jnp.array([False, 2 * column < self.size, False, 2 * column > self.size]) & (column != 0)
        nearest = jnp.where(row != 0, north_south, east_west).astype(jnp.float32)
        uniform = super().scripted(observation)
        return jnp.concatenate([uniform, jnp.where(nearest.any(), nearest, uniform[0])[None]])

    def describe(self, task: Any) -> str:
        return "go to the object that looks like " + "-".join(str(int(value)) for value in task)

    @property
    def action_names(self) -> tuple[str, ...]:
        return ACTIONS

    @property
    def keys(self) -> tuple[str, ...]:
        return KEYS

    @property
    def rules(self) -> str:
        return (
            f"Walk to the one object that fits the description in all {self.attributes} attributes.\n"
            "You are @; the letters are objects, and the table has their attributes ('=' where one fits).\n"
            "w north, d east, s south, a west. Leaving at one edge of the field you enter at the opposite one.\n"
            "Stepping on the right object wins, on any other one loses, so walk round those.\n"
            f"After {self.horizon} steps the time is up."
        )

    def render(self, state: ErrandsState, described: bool = True) -> Picture:
        left, wide = 4 * self.size + 4, len(str(self.values - 1)) + 2  # where the table begins; a column's width
        table = len("wanted ") + wide * self.attributes + len("  64 of 64")
        picture = Picture.blank(max(2 * self.size + 1, 2 + 2 * self.objects), left + table)
        everywhere = np.ones((self.size + 1, self.size), bool)
        for row, line in enumerate(lattice(everywhere, everywhere.T)):
            picture.write(row, 0, line, GRID)
        agent = int(state.agent)
        for letter, cell in zip("ABCD", np.array(state.cells).tolist(), strict=False):
            here = cell == agent
            picture.tile(divmod(cell, self.size), "@" * here + letter, PAPER, BLUE if here else ORANGE)
        if agent not in np.array(state.cells):
            picture.tile(divmod(agent, self.size), "@", PAPER, BLUE)
        self._table(picture, left, wide, np.array(state.looks), np.array(state.shown) if described else None)
        return picture

    def _table(self, picture: Picture, left: int, wide: int, looks: np.ndarray, shown: np.ndarray | None) -> None:
        """What is wanted, and what every object has of it."""
        start = left + len("wanted ")
        picture.write(1, left, "wanted")
        wanted = ["?"] * self.attributes if shown is None else shown.tolist()
        picture.write(1, start, "".join(f"{value:>{wide}}" for value in wanted) + " ", paper=SAND)
        for place, look in enumerate(looks.tolist()):
            row = 3 + 2 * place
            picture.write(row, left, f" {'ABCD'[place]} ", PAPER, ORANGE)
            for column, (value, want) in enumerate(zip(look, wanted, strict=True)):
                text = ("=" * (value == want) + str(value)).rjust(wide - 1)
                ink, paper = (GREEN, LEAF) if value == want else (FAINT, PAPER)
                picture.write(row, start + wide * column + 1, text, ink, paper)
            if shown is not None:
                count = f"{(looks[place] == shown).sum()} of {self.attributes}"
                picture.write(row, start + wide * self.attributes + 2, count)
