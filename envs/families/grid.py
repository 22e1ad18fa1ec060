"""Moves and exact distances on small grids, shared by the families that walk. Cells are numbered row by row."""

import jax
import jax.numpy as jnp

NORTH, EAST, SOUTH, WEST = range(4)
ACTIONS = ("north", "east", "south", "west")
KEYS = ("w", "d", "s", "a")  # as on a keyboard they lie
OFFSETS = ((-1, 0), (0, 1), (1, 0), (0, -1))  # rows, columns; row 0 is the northern edge
FAR = 254  # the distance of a cell that cannot be reached, kept below the end of uint8


def neighbours(cell: jax.Array, rows: int, columns: int) -> jax.Array:
    """The cells north, east, south and west of `cell` (int []), the edges joined (a torus), int32 [4]."""
    offsets = jnp.array(OFFSETS, jnp.int32)
    row = (cell.astype(jnp.int32) // columns + offsets[:, 0]) % rows
    column = (cell.astype(jnp.int32) % columns + offsets[:, 1]) % columns
    return row * columns + column


def flood(exits: jax.Array, goal: jax.Array, sweeps: int) -> jax.Array:
    """Step from every cell to the goal by breadth-first search.

    A row of the grid is one word of bits, so that a sweep is a few operations per row, batched over environments. Cells
    count in binary, a word per digit, the sweeps for which they were not reached.

    Args:
        exits: bool [4, rows, columns <= 32]: whether one may leave a cell in each direction. The grid is a torus; where
            it has edges, they are closed exits.
        goal: int [], a cell.
        sweeps: at least the largest finite distance.

    Returns:
        uint8 [rows * columns]; FAR where the goal cannot be reached.
    """
    _, rows, columns = exits.shape
    places = jnp.arange(columns, dtype=jnp.uint32)
    one, last = jnp.uint32(1), jnp.uint32(columns - 1)
    words = (exits.astype(jnp.uint32) << places).sum(-1, dtype=jnp.uint32)
    start = one << (goal % columns).astype(jnp.uint32)
    reached = [jnp.where(goal // columns == row, start, jnp.uint32(0)) for row in range(rows)]
    counts = [[jnp.zeros_like(start)] * sweeps.bit_length() for _ in range(rows)]

    def sweep(_, carry):
        reached, counts = carry
        return [_grown(reached, words, row, one, last) for row in range(rows)], [
            _counted(count, ~word) for count, word in zip(counts, reached, strict=True)
        ]

    reached, counts = jax.lax.fori_loop(0, sweeps, sweep, (reached, counts))
    digits = jnp.stack([jnp.stack(count) for count in counts])[..., None] >> places & 1  # [rows, digits, columns]
    distances = (digits << jnp.arange(sweeps.bit_length(), dtype=jnp.uint32)[:, None]).sum(1, dtype=jnp.uint32)
    found = jnp.stack(reached)[:, None] >> places & 1
    return jnp.where(found == 1, distances, FAR).astype(jnp.uint8).reshape(-1)


def _grown(reached: list[jax.Array], words: jax.Array, row: int, one: jax.Array, last: jax.Array) -> jax.Array:
    """A row of cells from which the goal has been reached, and those one exit away from them."""
    here = reached[row]
    east = here >> one | here << last  # bits above the row's are cut off by the exits
    west = here << one | here >> last
    north, south = reached[row - 1], reached[(row + 1) % len(reached)]
    return here | words[0, row] & north | words[1, row] & east | words[2, row] & south | words[3, row] & west


def _counted(digits: list[jax.Array], more: jax.Array) -> list[jax.Array]:
    """Counters in binary, one bit position per word, increased where `more` has a bit."""
    found = []
    for digit in digits:
        found.append(digit ^ more)
        more = digit & more
    return found


def descend(distances: jax.Array, cell: jax.Array, ahead: jax.Array, exits: jax.Array) -> jax.Array:
    """The moves that bring one step closer to the goal, ties shared.

    Args:
        distances: uint8 [cells], from `flood`.
        cell: int [], where one is.
        ahead: int [4], the neighbours of the cell.
        exits: bool [4], the open ones.

    Returns:
        Probabilities float32 [4]; uniform at the goal itself, where there is nothing left to do.
    """
    closer = exits & (distances[ahead].astype(jnp.int32) == distances[cell].astype(jnp.int32) - 1)
    closer = closer | ~closer.any()
    return closer / closer.sum(dtype=jnp.float32)


def cell_near(key: jax.Array, distances: jax.Array, steps: jax.Array) -> jax.Array:
    """Any cell 1 to `steps` (int []) steps from the goal, uint8 []. `distances` as in `descend`. Consumes `key`."""
    near = (distances >= 1) & (distances <= steps)
    return jax.random.categorical(key, jnp.where(near, 0.0, -jnp.inf)).astype(jnp.uint8)


def distinct(bits: jax.Array, size: int, taken: jax.Array | None = None) -> jax.Array:
    """Distinct numbers below `size`, from one word each: in random order where the words are random.

    Every word picks among the numbers still free by counting up past those taken: no sort and no table.

    Args:
        bits: unsigned integers [n].
        size: how many numbers there are; at least n and those taken.
        taken: int [m], numbers that are not free, all distinct; none by default.

    Returns:
        int32 [n].
    """
    known: list[jax.Array] = []  # kept in rising order
    for number in () if taken is None else taken.astype(jnp.int32):
        _insert(known, number)
    drawn = []
    for word in bits:
        pick = (word % (size - len(known))).astype(jnp.int32)
        for other in known:
            pick = pick + (pick >= other)
        drawn.append(pick)
        _insert(known, pick)
    return jnp.stack(drawn) if drawn else jnp.zeros(0, jnp.int32)


def _insert(rising: list[jax.Array], number: jax.Array) -> None:
    """Put a number into a list in rising order."""
    for place, other in enumerate(rising):
        rising[place], number = jnp.minimum(other, number), jnp.maximum(other, number)
    rising.append(number)
