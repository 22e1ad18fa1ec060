from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize.envs.families.errands import Errands
from incentivize.envs.render import to_text
from incentivize.envs.tasks import make_pool

SMALL = Errands(attributes=3, values=4)
CHAIN = Errands(attributes=3, values=4, chain=2)


def draw(family):
    """Many instances of many tasks."""

    @jax.jit
    def drawn():
        keys = jax.random.split(jax.random.key(0), 20_000)
        tasks = jax.vmap(lambda key: family.tasks.sample(key, make_pool(None)))(keys)
        return jax.vmap(family.init)(jax.random.split(jax.random.key(1), 20_000), tasks)

    return jax.tree.map(np.array, drawn())


@cache
def one():
    """Return one instance."""
    return jax.jit(SMALL.init)(jax.random.key(0), jnp.array([1, 2, 3], jnp.uint8))


@pytest.fixture(scope="module")
def states():
    return draw(SMALL)


@pytest.fixture(scope="module")
def chains():
    return draw(CHAIN)


def test_the_fair_expert_goes_by_the_description(states):
    some = jax.tree.map(lambda leaf: np.array(leaf[:100]), states)
    elsewhere = some._replace(targets=(some.targets + 1) % 4)
    expert = jax.jit(jax.vmap(SMALL.expert, (0, None)), static_argnums=1)
    fair = [expert(these, "fair") for these in (some, elsewhere)]
    np.testing.assert_array_equal(*fair)
    np.testing.assert_array_equal(fair[0], expert(some, "informed"))


def test_target_is_the_only_object_that_fits(states):
    fits = (states.looks == states.task[:, None]).all(-1)
    assert (fits.sum(1) == 1).all()
    assert (fits.argmax(1) == states.targets[:, 0]).all()


def test_all_objects_and_the_agent_lie_apart(states):
    cells = np.column_stack([states.cells, states.agent])
    assert all(len(set(row)) == 5 for row in cells[:2000])


def test_nothing_but_the_description_betrays_the_target(states):
    """The object most or least like the others, and each slot, is the target one time in four."""
    likeness = (states.looks[:, :, None] == states.looks[:, None]).sum((-1, -2))
    noise = np.array(jax.random.uniform(jax.random.key(2), likeness.shape))  # ties at random
    for guess in ((likeness + noise).argmax(1), (likeness - noise).argmin(1), np.zeros(20_000, int)):
        assert abs(float((guess == states.targets[:, 0]).mean()) - 0.25) < 0.0125  # four standard errors


def test_distractors_are_near_misses(states):
    shared = (states.looks == states.task[:, None]).mean(-1)
    distractors = np.arange(4) != states.targets
    assert 0.27 < float(shared[distractors].mean()) < 0.32  # 2/3 of 7/16; independent ones would share 1/6


def test_touching_ends_well_or_badly():
    state, step = one(), jax.jit(SMALL.step)
    state = state._replace(
        agent=jnp.uint8(0), cells=jnp.array([5, 1, 12, 18], jnp.uint8), targets=jnp.array([0], jnp.uint8)
    )
    ends = [step(state, jnp.int32(action), jax.random.key(0))[1] for action in range(4)]  # N E S W
    assert [bool(end.succeeded) for end in ends] == [False, False, True, False]
    assert [bool(end.failed) for end in ends] == [False, True, False, False]


def test_offsets_are_relative_to_the_agent_on_a_torus():
    state = one()
    state = state._replace(agent=jnp.uint8(24), cells=jnp.array([0, 23, 4, 19], jnp.uint8))
    offsets = SMALL.observe(state).entities[:, -2:]
    assert offsets.tolist() == [[1, 1], [0, 4], [1, 0], [4, 0]]


def test_every_description_of_a_chain_fits_its_target_alone(chains):
    targets_of = jax.jit(jax.vmap(CHAIN.targets_of))
    targets = np.array(targets_of(chains.task))
    fits = (chains.looks[:, None] == targets[:, :, None]).all(-1)
    assert (fits.sum(-1) == 1).all()
    assert (fits.argmax(-1) == chains.targets).all()
    assert CHAIN.tasks.size == 4**3 * 3 * 4**2
    every = np.stack(np.meshgrid(*[np.arange(r, dtype=np.uint8) for r in CHAIN.tasks.radices]), -1).reshape(-1, 6)
    assert len(np.unique(np.array(targets_of(every)).reshape(-1, 6), axis=0)) == CHAIN.tasks.size


def test_nothing_but_the_description_betrays_the_first_of_a_chain(chains):
    likeness = (chains.looks[:, :, None] == chains.looks[:, None]).sum((-1, -2))
    noise = np.array(jax.random.uniform(jax.random.key(2), likeness.shape))
    for guess in (
        (likeness + noise).argmax(1),
        (likeness - noise).argmin(1),
        *np.tile(np.arange(4)[:, None], 20_000),
    ):
        assert abs(float((guess == chains.targets[:, 0]).mean()) - 0.25) < 0.0125


def test_a_chain_is_walked_in_order():
    state = jax.jit(CHAIN.init)(jax.random.key(0), jnp.zeros(6, jnp.uint8))
    cells, targets = jnp.array([1, 2, 12, 18], jnp.uint8), jnp.array([0, 1], jnp.uint8)
    state = state._replace(agent=jnp.uint8(0), cells=cells, targets=targets)
    east, key = jnp.int32(1), jax.random.key(0)
    step, observe = jax.jit(CHAIN.step), jax.jit(CHAIN.observe)
    first, second = np.array(CHAIN.targets_of(state.task))
    assert (observe(state).context == first).all()
    after, outcome = step(state, east, key)
    assert not outcome.succeeded
    assert not outcome.failed
    seen = observe(after)
    assert (seen.context == second).all()
    assert seen.entity_mask.tolist() == [False, True, True, True]
    assert step(after, east, key)[1].succeeded
    too_early = state._replace(targets=targets[::-1])
    assert step(too_early, east, key)[1].failed
    again, outcome = step(step(after, jnp.int32(0), key)[0], jnp.int32(2), key)  # back where the first was
    assert not outcome.failed
    assert again.leg == 1


def test_a_chain_looks_like_a_single_errand_to_an_agent():
    assert CHAIN.spec == SMALL.spec


def test_an_object_that_is_gone_is_not_drawn():
    family = Errands()
    state = jax.jit(family.init)(jax.random.key(0), jnp.asarray(family.tasks.heldout(0)))
    step, expert = jax.jit(family.step), jax.jit(family.expert)
    while not bool((found := step(state, np.argmax(expert(state)), jax.random.key(0)))[1].succeeded):
        state = found[0]
    before, after = (to_text(family.render(one)) for one in (state, found[0]))
    assert "10 of 10" in before
    assert "10 of 10" not in after
    assert "255" not in before + after
