"""Episodes are the same whatever jax is set to, and jax is set afterwards as it was before."""

import os
from functools import partial

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs
from incentivize.envs import gym, jax_settings

NAME = "incentivize:incentivize/Errands-v0"
SMALL = {"pool_size": 4, "attributes": 3, "values": 4}
SETTINGS = {
    "jax_enable_x64": True,
    "jax_default_prng_impl": "rbg",
    "jax_threefry_partitionable": False,
    "jax_random_seed_offset": 7,
    "jax_high_dynamic_range_gumbel": True,
    "jax_numpy_rank_promotion": "raise",
    "jax_numpy_dtype_promotion": "strict",
    "jax_transfer_guard": "disallow",
    "jax_debug_key_reuse": True,
    "jax_default_matmul_precision": "bfloat16",
}


@pytest.fixture
def restored():
    """Settings of jax as they were, afterwards."""
    before = {
        name: value
        for name, value in jax.config.values.items()
        if name in (*jax_settings.NUMBERS, *jax_settings.GUARDS)
    }
    yield
    jax.config.update("jax_transfer_guard", None)
    for name, value in before.items():
        jax.config.update(name, value)


def played():
    """What a single environment and a vector of two show: of the pool, and of a task that is given."""
    env, many, seen = gymnasium.make(NAME, render_mode="rgb_array", **SMALL), gymnasium.make_vec(NAME, 2, **SMALL), []
    for options in (None, {"task": 5}):
        seen += [env.reset(seed=3, options=options)[0], many.reset(seed=3, options=options)[0]]
        seen += [*env.step(0)[:3], *many.step(np.array([0, 0]))[:3]]
    return [np.array(each) for each in (*seen, env.render())]


def same(one, other):
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def plain():
    return played()


@pytest.mark.parametrize("name", [*list(SETTINGS)[:3], "all"])
def test_gymnasium_plays_the_same_episodes_whatever_jax_is_set_to(name, plain, restored):
    for setting, value in SETTINGS.items() if name == "all" else [(name, SETTINGS[name])]:
        jax.config.update(setting, value)
    told = jax.config.values
    assert same(played(), plain)
    assert jax.config.values == told


def test_a_setting_of_one_thread_changes_no_episode(plain):
    with jax.enable_x64(True), jax.default_prng_impl("rbg"), jax.threefry_partitionable(False):
        assert same(played(), plain)
        assert jax_settings.unusual_settings() == {
            "jax_enable_x64": True,
            "jax_default_prng_impl": "rbg",
            "jax_threefry_partitionable": False,
        }


def test_nothing_is_compiled_again_for_another_setting(plain, restored):
    env = gymnasium.make(NAME, **SMALL)
    begin, advance = gym._compiled(env.unwrapped.family)
    sizes = []
    for on in (False, True, True, False, True):
        jax.config.update("jax_enable_x64", on)
        env.reset(seed=1)
        env.step(1)
        sizes.append((begin._cache_size(), advance._cache_size()))
    assert len(set(sizes[1:])) == 1


@pytest.mark.parametrize("family", envs.names())
@pytest.mark.parametrize("knobs", [{}, {"life": 2}, {"pairs": "apart"}], ids=str)
def test_digits_may_be_of_numpy(family, knobs):
    made = envs.make(family, **knobs)
    digits, key = made.tasks.task("training", 3), jax.random.key(1)
    near = partial(made.start_near, steps=jnp.int32(1))
    for start in (made.init, near):
        found, expected = (jax.eval_shape(partial(start, task=task), key) for task in (digits, jnp.asarray(digits)))
        assert found == expected


def test_what_is_set_is_what_jax_ships_with_and_can_be_set():
    assert jax_settings.unusual_settings() == {}
    known = jax.config.values
    assert {*jax_settings.NUMBERS, *jax_settings.GUARDS} <= set(known)
    assert jax_settings.NUMBERS.keys() - jax_settings._states().keys() == {
        "jax_disable_most_optimizations"
    }  # of no thread
    assert jax_settings._wrong(jax_settings._now(), {}) == {}


def test_variables_are_read_as_jax_reads_them():
    fine = {"JAX_ENABLE_X64": "False", "JAX_THREEFRY_PARTITIONABLE": "yes", "JAX_RANDOM_SEED_OFFSET": "0"}
    fine |= {"JAX_TRANSFER_GUARD": "log", "JAX_DEFAULT_PRNG_IMPL": "threefry2x32", "JAX_MEMORY_FITTING_EFFORT": "0"}
    assert jax_settings.overridden_variables(fine) == {}
    told = {"JAX_ENABLE_X64": "1", "JAX_THREEFRY_PARTITIONABLE": "off", "JAX_RANDOM_SEED_OFFSET": "x"}
    told |= {"JAX_TRANSFER_GUARD": "disallow", "JAX_DEFAULT_PRNG_IMPL": "", "JAX_DEFAULT_MATMUL_PRECISION": "float32"}
    assert jax_settings.overridden_variables(fine | told | {"JAX_PLATFORMS": "cpu"}) == told


def test_a_process_is_set_and_so_are_those_that_it_starts(monkeypatch, restored):
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    monkeypatch.setenv("JAX_LOG_COMPILES", "0")
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_numpy_rank_promotion", "raise")
    jax_settings.pin()

    assert "JAX_ENABLE_X64" not in os.environ
    assert "JAX_LOG_COMPILES" in os.environ
    assert not jax.config.jax_enable_x64
    assert jax.config.jax_numpy_rank_promotion == "allow"


def test_settings_of_another_thread_are_taken_over():
    with jax_settings.with_settings({"jax_enable_x64": True}):
        assert jax_settings.unusual_settings() == {"jax_enable_x64": True}
        with jax_settings.with_settings({}):
            assert jax_settings.unusual_settings() == {}
    assert jax_settings.unusual_settings() == {}
