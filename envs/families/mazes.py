"""Mazes: find the way to a goal in a perfect maze that is shown as a map.

A task is a binary-tree maze, wall by wall, and a goal: every cell off the northern and eastern edge opens either north
or east, so that any two cells are joined by exactly one path. An instance is a start. The whole map is shown, centred
on the agent, two wall bits a cell, with the goal's offset. The description is the walls. The controls hide those and
leave the agent's place and the goal, which raises the blind level and makes the comparison stricter.

So a task has one instance fewer than cells, few enough for a specialist to learn by heart. With `goal_in_task=False`
the goal is drawn with the start. Then a few mazes have thousands of instances, and reading walls pays from a pool of
about four on (docs/design.md has the numbers).
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.families.grid import EAST, NORTH, SOUTH, GridFamily, cell_near, distinct, flood, neighbours
from incentivize.envs.family import Observation, Outcome, Spec, outcome
from incentivize.envs.render import BLUE, FAINT, GREEN, PAPER, WALL, Picture, lattice
from incentivize.envs.tasks import TaskSpace


class MazesState(NamedTuple):
    """One walk under way. Cells are numbered row by row from the north-west."""

    task: jax.Array  # uint8 [(rows - 1) * (columns - 1)]: 1 opens a cell to the north, 0 to the east; then the goal
    shown: jax.Array  # uint8, digits as in `task`: the maze on the map (its goal is not used)
    goal: jax.Array  # uint8 []: the goal's cell
    agent: jax.Array  # uint8 []: the agent's cell


@dataclass(frozen=True)
class Mazes(GridFamily):
    """A walk through a binary-tree maze with the map in hand.

    Knobs:
        rows, columns: the size of the maze. 7 x 7 has 2^36 mazes x 49 goals = 3.4 x 10^12 tasks, 48 instances each.
        goal_in_task: whether the goal belongs to the task, or is drawn for every instance.
        room: the rows and columns that the map has room for, to test agents on larger mazes; 0 for no more than needed.

    Out of distribution: larger mazes, for an agent trained with `room` for them.

    Raises:
        ValueError: if a knob is out of range.
    """

    rows: int = 7
    columns: int = 7
    goal_in_task: bool = True
    room: int = 0

    def __post_init__(self) -> None:
        if min(self.rows, self.columns) < 3 or max(self.rows, self.columns) > 11:
            raise ValueError(f"rows = {self.rows}, columns = {self.columns}: expected 3 to 11 each.")
        if self.room and not max(self.rows, self.columns) <= self.room <= 11:
            raise ValueError(f"room = {self.room}: expected at least rows and columns, up to 11, or 0 for the least.")

    @property
    def tasks(self) -> TaskSpace:
        return TaskSpace((2,) * self._walls + ((self._cells,) if self.goal_in_task else ()))

    @property
    def instances(self) -> int:
        return (self._cells - 1) * (1 if self.goal_in_task else self._cells)

    @property
    def _walls(self) -> int:
        return (self.rows - 1) * (self.columns - 1)

    @property
    def _window(self) -> tuple[int, int]:
        """The rows and columns of the map, in the middle of which the agent stands."""
        return 2 * (self.room or self.rows) - 1, 2 * (self.room or self.columns) - 1

    @property
    def _cells(self) -> int:
        return self.rows * self.columns

    @property
    def horizon(self) -> int:
        return 2 * (self.rows + self.columns)  # the longest path has 4 steps less

    @property
    def spec(self) -> Spec:
        tall, wide = self._window
        return Spec(context=(2,) * (2 * tall * wide) + (tall, wide), entity=(), num_entities=0)

    def _open(self, bits: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return whether each cell opens to the north and to the east, bool [rows, columns] each."""
        inner = bits[: self._walls].reshape(self.rows - 1, self.columns - 1).astype(bool)
        north = jnp.pad(jnp.pad(inner, ((0, 0), (0, 1)), constant_values=True), ((1, 0), (0, 0)))
        east = jnp.pad(jnp.pad(~inner, ((1, 0), (0, 0)), constant_values=True), ((0, 0), (0, 1)))
        return north, east

    def _exits(self, task: jax.Array) -> jax.Array:
        """Return whether one may leave each cell in each direction of `grid.ACTIONS`, bool [4, rows, columns]."""
        north, east = self._open(task)
        south = jnp.pad(north[1:], ((0, 1), (0, 0)))
        west = jnp.pad(east[:, :-1], ((0, 0), (1, 0)))
        return jnp.stack([north, east, south, west])

    def _north(self, task: jax.Array, cell: jax.Array) -> jax.Array:
        """Return whether a cell (int []) opens to the north, bool []. The north-eastern corner does not."""
        row, column = cell // self.columns, cell % self.columns
        wall = task[jnp.clip((row - 1) * (self.columns - 1) + column, 0, self._walls - 1)]
        return (row > 0) & ((column == self.columns - 1) | (wall == 1))

    def _above(self, task: jax.Array, cell: jax.Array) -> jax.Array:
        """Return the cell to which a cell (int32 [], not the north-eastern corner) opens, int32 []."""
        return jnp.where(self._north(task, cell), cell - self.columns, cell + 1)

    def _upward(self, task: jax.Array, cell: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Find the only path from a cell (int []) to the north-eastern corner: in a binary-tree maze each cell has one.

        Returns:
            The path's cells by their distance from the corner, int32 [rows + columns - 1], -1 beyond the cell itself;
            the length of the path in steps, int32 [].
        """
        cell = cell.astype(jnp.int32)
        away = cell // self.columns + self.columns - 1 - cell % self.columns
        way = [jnp.int32(-1)] * (self.rows + self.columns - 1)
        for depth in reversed(range(len(way))):
            on_path = depth <= away
            way[depth] = jnp.where(on_path, cell, -1)
            cell = jnp.where(on_path & (depth > 0), self._above(task, cell), cell)
        return jnp.stack(way), away

    def init(self, key: jax.Array, task: jax.Array) -> MazesState:
        task = jnp.asarray(task)  # it may be of NumPy
        agent, goal = distinct(jax.random.bits(key, (2,)), self._cells).astype(jnp.uint8)
        if self.goal_in_task:  # the other cell as far from the drawn goal as from the task's: uniform over the rest
            agent, goal = (agent.astype(jnp.int32) - goal + task[-1]) % self._cells, task[-1]
            agent = agent.astype(jnp.uint8)
        return MazesState(task=task, shown=task, goal=goal, agent=agent)

    def _line(self, bits: jax.Array) -> jax.Array:
        """Return both windows as seen from the north-western corner, row after row in one line of bits.

        Returns:
            Words, uint32 [n], the first bit lowest, with as many zeros before and behind the line as centring can show.
        """
        tall, wide = self._window
        inner = bits[: self._walls].reshape(self.rows - 1, self.columns - 1).astype(jnp.uint32)
        inner = (inner << jnp.arange(self.columns - 1, dtype=jnp.uint32)).sum(1, dtype=jnp.uint32)
        last = jnp.uint32(1 << self.columns - 1)  # the eastern column; below it are the others
        rows = {tall: last - 1}
        for row in range(1, self.rows):
            rows[row], rows[tall + row] = inner[row - 1] | last, inner[row - 1] ^ last - 1
        edge = tall * wide // 2  # to the middle of a window
        words = [jnp.uint32(0)] * (2 + 2 * (edge + tall * wide) // 32)
        for row, word in rows.items():
            place, shift = divmod(edge + wide * row, 32)
            words[place] = words[place] | word << shift
            words[place + 1] = words[place + 1] | word >> 1 >> 31 - shift
        return jnp.stack(words)

    def observe(self, state: MazesState) -> Observation:
        row, column = state.agent // self.columns, state.agent % self.columns
        tall, wide = self._window
        # Another centre of the map is another cut of the line; on words this takes a tenth of the operations.
        start = row.astype(jnp.uint32) * wide + column
        needed = -(-2 * tall * wide // 32)
        words = jax.lax.dynamic_slice(self._line(state.shown), ((start >> 5).astype(jnp.int32),), (needed + 1,))
        words = words[:-1] >> (start & 31) | words[1:] << 1 << 31 - (start & 31)
        words = jax.lax.optimization_barrier(words)  # or else XLA computes each word once for every one of its bits
        windows = (words[:, None] >> jnp.arange(32, dtype=jnp.uint32) & 1).astype(jnp.uint8).reshape(-1)
        rows = state.goal // self.columns + tall // 2 - row
        columns = state.goal % self.columns + wide // 2 - column
        context = jnp.concatenate([windows[: 2 * tall * wide], rows[None], columns[None]])
        return Observation(context, jnp.zeros((0, 0), jnp.uint8), jnp.zeros(0, bool), jnp.ones(4, bool))

    def step(self, state: MazesState, action: jax.Array, key: jax.Array) -> tuple[MazesState, Outcome]:
        cell = state.agent.astype(jnp.int32)
        ahead = neighbours(cell, self.rows, self.columns)[action]
        # Of two neighbours, the southern or western one has the opening. Across an edge it opens elsewhere.
        lower = jnp.where((action == NORTH) | (action == EAST), cell, ahead)
        vertical = (action == NORTH) | (action == SOUTH)
        is_open = (self._north(state.task, lower) == vertical) & (lower != self.columns - 1)
        agent = jnp.where(is_open, ahead, cell).astype(jnp.uint8)
        return state._replace(agent=agent), outcome(agent == state.goal)

    def expert(self, state: MazesState, kind: Literal["informed", "fair"] = "informed") -> jax.Array:
        cell, task = state.agent.astype(jnp.int32), state.shown if kind == "fair" else state.task
        way, _ = self._upward(task, state.goal)
        depth = cell // self.columns + self.columns - 1 - cell % self.columns
        after = jnp.concatenate([way[1:], jnp.full(1, -1)])[depth]
        to_goal = jnp.where(way[depth] == cell, after, self._above(task, cell))
        closer = (neighbours(cell, self.rows, self.columns) == to_goal) | (cell == state.goal)
        return closer / closer.sum(dtype=jnp.float32)

    def distance(self, state: MazesState) -> jax.Array:
        (way, far), (goal_way, away) = (self._upward(state.task, cell) for cell in (state.agent, state.goal))
        return far + away - 2 * (((way == goal_way) & (way >= 0)).sum(dtype=jnp.int32) - 1)

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> MazesState:
        key_init, key_start = jax.random.split(key)
        state = self.init(key_init, task)
        distances = flood(self._exits(task), state.goal, self.horizon - 4)
        return state._replace(agent=cell_near(key_start, distances, steps))

    def blind(self, observation: Observation) -> Observation:
        """Return the outline alone, which all mazes share: the open northern row and eastern column, not the walls.

        The outline's place on the map reveals the agent's place, which is no part of the description.
        """
        tall, wide = self._window
        north, east = observation.context[:-2].reshape(2, tall, wide) == 1
        top = jnp.argmax(east.any(1))  # only the northern row is sure to open east, only the eastern column north
        right = wide - 1 - jnp.argmax(north.any(0)[::-1])
        row, column = jnp.arange(tall)[:, None] - top, right - jnp.arange(wide)
        inside = (row >= 0) & (row < self.rows) & (column >= 0) & (column < self.columns)
        north, east = inside & (column == 0) & (row > 0), inside & (row == 0) & (column > 0)
        outline = jnp.stack([north, east]).reshape(-1).astype(jnp.uint8)
        return observation._replace(context=observation.context.at[:-2].set(outline))

    def scripted(self, observation: Observation) -> jax.Array:
        """Return three policies: uniform; towards the goal as if there were no walls; north or east."""
        tall, wide = self._window
        row = observation.context[-2].astype(jnp.int32) - tall // 2
        column = observation.context[-1].astype(jnp.int32) - wide // 2
        goalward = jnp.stack([row < 0, column > 0, row > 0, column < 0]).astype(jnp.float32)
        goalward = goalward + 0.05  # a little noise gets past walls in the way
        return jnp.concatenate(
            [super().scripted(observation), goalward[None] / goalward.sum(), jnp.array([[0.5, 0.5, 0.0, 0.0]])]
        )

    def describe(self, task: Any) -> str:
        bits = "".join(str(int(bit)) for bit in task[: self._walls])
        width = self.columns - 1
        goal = f" to cell {int(task[-1])}" if self.goal_in_task else ""
        return "find the way through " + "/".join(bits[i : i + width] for i in range(0, len(bits), width)) + goal

    @property
    def rules(self) -> str:
        return (
            "Find the way to the goal. You are @, the goal is G.\n"
            "w north, d east, s south, a west. Walking into a wall moves nothing, and costs a step.\n"
            f"Reaching the goal wins. Nothing loses but time: after {self.horizon} steps it is up."
        )

    def render(self, state: MazesState, described: bool = True) -> Picture:
        north, east = map(np.array, self._open(jnp.asarray(state.shown)))
        over = np.pad(~north, ((0, 1), (0, 0)), constant_values=True)
        left = np.pad(~east, ((0, 0), (1, 0)), constant_values=True)
        if not described:
            over[1:-1, :-1] = left[1:, 1:-1] = False
        picture = Picture.blank(2 * self.rows + 1, 4 * self.columns + 1)
        for row, line in enumerate(lattice(over, left)):
            picture.write(row, 0, line, WALL)
        if not described:  # walls that the outline does not decide
            for row, column in np.ndindex(self.rows - 1, self.columns - 1):
                picture.write(2 * row + 2, 4 * column + 2, "?", FAINT)
                picture.write(2 * row + 3, 4 * column + 4, "?", FAINT)
        agent, goal = int(state.agent), int(state.goal)
        picture.tile(divmod(goal, self.columns), "G", PAPER, GREEN)
        picture.tile(divmod(agent, self.columns), "@G" if agent == goal else "@", PAPER, BLUE)
        return picture
