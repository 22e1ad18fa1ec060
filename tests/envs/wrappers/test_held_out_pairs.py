"""Tasks whose first two digits agree: never met on one side, always on the other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs

FAMILIES = [name for name in envs.names() if name != "sequences"]


def played(family, count=200):
    tasks = np.stack([family.tasks.train(i) for i in range(count)])
    keys = jax.random.split(jax.random.key(0), count)
    return tasks, np.array(jax.jit(jax.vmap(family.init))(keys, jnp.asarray(tasks)).task)


@pytest.mark.parametrize("name", FAMILIES)
def test_they_agree_together_and_differ_apart_and_all_else_stays(name):
    for pairs, agree in (("apart", False), ("together", True)):
        family = envs.make(name, pairs=pairs)
        tasks, found = played(family)
        radix = family.tasks.radices[1]
        assert ((found[:, 0] % radix == found[:, 1]) == agree).all()
        np.testing.assert_array_equal(np.delete(found, 1, 1), np.delete(tasks, 1, 1))


def test_apart_leaves_alone_what_fits_and_digits_keep_their_share():
    family = envs.make("errands", pairs="apart")
    tasks, found = played(family, 4000)
    fits = tasks[:, 0] != tasks[:, 1]
    np.testing.assert_array_equal(found[fits], tasks[fits])
    counts = np.bincount(found[:, 1], minlength=16) / len(found)
    assert np.abs(counts - 1 / 16).max() < 0.02


def test_what_a_task_amounts_to_is_what_is_played():
    family = envs.make("errands", pairs="together")
    one = jnp.array([3, 3, *[0] * 8], jnp.uint8)
    other = one.at[1].set(5)
    np.testing.assert_array_equal(family.behaviour(one), family.behaviour(other))
    assert family.describe(one) == family.describe(other) != envs.make("errands").describe(other)


def test_controls_and_lives_go_around_it():
    family = envs.make("errands", "shuffled", life=2, pairs="together")
    state = jax.device_get(jax.jit(family.init)(jax.random.key(0), family.tasks.train(0)))
    assert state.task[0] == state.task[1]
    assert not np.array_equal(state.task, state.shown)


def test_other_pairs_are_refused():
    with pytest.raises(ValueError, match="pairs = 'near': expected 'apart' or 'together'"):
        envs.make("errands", pairs="near")
