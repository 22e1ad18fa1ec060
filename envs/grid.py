"""Moves and exact distances on small grids, shared by the families that walk. Cells are numbered row by row."""

import jax
import jax.numpy as jnp

NORTH, EAST, SOUTH, WEST = range(4)
ACTIONS = ("north", "east", "south", "west")
OFFSETS = ((-1, 0), (0, 1), (1, 0), (0, -1))  # rows, columns; row 0 is the northern edge
FAR = 254  # the distance of a cell that cannot be reached, kept below the end of uint8


def neighbours(cell: jax.Array, rows: int, columns: int) -> jax.Array:
    """The cells north, east, south and west of `cell` (int []), the edges joined (a torus), int32 [4]."""
    offsets = jnp.array(OFFSETS, jnp.int32)
    row = (cell.astype(jnp.int32) // columns + offsets[:, 0]) % rows
    column = (cell.astype(jnp.int32) % columns + offsets[:, 1]) % columns
    return row * columns + column


def flood(exits: jax.Array, goal: jax.Array, sweeps: int) -> jax.Array:
    """Steps from every cell to the goal by breadth-first search.

    Args:
        exits: bool [4, rows, columns]: whether one may leave a cell in each direction. The grid is a torus; where it
            has edges, they are closed exits.
        goal: int [], a cell.
        sweeps: at least the largest finite distance.

    Returns:
        uint8 [rows * columns]; FAR where the goal cannot be reached.
    """
    shape = exits.shape[1:]
    at_goal = (jnp.arange(shape[0] * shape[1], dtype=jnp.uint8) == goal).reshape(shape)
    distances = jnp.where(at_goal, 0, FAR).astype(jnp.uint8)

    def sweep(_, distances):
        best = jnp.full(shape, FAR - 1, jnp.uint8)
        for direction, (row, column) in enumerate(OFFSETS):
            ahead = jnp.roll(distances, (-row, -column), (0, 1))
            best = jnp.minimum(best, jnp.where(exits[direction], ahead, FAR - 1).astype(jnp.uint8))
        return jnp.minimum(distances, best + jnp.uint8(1))

    return jax.lax.fori_loop(0, sweeps, sweep, distances).reshape(-1)


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


def distinct(bits: jax.Array, size: int) -> jax.Array:
    """Distinct numbers below `size` in random order, from one random word each.

    Every draw picks among the numbers still free by counting up past those taken: no sort and no table.

    Args:
        bits: uint32 [n], random; n <= size.
        size: how many numbers there are.

    Returns:
        int32 [n].
    """
    taken: list[jax.Array] = []  # kept in rising order
    drawn = []
    for turn in range(bits.shape[0]):
        pick = (bits[turn] % (size - turn)).astype(jnp.int32)
        for other in taken:
            pick = pick + (pick >= other)
        drawn.append(pick)
        carried = pick
        for place, other in enumerate(taken):
            taken[place], carried = jnp.minimum(other, carried), jnp.maximum(other, carried)
        taken.append(carried)
    return jnp.stack(drawn)
