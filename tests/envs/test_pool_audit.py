import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs
from incentivize.envs import pool_audit as module
from incentivize.envs.pool_audit import AUDITED_DRAWS, PoolClaim, audit, tasks_outside_pool
from incentivize.envs.tasks import SPLITS, make_pool

KEY = jax.random.key(0)


@pytest.mark.parametrize("name", envs.names())
def test_families_are_sound_at_every_pool(name):
    family = envs.make(name)
    for size, distinct in ((4, 4), (None, AUDITED_DRAWS)):
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


@pytest.mark.parametrize(("size", "seed"), [(4, 2), (64, 0), (None, 1)])
def test_a_leak_in_what_training_draws_from_trips_it(size, seed, monkeypatch):
    """One episode in eight is at any of the held-out tasks, which the task space itself knows nothing of."""
    family = envs.make("errands", values=11)  # of which no other test compiles anything
    honest = module.start_sampler

    def leaky(family, pool):
        def draw(key):
            held = honest(family, make_pool(None, split="heldout"))(key)
            leaks = jax.random.bernoulli(jax.random.fold_in(key, 1), 1 / 8)
            return jax.tree.map(lambda ours, theirs: jnp.where(leaks, theirs, ours), honest(family, pool)(key), held)

        return draw

    monkeypatch.setattr(module, "start_sampler", leaky)
    found = audit(family, make_pool(size, seed=seed), KEY)
    assert not found.sound
    assert found.strangers == pytest.approx(AUDITED_DRAWS / 8, rel=0.2)
    assert found.overlap == 0  # of so many held-out tasks few are evaluated


def test_strays_are_the_tasks_outside_a_pool():
    space = envs.make("mazes").tasks
    where = [("training", 5), ("training", 6), ("training", 14), ("training", 15), ("heldout", 7), ("validation", 7)]
    tasks = np.stack([space.task(split, index, seed=3) for split, index in where])

    def found(claim):
        outside = tasks_outside_pool(space, claim, tasks)
        return [outside.get(task.tobytes()) for task in tasks]

    assert found(PoolClaim(9, 3, "training", 6)) == ["training", None, None, "training", "heldout", "validation"]
    assert found(PoolClaim(None, 3)) == [None] * 4 + ["heldout", "validation"]
    assert found(PoolClaim(None, 4)) == [None] * 4 + ["heldout", "validation"]
    assert found(PoolClaim(9, 4, "training", 6)) == ["training"] * 4 + ["heldout", "validation"]  # another seed's order
    assert found(PoolClaim(2, 3, "heldout", 6)) == ["training"] * 4 + [None, "validation"]


def test_tasks_that_are_played_as_others_are_in_the_pool():
    family = envs.make("errands", pairs="together", attributes=4, values=6)
    assert audit(family, make_pool(20, seed=1), KEY).sound


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
