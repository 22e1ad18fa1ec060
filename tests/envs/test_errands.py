import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.errands import Errands

SMALL = Errands(attributes=3, values=4)


@pytest.fixture(scope="module")
def states():
    """Many instances of many tasks."""

    @jax.jit
    def draw():
        keys = jax.random.split(jax.random.key(0), 20_000)
        tasks = jax.random.randint(jax.random.key(1), (20_000, 3), 0, 4).astype(jnp.uint8)
        return jax.vmap(SMALL.init)(keys, tasks)

    return draw()


def test_target_is_the_only_object_that_fits(states):
    fits = (states.looks == states.task[:, None]).all(-1)
    assert (fits.sum(1) == 1).all()
    assert (fits.argmax(1) == states.target).all()


def test_all_objects_and_the_agent_lie_apart(states):
    cells = np.column_stack([states.cells, states.agent])
    assert all(len(set(row)) == 5 for row in cells[:2000])


def test_nothing_but_the_description_betrays_the_target(states):
    """The object most or least like the others, and each slot, is the target one time in four."""
    likeness = (states.looks[:, :, None] == states.looks[:, None]).sum((-1, -2))
    noise = jax.random.uniform(jax.random.key(2), likeness.shape)  # ties at random
    for guess in ((likeness + noise).argmax(1), (likeness - noise).argmin(1), jnp.zeros(20_000, int)):
        assert abs(float((guess == states.target).mean()) - 0.25) < 0.0125  # four standard errors


def test_distractors_are_near_misses(states):
    shared = (states.looks == states.task[:, None]).mean(-1)
    distractors = jnp.arange(4) != states.target[:, None]
    assert 0.27 < float(shared[distractors].mean()) < 0.32  # 2/3 of 7/16; independent ones would share 1/6


def test_touching_ends_well_or_badly():
    state = SMALL.init(jax.random.key(0), jnp.array([1, 2, 3], jnp.uint8))
    state = state._replace(agent=jnp.uint8(0), cells=jnp.array([5, 1, 12, 18], jnp.uint8), target=jnp.uint8(0))
    ends = [SMALL.step(state, jnp.int32(action), jax.random.key(0))[1] for action in range(4)]  # N E S W
    assert [bool(end.succeeded) for end in ends] == [False, False, True, False]
    assert [bool(end.failed) for end in ends] == [False, True, False, False]


def test_offsets_are_relative_to_the_agent_on_a_torus():
    state = SMALL.init(jax.random.key(0), jnp.array([1, 2, 3], jnp.uint8))
    state = state._replace(agent=jnp.uint8(24), cells=jnp.array([0, 23, 4, 19], jnp.uint8))
    offsets = SMALL.observe(state).entities[:, -2:]
    assert offsets.tolist() == [[1, 1], [0, 4], [1, 0], [4, 0]]
