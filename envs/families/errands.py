"""Errands: walk to the one object that fits a description, past objects that nearly fit.

A task is a target: F attributes of V values each. An instance scatters the target and its distractors on a torus.
Touching the target succeeds; touching a distractor fails. Target and distractors are exchangeable given a hidden
centre (each keeps an attribute of the centre with probability 1/2 and draws the rest), so that the description is the
only clue: without it no policy beats 1 / objects.

A chain is several targets in one world, each with distractors and a centre of its own. One description is shown at a
time; a target that has been reached is gone, and touching a later one too early fails like any other object.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.families.grid import ACTIONS, KEYS, OFFSETS, cell_near, descend, distinct, flood, neighbours
from incentivize.envs.family import Family, Observation, Outcome, Spec, outcome
from incentivize.envs.render import BLUE, FAINT, GREEN, GRID, LEAF, ORANGE, PAPER, SAND, Picture, lattice
from incentivize.envs.tasks import TaskSpace


class ErrandsState(NamedTuple):
    """One errand under way. Cells are numbered row by row."""

    task: jax.Array  # uint8 [chain * F]: the targets' attributes, as `Errands.targets_of` reads them
    shown: jax.Array  # uint8 [chain * F]: the descriptions
    looks: jax.Array  # uint8 [objects, F]
    cells: jax.Array  # uint8 [objects]
    targets: jax.Array  # uint8 [chain]: which objects are the targets, in the order of the errands
    leg: jax.Array  # uint8 []: how many targets have been reached
    agent: jax.Array  # uint8 []: the agent's cell


@dataclass(frozen=True)
class Errands(Family):
    """A target among near misses on a torus.

    Knobs:
        attributes: F, how many attributes describe an object.
        values: V, how many values each attribute has.
        objects: how many objects lie about, the targets included. Up to four can never wall in a cell of a torus.
        size: the side of the torus.
        chain: how many targets are to be reached, one after the other.

    Out of distribution: `chain=2` looks the same to an agent as single errands do; fewer `objects` or more.
    """

    attributes: int = 10
    values: int = 16
    objects: int = 4
    size: int = 5
    chain: int = 1

    def __post_init__(self) -> None:
        if not 2 <= self.objects <= 4:
            raise ValueError(f"objects={self.objects}: want 2 to 4 (five could wall in the target)")
        if not self.objects <= self.values <= 256:
            raise ValueError(f"values={self.values}: want {self.objects} (as many as objects) to 256")
        if not 4 <= self.size <= 11:
            raise ValueError(f"size={self.size}: want 4 to 11")
        if not 2 <= self.attributes <= 64:
            raise ValueError(f"attributes={self.attributes}: want 2 to 64")
        if self.chain < 1 or self.objects % self.chain:
            raise ValueError(f"chain={self.chain}: want a divisor of objects={self.objects}")

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
    def num_actions(self) -> int:
        return 4

    @property
    def spec(self) -> Spec:
        return Spec(
            context=(self.values,) * self.attributes,
            entity=(self.values,) * self.attributes + (self.size,) * 2,
            num_entities=self.objects,
        )

    def targets_of(self, digits: jax.Array) -> jax.Array:
        """The attributes of every target of a task, uint8 [chain, F].

        The first digit of a leg counts the values that no earlier target has as its first attribute: so no two
        targets are alike, whatever the digits.
        """
        looks = jnp.asarray(digits).reshape(self.chain, self.attributes)
        return looks.at[:, 0].set(distinct(looks[:, 0], self.values).astype(looks.dtype))

    def init(self, key: jax.Array, task: jax.Array) -> ErrandsState:
        task = jnp.asarray(task)  # it may be of NumPy
        # One draw of words serves all, half a word an attribute: the generator is most of what a reset costs.
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
        """Attributes of all objects, uint8 [objects, F], no two alike, the targets first, from random numbers."""
        # The first rows make a centre from every target, the others distractors from the centres: the upper bit of a
        # half word says whether a value is kept, its lower bits what it is otherwise.
        keep = halves >> 15 == 0
        values = ((halves & 0x7FFF) % self.values).astype(jnp.uint8)
        centres = jnp.where(keep[: self.chain], targets, values[: self.chain])
        centres = jnp.repeat(centres, self.objects // self.chain - 1, axis=0)
        looks = jnp.concatenate([targets, jnp.where(keep[self.chain :], centres, values[self.chain :])])
        # One random attribute, among those in which the targets differ, takes another value in every object: of the
        # values that are left each is as likely, so that it favours none of them.
        if self.chain == 1:  # all of them, which the compiler would take seconds to count
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
        """Which object goes into each slot, int32 [objects]: as many random swaps as there are words."""
        slots = jnp.arange(self.objects)
        for place in range(words.shape[0]):
            other = place + (words[place] % (self.objects - place)).astype(jnp.int32)
            here = jnp.arange(self.objects)
            swapped = jnp.where(here == place, other, jnp.where(here == other, place, here))
            slots = slots[swapped]
        return slots

    def _left(self, state: ErrandsState) -> jax.Array:
        """Which objects still lie about, bool [objects]."""
        reached = jnp.arange(self.chain)[:, None] < state.leg
        return ~(reached & (state.targets[:, None] == jnp.arange(self.objects))).any(0)

    def _current(self, state: ErrandsState) -> jax.Array:
        """The leg under way, int32 []; the last one where all is done."""
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
        wanted = jnp.arange(self.objects) == state.targets[self._current(state)]
        reached = (touched & wanted).any()
        after = state._replace(agent=agent, leg=state.leg + reached.astype(jnp.uint8))
        return after, outcome(after.leg == self.chain, (touched & ~wanted).any())

    def _distances(self, state: ErrandsState, leg: jax.Array | int) -> jax.Array:
        """Step from every cell to a leg's target around what is left of the others by then, uint8 [size * size]."""
        later = (state.targets[:, None] == jnp.arange(self.objects)) & (jnp.arange(self.chain) <= leg)[:, None]
        blocked = ((jnp.arange(self.size**2)[:, None] == state.cells) & ~later.any(0)).any(-1)
        free = ~blocked.reshape(self.size, self.size)
        # Rolls, not gathers: they make it five times as quick.
        exits = jnp.stack([free & jnp.roll(free, (-row, -column), (0, 1)) for row, column in OFFSETS])
        return flood(exits, state.cells[state.targets[leg]], 2 * self.size)

    def _described(self, state: ErrandsState) -> jax.Array:
        """Which object fits what was shown of every target in most attributes, uint8 [chain]."""
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
        """A start of the last leg."""
        key_init, key_start = jax.random.split(key)
        state = self.init(key_init, task)
        last = self.chain - 1
        near = cell_near(key_start, self._distances(state, last), steps)
        return state._replace(leg=jnp.uint8(last), agent=near)

    def blind(self, observation: Observation) -> Observation:
        return observation._replace(context=jnp.zeros_like(observation.context))

    def scripted(self, observation: Observation) -> jax.Array:
        """Uniform; the nearest object, whatever it is."""
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
    def action_names(self) -> tuple[str, ...]:
        return ACTIONS

    @property
    def keys(self) -> tuple[str, ...]:
        return KEYS

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
        left, wide = 4 * self.size + 4, len(str(self.values - 1)) + 2  # where the table begins; a column's width
        table = len("wanted ") + wide * self.attributes + len("  64 of 64")
        picture = Picture.blank(max(2 * self.size + 1, 2 + 2 * self.objects), left + table)
        everywhere = np.ones((self.size + 1, self.size), bool)
        for row, line in enumerate(lattice(everywhere, everywhere.T)):
            picture.write(row, 0, line, GRID)
        agent, left_over = int(state.agent), np.array(self._left(state))
        for letter, cell, there in zip("ABCD", np.array(state.cells).tolist(), left_over.tolist(), strict=False):
            here = cell == agent
            if there:
                picture.tile(divmod(cell, self.size), "@" * here + letter, PAPER, BLUE if here else ORANGE)
        if agent not in np.array(state.cells)[left_over]:
            picture.tile(divmod(agent, self.size), "@", PAPER, BLUE)
        wanted = np.array(self.targets_of(state.shown)[self._current(state)]) if described else None
        name = "wanted" if self.chain == 1 else f"{int(self._current(state)) + 1} of {self.chain}"
        self._table(picture, left, wide, np.where(left_over[:, None], np.array(state.looks, int), -1), name, wanted)
        return picture

    def _table(
        self, picture: Picture, left: int, wide: int, looks: np.ndarray, name: str, shown: np.ndarray | None
    ) -> None:
        """What is wanted, and what every object has of it; those that are gone are left out."""
        start = left + len("wanted ")
        picture.write(1, left, name)
        wanted = ["?"] * self.attributes if shown is None else shown.tolist()
        picture.write(1, start, "".join(f"{value:>{wide}}" for value in wanted) + " ", paper=SAND)
        for place, look in enumerate(looks.tolist()):
            row = 3 + 2 * place
            if look[0] < 0:
                continue
            picture.write(row, left, f" {'ABCD'[place]} ", PAPER, ORANGE)
            for column, (value, want) in enumerate(zip(look, wanted, strict=True)):
                text = ("=" * (value == want) + str(value)).rjust(wide - 1)
                ink, paper = (GREEN, LEAF) if value == want else (FAINT, PAPER)
                picture.write(row, start + wide * column + 1, text, ink, paper)
            if shown is not None:
                count = f"{(looks[place] == shown).sum()} of {self.attributes}"
                picture.write(row, start + wide * self.attributes + 2, count)
