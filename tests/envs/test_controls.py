import itertools

import jax
import jax.numpy as jnp
import numpy as np

import envs
from tests.envs.test_families import starts


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
    first, second = starts(plain, 100), starts(shuffled, 100)
    assert (first.task == second.task).all()
    assert (first.looks == second.looks).all()
    assert (jax.jit(jax.vmap(plain.expert))(first) == jax.jit(jax.vmap(shuffled.expert))(second)).all()
    assert (first.shown != second.shown).any(1).all()


def test_a_shuffled_map_tells_nothing_of_the_maze():
    states = starts(envs.make("mazes", "shuffled"), 2000)
    agreement = float((states.task == states.shown)[:, :36].mean())
    assert abs(agreement - 0.5) < 0.01


def test_blind_keeps_what_is_not_the_description():
    for name in ("errands", "mazes"):
        states = starts(envs.make(name), 50)
        plain, blind = (jax.jit(jax.vmap(f.observe))(states) for f in (envs.make(name), envs.make(name, "blind")))
        assert (plain.entities == blind.entities).all()
        assert (plain.context != blind.context).any()
    assert (plain.context[:, -2:] == blind.context[:, -2:]).all()  # the goal's offset in mazes
