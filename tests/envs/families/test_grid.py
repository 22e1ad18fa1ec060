from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from incentivize.envs.families.grid import FAR, OFFSETS, descend, distinct, flood, neighbours


def breadth_first(exits, goal):
    """Distances by a queue, walking backwards from the goal."""
    _, rows, columns = exits.shape
    found = np.full(rows * columns, FAR)
    found[goal] = 0
    queue = deque([goal])
    while queue:
        cell = queue.popleft()
        for direction, (dr, dc) in enumerate(OFFSETS):
            before = (cell // columns - dr) % rows * columns + (cell % columns - dc) % columns
            if exits[direction].reshape(-1)[before] and found[before] == FAR:
                found[before] = found[cell] + 1
                queue.append(before)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_flood_is_breadth_first_search(seed):
    exits = np.random.default_rng(seed).random((4, 5, 6)) < 0.6
    assert (flood(jnp.array(exits), jnp.int32(7), 30) == breadth_first(exits, 7)).all()


def test_descend_shares_ties_and_heeds_walls():
    ahead = neighbours(jnp.int32(4), 3, 3)
    distances = jnp.array([2, 1, 2, 1, 2, 3, 2, 3, 4], jnp.uint8)
    assert descend(distances, jnp.int32(4), ahead, jnp.ones(4, bool)).tolist() == [0.5, 0, 0, 0.5]
    walled = jnp.array([False, True, True, True])
    assert descend(distances, jnp.int32(4), ahead, walled).tolist() == [0, 0, 0, 1]


def test_distinct_is_uniform_over_arrangements():
    words = jax.random.bits(jax.random.key(0), (24_000, 3))
    drawn = np.array(jax.vmap(lambda w: distinct(w, 4))(words))
    assert all(len(set(row)) == 3 for row in drawn)
    counts = np.bincount(drawn @ np.array([16, 4, 1]))
    counts = counts[counts > 0]
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-4
