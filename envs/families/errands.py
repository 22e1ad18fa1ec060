"""Errands: walk to the one object that fits a description, past objects that nearly fit.

A task is a target: F attributes of V values each. An instance scatters the target and its distractors on a torus.
Touching the target succeeds; touching a distractor fails. Target and distractors are exchangeable given a hidden
centre (each keeps an attribute of the centre with probability 1/2 and draws the rest). So the description is the only
clue: without it no policy beats 1 / objects.

A chain is several targets in one world, each with distractors and a centre of its own. One description is shown at a
time. A target that has been reached vanishes; touching a later target too early fails.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.arguments import check_integer
from incentivize.envs.families.grid import OFFSETS, GridFamily, cell_near, descend, distinct, flood, neighbours
from incentivize.envs.family import Observation, Outcome, Spec, outcome
from incentivize.envs.render import BLUE, FAINT, GREEN, GRID, LEAF, ORANGE, PAPER, SAND, Picture, lattice
from incentivize.envs.tasks import TaskSpace


class ErrandsState(NamedTuple):
    """One errand under way. Cells are numbered row by row."""

    task: jax.Array  # uint8 [chain * F]: the targets' attributes, as `Errands.targets_of` reads them
    shown: jax.Array  # uint8 [chain * F]: the descriptions
    looks: jax.Array  # uint8 [objects, F]: attributes
    cells: jax.Array  # uint8 [objects]: the objects' cells
    targets: jax.Array  # uint8 [chain]: indices of the target objects, in the order of the errands
    leg: jax.Array  # uint8 []: the number of targets reached so far
    agent: jax.Array  # uint8 []: the agent's cell


@dataclass(frozen=True)
class Errands(GridFamily):
    """A target among near misses on a torus.

    Knobs:
        attributes: the number of attributes of an object, F.
        values: the number of values of an attribute, V.
        objects: the number of objects, targets included. Up to four can never wall in a cell of a torus.
        size: the side of the torus, in cells.
        chain: the number of targets to be reached, one after the other.

    Out of distribution: `chain=2`, with the same observations as single errands; fewer `objects` or more.

    Raises:
        ValueError: if a knob is out of range.
    """

    attributes: int = 10
    values: int = 16
    objects: int = 4
    size: int = 5
    chain: int = 1

    def __post_init__(self) -> None:
        if not 2 <= self.objects <= 4:
            raise ValueError(f"objects = {self.objects}: expected 2 to 4 (five could wall in the target).")
        if not self.objects <= self.values <= 256:
            raise ValueError(f"values = {self.values}: expected {self.objects} to 256.")
        check_integer("size", self.size, 4, 11)
        check_integer("attributes", self.attributes, 2, 64)
        if self.chain < 1 or self.objects % self.chain:
            raise ValueError(f"chain = {self.chain}: expected a divisor of objects = {self.objects}.")

    @property
    def tasks(self) -> TaskSpace:
        rest = (self.values,) * (self.attributes - 1)
        return TaskSpace(tuple(radix for leg in range(self.chain) for radix in (self.values - leg, *rest)))

    @property
    def instances(self) -> int:
        cells = self.size**2
        layouts = cells * (cells - 1)  # the agent and one target
        for other in range(self.objects - 1):
            layouts *= cells - 2 - other
        return layouts  # the distractors' attributes multiply this further

    @property
    def instances_are_exact(self) -> bool:
        return False

    @property
    def horizon(self) -> int:
        return 2 * self.size * self.chain

    @property
    def spec(self) -> Spec:
        return Spec(
            context=(self.values,) * self.attributes,
            entity=(self.values,) * self.attributes + (self.size,) * 2,
            num_entities=self.objects,
        )

    def targets_of(self, digits: jax.Array) -> jax.Array:
        """Return the attributes of every target of a task (digits [chain * F]), uint8 [chain, F].

        The first digit of a leg counts only the values that no earlier target has as its first attribute. So no two
        targets are alike, whatever the digits.
        """
        looks = jnp.asarray(digits).reshape(self.chain, self.attributes)
        return looks.at[:, 0].set(distinct(looks[:, 0], self.values).astype(looks.dtype))

    def init(self, key: jax.Array, task: jax.Array) -> ErrandsState:
        task = jnp.asarray(task)  # it may be of NumPy
        # All random numbers come from one draw, half a word an attribute: the generator is most of a reset's cost.
        halves = self.objects * self.attributes
        swaps = 1 if self.chain == 1 else self.objects - 1
        counts = (self.objects + 1, self.objects - self.chain, 1, swaps, (halves + 1) // 2)
        words = jax.random.bits(key, (sum(counts),))
        ends = [sum(counts[: place + 1]) for place in range(len(counts) - 1)]
        places, apart, column, order, looks = jnp.split(words, ends)
        cells = distinct(places, self.size**2)
        looks = jnp.concatenate([looks >> 16, looks & 0xFFFF])[:halves].reshape(self.objects, self.attributes)
        looks = self._objects(self.targets_of(task), apart, column[0], looks)
        slots = self._slots(order)
        targets = (slots[:, None] == jnp.arange(self.chain)).argmax(0)
        return ErrandsState(
            task=task,
            shown=task,
            looks=looks[slots],
            cells=cells[:-1].astype(jnp.uint8),
            targets=targets.astype(jnp.uint8),
            leg=jnp.uint8(0),
            agent=cells[-1].astype(jnp.uint8),
        )

    def _objects(self, targets: jax.Array, apart: jax.Array, column: jax.Array, halves: jax.Array) -> jax.Array:
        """Draw the attributes of all objects, no two alike.

        Args:
            targets: uint8 [chain, F]: the attributes of the targets.
            apart: uint32 [objects - chain]: random words that set the distractors apart in one attribute.
            column: uint32 []: a random word that picks this attribute.
            halves: uint32 [objects, F]: random half words for all other attributes.

        Returns:
            Attributes, uint8 [objects, F], the targets first.
        """
        # The first rows make a centre from every target, the others make distractors from the centres. The upper bit
        # of a half word decides whether a value is kept; its lower bits are the new value otherwise.
        keep = halves >> 15 == 0
        values = ((halves & 0x7FFF) % self.values).astype(jnp.uint8)
        centres = jnp.where(keep[: self.chain], targets, values[: self.chain])
        centres = jnp.repeat(centres, self.objects // self.chain - 1, axis=0)
        looks = jnp.concatenate([targets, jnp.where(keep[self.chain :], centres, values[self.chain :])])
        # One random attribute, among those in which the targets differ, takes another value in every object. All values
        # that are left are equally likely, so that none of them is favoured.
        if self.chain == 1:  # all attributes qualify; the compiler would take seconds to count them
            chosen = jnp.arange(self.attributes) == column % self.attributes
        else:
            equal = (targets[:, None] == targets[None]).sum((0, 1)) > self.chain
            rank = column % (~equal).sum(dtype=jnp.uint32)
            chosen = ~equal & (jnp.cumsum(~equal) - 1 == rank)
        taken = jnp.where(chosen, targets, 0).sum(1)
        distractors = distinct(apart, self.values, taken).astype(jnp.uint8)
        apart = jnp.concatenate([taken.astype(jnp.uint8), distractors])
        return jnp.where(chosen, apart[:, None], looks)

    def _slots(self, words: jax.Array) -> jax.Array:
        """Return the object of every slot, int32 [objects], after one random swap per word (uint32 [n])."""
        slots = jnp.arange(self.objects)
        for place in range(words.shape[0]):
            other = place + (words[place] % (self.objects - place)).astype(jnp.int32)
            places = jnp.arange(self.objects)
            swapped = jnp.where(places == place, other, jnp.where(places == other, place, places))
            slots = slots[swapped]
        return slots

    def _left(self, state: ErrandsState) -> jax.Array:
        """Return whether each object has not been reached yet, bool [objects]."""
        reached = jnp.arange(self.chain)[:, None] < state.leg
        return ~(reached & (state.targets[:, None] == jnp.arange(self.objects))).any(0)

    def _current(self, state: ErrandsState) -> jax.Array:
        """Return the number of the leg under way, int32 []; that of the last one if all are done."""
        return jnp.minimum(state.leg.astype(jnp.int32), self.chain - 1)

    def observe(self, state: ErrandsState) -> Observation:
        size, left = self.size, self._left(state)
        rows = (state.cells // size + size - state.agent // size) % size
        columns = (state.cells % size + size - state.agent % size) % size
        entities = jnp.concatenate([state.looks, rows[:, None], columns[:, None]], axis=1)
        return Observation(
            context=self.targets_of(state.shown)[self._current(state)],
            entities=jnp.where(left[:, None], entities, 0),
            entity_mask=left,
            action_mask=jnp.ones(4, bool),
        )

    def step(self, state: ErrandsState, action: jax.Array, key: jax.Array) -> tuple[ErrandsState, Outcome]:
        agent = neighbours(state.agent, self.size, self.size)[action].astype(jnp.uint8)
        touched = (state.cells == agent) & self._left(state)
        is_target = jnp.arange(self.objects) == state.targets[self._current(state)]
        reached = (touched & is_target).any()
        after = state._replace(agent=agent, leg=state.leg + reached.astype(jnp.uint8))
        return after, outcome(after.leg == self.chain, (touched & ~is_target).any())

    def _distances(self, state: ErrandsState, leg: jax.Array | int) -> jax.Array:
        """Count the steps from every cell to a leg's target, around the objects left then, uint8 [size * size]."""
        later = (state.targets[:, None] == jnp.arange(self.objects)) & (jnp.arange(self.chain) <= leg)[:, None]
        blocked = ((jnp.arange(self.size**2)[:, None] == state.cells) & ~later.any(0)).any(-1)
        free = ~blocked.reshape(self.size, self.size)
        # Rolls are five times as quick as gathers.
        exits = jnp.stack([free & jnp.roll(free, (-row, -column), (0, 1)) for row, column in OFFSETS])
        return flood(exits, state.cells[state.targets[leg]], 2 * self.size)

    def _described(self, state: ErrandsState) -> jax.Array:
        """Return the index of the object that fits the shown description of every target best, uint8 [chain]."""
        fits = (self.targets_of(state.shown)[:, None] == state.looks).sum(-1)
        return fits.argmax(-1).astype(jnp.uint8)

    def expert(self, state: ErrandsState, kind: Literal["informed", "fair"] = "informed") -> jax.Array:
        if kind == "fair":
            state = state._replace(targets=self._described(state))
        ahead = neighbours(state.agent, self.size, self.size)
        return descend(self._distances(state, self._current(state)), state.agent, ahead, jnp.ones(4, bool))

    def distance(self, state: ErrandsState) -> jax.Array:
        total, start = jnp.int32(0), state.agent
        for leg in range(self.chain):
            steps = self._distances(state, leg)[start].astype(jnp.int32)
            total = total + jnp.where(leg >= state.leg, steps, 0)
            start = jnp.where(leg >= state.leg, state.cells[state.targets[leg]], start)
        return total

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> ErrandsState:
        """Return a start of the last leg."""
        key_init, key_start = jax.random.split(key)
        state = self.init(key_init, task)
        last = self.chain - 1
        near = cell_near(key_start, self._distances(state, last), steps)
        return state._replace(leg=jnp.uint8(last), agent=near)

    def blind(self, observation: Observation) -> Observation:
        return observation._replace(context=jnp.zeros_like(observation.context))

    def scripted(self, observation: Observation) -> jax.Array:
        """Return two policies: uniform, and towards the nearest object, whatever it is."""
        offsets = observation.entities[:, -2:].astype(jnp.int32)
        steps = jnp.minimum(offsets, self.size - offsets)
        row, column = offsets[jnp.where(observation.entity_mask, steps.sum(1), 2 * self.size).argmin()]
        north_south = jnp.array([2 * row > self.size, False, 2 * row < self.size, False]) & (row != 0)
        east_west = jnp.array([False, 2 * column < self.size, False, 2 * column > self.size]) & (column != 0)
        nearest = jnp.where(row != 0, north_south, east_west).astype(jnp.float32)
        uniform = super().scripted(observation)
        return jnp.concatenate([uniform, jnp.where(nearest.any(), nearest, uniform[0])[None]])

    def describe(self, task: Any) -> str:
        targets = np.array(self.targets_of(task))
        looks = ["-".join(str(value) for value in look) for look in targets.tolist()]
        return "go to the object that looks like " + ", then to ".join(looks)

    @property
    def rules(self) -> str:
        lines = [
            f"Walk to the one object that fits the description in all {self.attributes} attributes.",
            "You are @; the letters are objects, and the table has their attributes ('=' where one fits).",
            "w north, d east, s south, a west. Leaving at one edge of the field you enter at the opposite one.",
            "Stepping on the right object wins, on any other one loses, so walk round those.",
            f"After {self.horizon} steps the time is up.",
        ]
        if self.chain > 1:
            lines[3] = "Stepping on any other one loses, so walk round those."
            lines.insert(3, f"Reached, it vanishes, and the next is described: {self.chain} of them in a row win.")
        return "\n".join(lines)

    def render(self, state: ErrandsState, described: bool = True) -> Picture:
        left, wide = 4 * self.size + 4, len(str(self.values - 1)) + 2  # the table's first column; a column's width
        table = len("wanted ") + wide * self.attributes + len("  64 of 64")
        picture = Picture.blank(max(2 * self.size + 1, 2 + 2 * self.objects), left + table)
        everywhere = np.ones((self.size + 1, self.size), bool)
        for row, line in enumerate(lattice(everywhere, everywhere.T)):
            picture.write(row, 0, line, GRID)
        agent, left_over = int(state.agent), np.array(self._left(state))
        for letter, cell, is_left in zip("ABCD", np.array(state.cells).tolist(), left_over.tolist(), strict=False):
            if is_left:
                text, paper = (f"@{letter}", BLUE) if cell == agent else (letter, ORANGE)
                picture.tile(divmod(cell, self.size), text, PAPER, paper)
        if agent not in np.array(state.cells)[left_over]:
            picture.tile(divmod(agent, self.size), "@", PAPER, BLUE)
        target = np.array(self.targets_of(state.shown)[self._current(state)]) if described else None
        name = "wanted" if self.chain == 1 else f"{int(self._current(state)) + 1} of {self.chain}"
        self._table(picture, left, wide, np.where(left_over[:, None], np.array(state.looks, int), -1), name, target)
        return picture

    def _table(
        self, picture: Picture, left: int, wide: int, looks: np.ndarray, name: str, target: np.ndarray | None
    ) -> None:
        """Draw the table of attributes: the target's first, then those of the objects that are left.

        Args:
            picture: the picture to draw on.
            left: the first column of the table, in characters.
            wide: the width of a column, in characters.
            looks: int [objects, F]: attributes; -1 for an object that has been reached.
            name: the caption of the target's row.
            target: uint8 [F]: the attributes of the target; None draws question marks.
        """
        start = left + len("wanted ")
        picture.write(1, left, name)
        described = ["?"] * self.attributes if target is None else target.tolist()
        picture.write(1, start, "".join(f"{value:>{wide}}" for value in described) + " ", paper=SAND)
        for place, look in enumerate(looks.tolist()):
            row = 3 + 2 * place
            if look[0] < 0:
                continue
            picture.write(row, left, f" {'ABCD'[place]} ", PAPER, ORANGE)
            for column, (value, expected) in enumerate(zip(look, described, strict=True)):
                text, ink, paper = (f"={value}", GREEN, LEAF) if value == expected else (str(value), FAINT, PAPER)
                picture.write(row, start + wide * column + 1, text.rjust(wide - 1), ink, paper)
            if target is not None:
                count = f"{(looks[place] == target).sum()} of {self.attributes}"
                picture.write(row, start + wide * self.attributes + 2, count)
