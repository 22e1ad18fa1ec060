import itertools

import jax
import jax.numpy as jnp
import numpy as np

from incentivize import envs
from incentivize.envs.contract import starts
from incentivize.envs.pool_audit import pool_tasks
from incentivize.envs.tasks import make_pool


def test_shuffled_descriptions_are_a_fixed_bijection():
    family = envs.make("errands", "shuffled", attributes=2, values=4)
    tasks = jnp.array(list(itertools.product(range(4), repeat=2)), jnp.uint8)
    shown = jax.jit(jax.vmap(lambda task: family.init(jax.random.key(0), task).shown))(tasks)
    again = jax.jit(jax.vmap(lambda task: family.init(jax.random.key(1), task).shown))(tasks)
    assert (shown == again).all()
    assert len(np.unique(np.array(shown), axis=0)) == 16
    assert (shown != tasks).any(1).mean() > 0.7


def test_shuffled_leaves_the_dynamics_alone():
    plain, shuffled = envs.make("errands"), envs.make("errands", "shuffled")
    first, second = starts(plain), starts(shuffled)
    experts = jax.jit(lambda *states: [jax.vmap(f.expert)(s) for f, s in zip((plain, shuffled), states, strict=True)])
    assert np.array_equal(*experts(first, second))
    first, second = jax.device_get((first, second))
    assert (first.task == second.task).all()
    assert (first.looks == second.looks).all()
    assert (first.shown != second.shown).any(1).all()


def test_a_shuffled_map_tells_nothing_of_the_maze():
    states = starts(envs.make("mazes", "shuffled"), 2000)
    agreement = float((states.task == states.shown)[:, :36].mean())
    assert abs(agreement - 0.5) < 0.01


def members(space, pool, count):
    return pool_tasks(space, pool, 64)[:count]


def test_duplicated_pools_hold_an_eighth_of_the_tasks_and_other_splits_are_whole():
    plain, copied = envs.make("errands").tasks, envs.make("errands", "duplicated").tasks
    assert (members(copied, make_pool(64), 64)[::8] == members(plain, make_pool(8), 8)).all()
    assert len(np.unique(members(copied, make_pool(64), 64), axis=0)) == 8
    heldout = make_pool(64, split="heldout")
    assert (members(copied, heldout, 64) == members(plain, heldout, 64)).all()


def test_a_leak_trains_on_heldout_tasks_half_of_the_time():
    space = envs.make("errands", "leak").tasks
    draw = jax.jit(lambda pool: jax.vmap(space.sample, (0, None))(jax.random.split(jax.random.key(0), 200), pool))
    for pool in (make_pool(4), make_pool(None)):
        drawn = np.array(draw(pool))
        splits = [space.locate(task)[0] for task in drawn]
        assert 70 < splits.count("heldout") < 130
        assert splits.count("heldout") + splits.count("training") == 200
    assert space.locate(space.train(3)) == ("training", 3)


def test_blind_keeps_what_is_not_the_description():
    for name in ("errands", "mazes"):
        both = (envs.make(name), envs.make(name, "blind"))
        observe = jax.jit(lambda states, both=both: [jax.vmap(family.observe)(states) for family in both])
        plain, blind = jax.device_get(observe(starts(both[0])))
        assert (plain.entities == blind.entities).all()
        assert (plain.context != blind.context).any()
    assert (plain.context[:, -2:] == blind.context[:, -2:]).all()  # the goal's offset in mazes
