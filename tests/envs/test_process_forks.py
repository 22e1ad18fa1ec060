"""A process that was forked after JAX had been started refuses at once what would wait there for ever."""

import copy
import multiprocessing
import pickle
import runpy
import subprocess
import sys
import warnings
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from incentivize.envs import process_forks
from incentivize.envs.gym import FamilyEnv
from incentivize.envs.gym_vector import FamilyVectorEnv

ASYNC = """
import gymnasium
if {started}:
    import jax.numpy as jnp
    jnp.zeros(3)
env = gymnasium.make_vec("incentivize:incentivize/Codebooks-v0", num_envs=1, vectorization_mode="async", pool_size=4)
env.reset(seed=0)
env.step(env.action_space.sample())
env.close()
print("stepped")
"""

pytestmark = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="there are no forks on this system"
)


def told(call, pipe):
    """What a call raises, sent from a child; whatever it does there, it must not keep the parent waiting."""
    try:
        call()
        pipe.send("nothing")
    except RuntimeError as error:
        pipe.send(str(error))


def in_a_fork(call):
    """What a call raises in a forked process, or "waits for ever"."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=told, args=(call, there), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX's own, of every fork
        child.start()
    found = here.recv() if here.poll(30) else "waits for ever"
    child.kill()
    child.join()
    return found


def after_reset(env):
    env.reset(seed=0)
    return env


@pytest.mark.parametrize(
    "call",
    [
        lambda: FamilyEnv("errands").reset(seed=0),
        partial(FamilyEnv("errands").reset, seed=0, options={"task": 3}),
        lambda: FamilyVectorEnv("errands", 2).reset(seed=0),
    ],
    ids=["made there", "made before", "vector"],
)
def test_a_reset_in_a_forked_process_says_what_to_do(call):
    jnp.zeros(1)  # starts JAX
    assert "context='spawn'" in in_a_fork(call)


def test_steps_and_pictures_in_a_forked_process_say_what_to_do():
    one, many = after_reset(FamilyEnv("codebooks", render_mode="ansi")), after_reset(FamilyVectorEnv("codebooks", 2))
    for call in (lambda: one.step(0), one.render, lambda: many.step(np.zeros(2, int))):
        assert "context='spawn'" in in_a_fork(call)


@pytest.mark.parametrize("make", [FamilyEnv, partial(FamilyVectorEnv, num_envs=2)], ids=["one", "vector"])
def test_tasks_and_copies_in_a_forked_process_say_what_to_do(make):
    env = after_reset(make("codebooks"))
    for call in (lambda: copy.deepcopy(env), lambda: pickle.dumps(env)):
        assert "context='spawn'" in in_a_fork(call)
    assert "context='spawn'" in in_a_fork(lambda: FamilyEnv("codebooks").digits(3))


def test_a_copy_plays_on_as_the_environment_would():
    env = after_reset(FamilyEnv("codebooks"))
    twin = copy.deepcopy(env)
    assert (env.step(1)[0] == twin.step(1)[0]).all()


def test_where_jax_has_moved_what_is_asked_families_can_be_imported_all_the_same(monkeypatch):
    monkeypatch.delattr("jax._src.xla_bridge")
    monkeypatch.setitem(sys.modules, "jax._src.xla_bridge", None)
    found = runpy.run_path(process_forks.__file__)
    assert not found["_started"]()
    found["refuse_lost_threads"]()


def test_a_forked_process_that_asks_for_nothing_of_jax_is_left_alone():
    env = after_reset(FamilyEnv("codebooks"))
    assert in_a_fork(env.action_masks) == "nothing"
    assert in_a_fork(lambda: env.digits([0] * len(env.family.tasks.radices))) == "nothing"
    assert in_a_fork(lambda: copy.deepcopy(FamilyEnv("codebooks"))) == "nothing"
    assert in_a_fork(lambda: FamilyEnv("mazes", rows=4, columns=4)) == "nothing"


@pytest.mark.parametrize("started", [True, False])
def test_gymnasiums_async_vector_environment_works_or_refuses_at_once(started):
    """By forks, as on Linux up to Python 3.13: they work where the parent has not started JAX."""
    script = "import multiprocessing\nmultiprocessing.set_start_method('fork')\n" + ASYNC.format(started=started)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=100, check=False
    )
    if started:
        assert done.returncode == 1
        assert "RuntimeError: this process was forked after JAX had been started" in done.stderr
    else:
        assert done.stdout == "stepped\n", done.stderr


LATE = """
import multiprocessing, sys
import jax.numpy as jnp
jnp.zeros(3)
def play():
    from incentivize.envs.gym import FamilyEnv
    try:
        FamilyEnv("codebooks").reset(seed=0)
    except RuntimeError as error:
        print(error, flush=True)
child = multiprocessing.get_context("fork").Process(target=play, daemon=True)
child.start()
child.join(60)
child.kill()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the threads of a process")
def test_a_forked_process_that_imports_families_after_the_fork_is_told_as_well():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LATE], capture_output=True, text=True, timeout=100, check=False
    )
    assert "this process was forked after JAX had been started" in done.stdout, done.stderr
