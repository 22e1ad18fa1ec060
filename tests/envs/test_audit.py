import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.audit import DRAWN, audit
from envs.tasks import SPLITS, make_pool

KEY = jax.random.key(0)


@pytest.mark.parametrize("name", envs.names())
def test_families_are_sound_at_every_pool(name):
    family = envs.make(name)
    for size, distinct in ((4, 4), (None, DRAWN)):
        found = audit(family, make_pool(size, seed=1), KEY)
        assert found.sound
        assert (found.distinct, found.strangers, found.overlap) == (distinct, 0, 0)
        assert sum(found.nearest.values()) == 128
        assert min(found.nearest) >= 1


@pytest.mark.parametrize("size", [4, None])
def test_the_planted_leak_trips_it(size):
    found = audit(envs.make("errands", "leak"), make_pool(size), KEY)
    assert not found.sound
    assert found.overlap == 128  # all of the 256 that leak are drawn some 2,000 times
    assert found.strangers == 256
    assert found.nearest == {0: 128}


def test_copies_show_as_fewer_distinct_tasks():
    found = audit(envs.make("errands", "duplicated"), make_pool(64), KEY)
    assert found.sound
    assert found.distinct == 8


def test_tasks_that_are_one_in_effect_are_counted():
    alike = audit(envs.make("programs", length=2), make_pool(2000), KEY)
    assert alike.sound
    assert alike.same_behaviour > 50  # 5,184 programs of two instructions compute far fewer functions
    assert audit(envs.make("programs"), make_pool(4), KEY).same_behaviour == 0
    assert audit(envs.make("errands", attributes=2, values=4), make_pool(8), KEY, heldout=2).same_behaviour == 0


def test_puzzles_in_another_order_are_one():
    family = envs.make("puzzles", moves=3)
    assert (family.behaviour(jnp.array([5, 9, 2])) == family.behaviour(jnp.array([9, 2, 5]))).all()


def test_digests_tell_held_out_tasks_apart_and_not_pools():
    first, second = (audit(envs.make("mazes"), make_pool(4, seed=seed), KEY) for seed in (0, 1))
    assert first.digests == second.digests
    assert len(set(first.digests.values())) == len(SPLITS)
    assert first.digests != audit(envs.make("mazes", goal_in_task=False), make_pool(4), KEY).digests


@pytest.mark.parametrize("name", envs.names())
def test_the_split_of_a_task_is_where_it_is_located(name):
    space = envs.make(name).tasks
    tasks = [space.task(split, index) for split in SPLITS for index in (0, 7, 10**9)]
    found = jax.jit(jax.vmap(space.split_of))(jnp.array(np.stack(tasks)))
    assert [SPLITS[index] for index in found] == [space.locate(task)[0] for task in tasks]
