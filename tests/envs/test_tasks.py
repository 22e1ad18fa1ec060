import functools
import itertools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from incentivize import envs
from incentivize.envs.tasks import SPLITS, TaskSpace, make_pool, shuffle

SMALL = [(4, 4), (2, 3, 5), (2,) * 9, (7, 1, 3, 4), (16, 3), (3, 720)]
BATCH = 20_000  # members that are made at once


def every(radices):
    return np.array(list(itertools.product(*map(range, radices))), np.uint32)


def packed(digits, radices):
    """One integer per digit vector."""
    weights = np.array([int(np.prod(radices[i + 1 :], dtype=np.uint64)) for i in range(len(radices))], np.uint64)
    return np.asarray(digits, np.uint64) @ weights


@functools.partial(jax.jit, static_argnames="inverse")
def shuffled(digits, radices, key, inverse=False):
    """Shuffle digit vectors [N, D]; compiled once for all keys."""
    return jax.vmap(lambda one: shuffle(one, radices, key, inverse=inverse))(digits)


@functools.cache
def members(space):
    """Compile a function of a pool and indices (uint32 [BATCH]) that returns the pool's tasks, digits [BATCH, D]."""
    return jax.jit(jax.vmap(space.member, (None, 0)))


def first_members(space, pool, batches=1):
    """Return the first tasks of a pool, digits [batches * BATCH, D]."""
    indices = np.arange(batches * BATCH, dtype=np.uint32).reshape(batches, BATCH)
    return np.concatenate([members(space)(pool, some) for some in indices])


@pytest.mark.parametrize("radices", SMALL)
@pytest.mark.parametrize("key", [0, 1, 2**32 - 1])
def test_shuffle_is_a_bijection(radices, key):
    digits, limits, key = every(radices), np.array(radices, np.uint32), np.uint32(key)
    there = np.asarray(shuffled(digits, limits, key))
    assert (there < limits).all()
    assert len(np.unique(packed(there, radices))) == len(digits)
    assert (np.asarray(shuffled(there, limits, key, inverse=True)) == digits).all()


def test_shuffles_of_different_keys_differ():
    digits, limits = every((2,) * 9), np.array((2,) * 9, np.uint32)
    first, second = (np.asarray(shuffled(digits, limits, np.uint32(key))) for key in (0, 1))
    assert (first == second).all(1).mean() < 0.02


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**40 - 1))
def test_inverse_on_a_large_space(key, number):
    radices = np.full(10, 16, np.uint32)
    digits = np.array([[number >> (4 * i) & 15 for i in range(10)]], np.uint32)
    there = shuffled(digits, radices, np.uint32(key))
    assert (np.asarray(shuffled(there, radices, np.uint32(key), inverse=True)) == digits).all()


@pytest.mark.parametrize("name", envs.names())
def test_no_duplicates_among_the_first_members(name):
    """Of more members than 16 bits can number."""
    space = envs.make(name).tasks
    tasks = first_members(space, make_pool(10**6), batches=7)
    assert len(np.unique(packed(tasks, space.radices))) == 7 * BATCH > 2**17


@pytest.mark.slow  # test_no_duplicates_among_the_first_members is the quick one
@pytest.mark.parametrize("name", envs.names())
def test_no_duplicates_among_a_million(name):
    space = envs.make(name).tasks
    tasks = first_members(space, make_pool(10**6), batches=50)
    assert len(np.unique(packed(tasks, space.radices))) == 10**6


@pytest.mark.parametrize("name", envs.names())
def test_size_is_beyond_10_to_the_12(name):
    space = envs.make(name).tasks
    assert space.size > 10**12
    assert sum(space.split_size(split) for split in SPLITS) == space.size
    assert min(space.split_size(split) for split in SPLITS) > space.size // 10


@pytest.mark.parametrize("radices", SMALL)
def test_splits_are_disjoint_and_complete(radices):
    space = TaskSpace(radices)
    seen = [tuple(space.task(split, i)) for split in SPLITS for i in range(space.split_size(split))]
    assert len(seen) == len(set(seen)) == space.size


@pytest.mark.parametrize("name", envs.names())
def test_every_split_has_the_same_digits(name):
    space = envs.make(name).tasks
    digits = [first_members(space, make_pool(BATCH, split=split)) for split in SPLITS]
    for place, radix in enumerate(space.radices):
        table = [np.bincount(d[:, place], minlength=radix) for d in digits]
        assert stats.chi2_contingency(table).pvalue > 1e-5
        assert stats.chisquare(table[0]).pvalue > 1e-5


def test_pools_are_nested_and_seeds_differ():
    space = envs.make("errands").tasks

    def first(size, seed):
        return packed(first_members(space, make_pool(size, seed=seed))[:size], space.radices)

    assert set(first(16, 0)) < set(first(64, 0))
    assert not set(first(64, 0)) & set(first(64, 1))
    assert [tuple(space.train(i)) for i in range(3)] == [tuple(space.task("training", i)) for i in range(3)]
    assert (packed([space.train(i) for i in range(4)], space.radices) == first(4, 0)).all()


@functools.partial(jax.jit, static_argnums=0)
def samples(space, pool):
    """Draw 4,000 tasks of a pool."""
    return jax.vmap(lambda key: space.sample(key, pool))(jax.random.split(jax.random.key(0), 4000))


@pytest.mark.parametrize("size", [1, 5, None])
def test_sample_draws_from_the_pool(size):
    space = TaskSpace((2,) * 9)
    pool = make_pool(size, seed=3)
    drawn = np.unique(np.array(samples(space, pool)), axis=0)
    found = {space.locate(task, seed=3) for task in drawn}
    expected = space.split_size("training") if size is None else size
    assert found == {("training", i) for i in range(expected)}


def test_sample_of_a_pool_in_another_split():
    space = envs.make("mazes").tasks
    pool = make_pool(1, split="heldout", first=7)
    assert (np.asarray(samples(space, pool)) == space.heldout(7)).all()


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("index", [0, 12_345, 10**10])
def test_locate_inverts_task(split, index):
    space = envs.make("mazes").tasks
    assert space.locate(space.task(split, index, seed=5), seed=5) == (split, index)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="at least two digits"):
        TaskSpace((5,))
    with pytest.raises(ValueError, match="too few"):
        TaskSpace((2, 3))
    space = TaskSpace((4, 4))
    with pytest.raises(IndexError, match=r"index = 2: expected 0 to 1 in the heldout split"):
        space.heldout(2)
    with pytest.raises(IndexError):
        space.train(-1)
    for index in (1.5, "1", None, True):
        with pytest.raises(ValueError, match=r"index = .*: expected an integer"):
            space.train(index)
    for seed in (-1, 2**32, 1.5):
        with pytest.raises(ValueError, match=r"seed = .*: expected an integer from 0 to 4,294,967,295"):
            space.task("training", 0, seed)
    for wrong in (
        {"size": 0},
        {"size": 4.5},
        {"size": "4"},
        {"size": True},
        {"seed": -1},
        {"seed": 2**32},
        {"first": -1},
    ):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} = .*: expected an integer from"):
            make_pool(**{"size": 4} | wrong)
    with pytest.raises(ValueError, match="split = 'test': expected one of training"):
        make_pool(4, split="test")
    assert make_pool(np.int64(4)) == make_pool(4)
