import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from incentivize.envs.contract import batched
from incentivize.envs.contract.players import alone
from incentivize.envs.families.mazes import Mazes, MazesState

FAMILY = Mazes(rows=4, columns=5, goal_in_task=False)


def walls(bits):
    """Which cells open north and east, by the rule in words."""
    north, east = np.zeros((4, 5), bool), np.zeros((4, 5), bool)
    for row in range(4):
        for column in range(5):
            if row == 0 or column == 4:
                north[row, column], east[row, column] = row > 0, column < 4
            else:
                chosen = bits[(row - 1) * 4 + column]
                north[row, column], east[row, column] = chosen == 1, chosen == 0
    return north, east


def steps_between(north, east):
    """From every cell to every other, float [cells, cells], by Floyd and Warshall; infinite where there is no way."""
    rows, columns = north.shape
    steps = np.full((rows * columns,) * 2, np.inf)
    np.fill_diagonal(steps, 0)
    for openings, offset in ((north, -columns), (east, 1)):
        for cell in np.flatnonzero(openings):
            steps[cell, cell + offset] = steps[cell + offset, cell] = 1
    for via in range(len(steps)):
        steps = np.minimum(steps, steps[:, via, None] + steps[via])
    return steps


stepped = jax.jit(jax.vmap(FAMILY.step, in_axes=(0, 0, None)))


@pytest.fixture
def state():
    return alone(FAMILY, "init")(jax.random.key(3), jnp.array(FAMILY.tasks.train(11)))


def test_a_maze_is_a_spanning_tree(state):
    north, east = walls(np.array(state.task))
    assert north.sum() + east.sum() == 4 * 5 - 1
    assert not np.isinf(steps_between(north, east)).any()


def test_moves_follow_the_walls(state):
    north, east = walls(np.array(state.task))
    for cell in range(20):
        row, column = divmod(cell, 5)
        here = state._replace(agent=jnp.uint8(cell))
        ends = [int(alone(FAMILY, "step")(here, jnp.int32(a), jax.random.key(0))[0].agent) for a in range(4)]
        south = row < 3 and north[row + 1, column]
        west = column > 0 and east[row, column - 1]
        expected = [cell - 5 * north[row, column], cell + east[row, column], cell + 5 * south, cell - west]
        assert ends == expected


@pytest.mark.parametrize("index", range(3))
def test_the_expert_takes_the_only_way_from_every_cell_to_every_other(index):
    task = jnp.array(FAMILY.tasks.train(index))
    steps = steps_between(*walls(np.array(task)))
    agents, goals = (axis.astype(np.uint8) for axis in np.divmod(np.arange(400), 20))
    tasks = np.tile(task, (400, 1))
    states = MazesState(tasks, tasks, goals, agents)
    assert (np.array(batched(FAMILY, "distance")(states)) == steps[agents, goals]).all()
    chosen = np.array(batched(FAMILY, "expert")(states))
    apart = agents != goals
    assert (chosen[~apart] == 0.25).all()
    assert set(np.unique(chosen[apart])) == {0.0, 1.0}
    after, outcomes = jax.tree.map(np.asarray, stepped(states, chosen.argmax(1), jax.random.key(0)))
    assert (steps[after.agent, goals] == steps[agents, goals] - 1)[apart].all()
    assert (np.array(outcomes.succeeded) == (steps[agents, goals] == 1))[apart].all()


def test_the_map_is_centred_on_the_agent(state):
    for shown in (FAMILY.tasks.train(11), FAMILY.tasks.train(12)):
        north, east = walls(shown)
        for cell in (0, 7, 19):
            row, column = divmod(cell, 5)
            here = state._replace(agent=jnp.uint8(cell), shown=jnp.array(shown))
            context = np.array(alone(FAMILY, "observe")(here).context)
            for window, wall in zip(context[:-2].reshape(2, 7, 9), (north, east), strict=True):
                expected = np.zeros((7, 9), bool)
                expected[3 - row : 7 - row, 4 - column : 9 - column] = wall
                assert (window == expected).all()
            goal_row, goal_column = divmod(int(state.goal), 5)
            assert context[-2:].tolist() == [goal_row - row + 3, goal_column - column + 4]


@pytest.mark.parametrize(
    ("rows", "columns", "room"), [(3, 11, 0), (11, 3, 0), (7, 7, 0), (11, 11, 0), (5, 4, 7), (3, 3, 11)]
)
def test_maps_of_any_size_are_the_walls_cut_out(rows, columns, room):
    family = Mazes(rows=rows, columns=columns, room=room)
    tall, wide = 2 * (room or rows) - 1, 2 * (room or columns) - 1
    digits = jnp.array(family.tasks.train(5))
    state = family.init(jax.random.key(0), digits)
    north, east = np.zeros((2, rows, columns), bool)
    inner = np.array(digits[: (rows - 1) * (columns - 1)]).reshape(rows - 1, columns - 1) == 1
    north[1:, :-1], north[1:, -1], east[1:, :-1], east[0, :-1] = inner, True, ~inner, True
    padded = np.pad([north, east], ((0, 0), (tall // 2,) * 2, (wide // 2,) * 2))
    cells = jnp.arange(rows * columns, dtype=jnp.uint8)
    contexts = jax.jit(jax.vmap(lambda cell: family.observe(state._replace(agent=cell)).context))(cells)
    for cell, context in enumerate(np.array(contexts)):
        row, column = divmod(cell, columns)
        seen = padded[:, row : row + tall, column : column + wide]
        assert (context[:-2].reshape(2, tall, wide) == seen).all()
        assert context[-2:].tolist() == [
            int(state.goal) // columns + tall // 2 - row,
            int(state.goal) % columns + wide // 2 - column,
        ]


def test_blind_leaves_the_outline_and_the_goal(state):
    for cell in range(20):
        row, column = divmod(cell, 5)
        seen = alone(FAMILY, "observe")(state._replace(agent=jnp.uint8(cell)))
        observation = jax.tree.map(np.array, alone(FAMILY, "blind")(seen))
        expected = np.zeros((2, 7, 9), bool)
        expected[0, 4 - row : 7 - row, 8 - column] = True  # the eastern column opens north, but for its corner
        expected[1, 3 - row, 4 - column : 8 - column] = True  # the northern row opens east
        assert (np.array(observation.context[:-2]).reshape(2, 7, 9) == expected).all()
        assert (observation.context[-2:] == np.array(seen.context)[-2:]).all()


def test_only_the_goal_succeeds_and_nothing_fails(state):
    goal = int(state.goal)
    beside = int(np.flatnonzero(steps_between(*walls(np.array(state.task)))[goal] == 1)[0])
    here = state._replace(agent=jnp.uint8(beside))
    outcomes = [alone(FAMILY, "step")(here, jnp.int32(a), jax.random.key(0))[1] for a in range(4)]
    assert sum(bool(o.succeeded) for o in outcomes) == 1
    assert not any(bool(o.failed) for o in outcomes)
    assert int(alone(FAMILY, "expert")(here).argmax()) == [bool(o.succeeded) for o in outcomes].index(True)


def test_a_goal_in_the_task_is_the_goal_and_leaves_the_start_to_the_instance():
    family = Mazes(rows=4, columns=5)
    assert family.tasks.size == 2**12 * 20
    assert family.instances == 19
    start = jax.jit(jax.vmap(family.init, (0, None)))
    for index in range(5):
        task = jnp.array(family.tasks.train(index))
        states = start(jax.random.split(jax.random.key(index), 2000), task)
        assert (states.goal == task[-1]).all()
        counts = np.bincount(np.array(states.agent), minlength=20)
        assert counts[int(task[-1])] == 0
        assert stats.chisquare(np.delete(counts, int(task[-1]))).pvalue > 1e-4


def test_start_and_goal_are_uniform_over_pairs():
    task = jnp.array(FAMILY.tasks.train(0))
    states = jax.jit(jax.vmap(lambda key: FAMILY.init(key, task)))(jax.random.split(jax.random.key(0), 20_000))
    pairs = np.array(states.agent, int) * 20 + np.array(states.goal)
    counts = np.bincount(pairs, minlength=400).reshape(20, 20)
    assert (np.diag(counts) == 0).all()
    assert (counts[~np.eye(20, dtype=bool)] > 0).all()
