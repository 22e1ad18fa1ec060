"""Moves and exact distances on small grids, shared by the families that walk. Cells are numbered row by row."""

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family

NORTH, EAST, SOUTH, WEST = range(4)
ACTIONS = ("north", "east", "south", "west")
KEYS = ("w", "d", "s", "a")  # they lie in these directions on a keyboard
OFFSETS = ((-1, 0), (0, 1), (1, 0), (0, -1))  # rows, columns; row 0 is the northern edge
FAR = 254  # the distance of a cell that cannot be reached, kept below the end of uint8


class GridFamily(Family):
    """A family in which the agent walks north, east, south and west."""

    @property
    def num_actions(self) -> int:
        return len(ACTIONS)

    @property
    def action_names(self) -> tuple[str, ...]:
        return ACTIONS

    @property
    def keys(self) -> tuple[str, ...]:
        return KEYS


def neighbours(cell: jax.Array, rows: int, columns: int) -> jax.Array:
    """Return the cells north, east, south and west of `cell` (int []) on a torus, int32 [4]."""
    offsets = jnp.array(OFFSETS, jnp.int32)
    row = (cell.astype(jnp.int32) // columns + offsets[:, 0]) % rows
    column = (cell.astype(jnp.int32) % columns + offsets[:, 1]) % columns
    return row * columns + column


def flood(exits: jax.Array, goal: jax.Array, sweeps: int) -> jax.Array:
    """Count the steps from every cell to the goal by breadth-first search.

    A row of the grid is one word of bits, so that a sweep is a few operations per row, batched over environments. Each
    cell counts the sweeps before it is reached, in binary, with one word of a row for every binary digit.

    Args:
        exits: bool [4, rows, columns <= 32]: whether one may leave a cell in each direction. The grid is a torus;
            closed exits make edges.
        goal: int [], a cell.
        sweeps: at least the largest finite distance.

    Returns:
        Distances, uint8 [rows * columns]; FAR in cells from which the goal cannot be reached.
    """
    _, rows, columns = exits.shape
    places = jnp.arange(columns, dtype=jnp.uint32)
    step, last = jnp.uint32(1), jnp.uint32(columns - 1)  # shifts to the next column, and around the edge
    words = (exits.astype(jnp.uint32) << places).sum(-1, dtype=jnp.uint32)
    start = jnp.uint32(1) << (goal % columns).astype(jnp.uint32)
    reached = [jnp.where(goal // columns == row, start, jnp.uint32(0)) for row in range(rows)]
    counts = [[jnp.zeros_like(start)] * sweeps.bit_length() for _ in range(rows)]

    def sweep(_, carry):
        reached, counts = carry
        grown = [_grown(reached, words, row, step, last) for row in range(rows)]
        return grown, [_counted(count, ~word) for count, word in zip(counts, reached, strict=True)]

    reached, counts = jax.lax.fori_loop(0, sweeps, sweep, (reached, counts))
    digits = jnp.stack([jnp.stack(count) for count in counts])[..., None] >> places & 1  # [rows, digits, columns]
    distances = (digits << jnp.arange(sweeps.bit_length(), dtype=jnp.uint32)[:, None]).sum(1, dtype=jnp.uint32)
    reached_bits = jnp.stack(reached)[:, None] >> places & 1
    return jnp.where(reached_bits == 1, distances, FAR).astype(jnp.uint8).reshape(-1)


def _grown(reached: list[jax.Array], words: jax.Array, row: int, step: jax.Array, last: jax.Array) -> jax.Array:
    """Return a row (uint32 [], one bit a cell) of the cells reached, with the cells one exit away added."""
    cells = reached[row]
    east = cells >> step | cells << last  # bits above the row's are cut off by the exits
    west = cells << step | cells >> last
    north, south = reached[row - 1], reached[(row + 1) % len(reached)]
    return cells | words[0, row] & north | words[1, row] & east | words[2, row] & south | words[3, row] & west


def _counted(digits: list[jax.Array], more: jax.Array) -> list[jax.Array]:
    """Add 1 to the binary counters (one word a digit, uint32 []) of the cells whose bit is set in `more`."""
    increased = []
    for digit in digits:
        increased.append(digit ^ more)
        more = digit & more
    return increased


def descend(distances: jax.Array, cell: jax.Array, ahead: jax.Array, exits: jax.Array) -> jax.Array:
    """Return probabilities of the moves that bring the agent one step closer to the goal, ties shared.

    Args:
        distances: uint8 [cells], from `flood`.
        cell: int []: the agent's cell.
        ahead: int [4]: the neighbours of that cell.
        exits: bool [4]: whether the move to each neighbour is open.

    Returns:
        Probabilities, float32 [4]; uniform at the goal itself.
    """
    closer = exits & (distances[ahead].astype(jnp.int32) == distances[cell].astype(jnp.int32) - 1)
    closer = closer | ~closer.any()
    return closer / closer.sum(dtype=jnp.float32)


def cell_near(key: jax.Array, distances: jax.Array, steps: jax.Array) -> jax.Array:
    """Draw a cell at `distances` (uint8 [cells]) from 1 to `steps` (int []), uint8 []. Consumes `key`."""
    near = (distances >= 1) & (distances <= steps)
    return jax.random.categorical(key, jnp.where(near, 0.0, -jnp.inf)).astype(jnp.uint8)


def distinct(bits: jax.Array, size: int, taken: jax.Array | None = None) -> jax.Array:
    """Turn random words into distinct numbers below `size`, in random order.

    Every word picks among the numbers still free by counting up past those taken: no sort and no table.

    Args:
        bits: unsigned integers [n].
        size: the number of numbers, at least n + m.
        taken: int [m]: distinct numbers that are not free; None for none.

    Returns:
        Distinct numbers, int32 [n].
    """
    used: list[jax.Array] = []  # kept in rising order
    for number in () if taken is None else taken.astype(jnp.int32):
        _insert(used, number)
    drawn = []
    for word in bits:
        pick = (word % (size - len(used))).astype(jnp.int32)
        for other in used:
            pick = pick + (pick >= other)
        drawn.append(pick)
        _insert(used, pick)
    return jnp.stack(drawn) if drawn else jnp.zeros(0, jnp.int32)


def _insert(rising: list[jax.Array], number: jax.Array) -> None:
    """Put a number into a list in rising order."""
    for place, other in enumerate(rising):
        rising[place], number = jnp.minimum(other, number), jnp.maximum(other, number)
    rising.append(number)
