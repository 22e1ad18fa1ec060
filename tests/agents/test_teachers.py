from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs, rewards
from incentivize.agents import cloning, networks
from incentivize.agents import learner as lr
from incentivize.agents.teachers import TEACHERS
from incentivize.envs.episodes import start_sampler
from incentivize.envs.tasks import make_pool
from tests.helpers import compiled
from tests.helpers.probes import Corridor, Probe, seen

KEY = jax.random.key(0)


@partial(jax.jit, static_argnums=(0, 1))
def labels_of(teacher, family, state, noise, key):
    """Return labels of one state with 4,000 keys."""
    keys = jax.random.split(key, 4000)
    return jax.vmap(lambda key: TEACHERS[teacher].label(family, state, key, noise))(keys)


def labels(teacher, family, state, noise):
    """Return labels of one state with many keys."""
    return np.asarray(labels_of(teacher, family, state, np.float32(noise), KEY))


@partial(jax.jit, static_argnums=0)
def start(family, task, key):
    """Return a starting state."""
    return family.init(key, task)


@partial(jax.jit, static_argnums=0)
def near_success(family, task, key):
    """Return a state one step from success."""
    return family.start_near(key, task, jnp.int32(1))


def test_a_noisy_expert_errs_as_often_as_it_is_told_and_only_legally():
    probe = Probe(pays="action")
    state = start(probe, np.zeros(2, np.uint8), KEY)
    assert (labels("dagger", probe, state, 0.0)[:, 1] == 1).all()
    assert float(labels("dagger", probe, state, 0.3)[:, 0].mean()) == pytest.approx(0.15, abs=0.03)
    books = envs.make("codebooks")  # in the exam probing is illegal
    exam = near_success(books, np.zeros(20, np.uint8), KEY)
    assert float(labels("dagger", books, exam, 1.0)[:, 4].max()) == 0


def test_the_fair_expert_does_not_tell_what_was_not_shown():
    books = envs.make("codebooks")
    state = start(books, np.zeros(20, np.uint8), KEY)
    assert float(labels("fair-dagger", books, state, 0.0)[0, 4]) == 1  # it probes
    assert float(labels("dagger", books, state, 0.0)[0, 4]) == 0  # the informed one has no need to


@partial(jax.jit, static_argnums=0)
def demonstrated(setup, pool, seed, hyper):
    """Return the first rollout of a run."""
    return lr.collect(setup, lr.init(setup, pool, seed, hyper), pool, KEY, hyper)[1]


@partial(jax.jit, static_argnums=0)
def drawn_starts(family, pool, starts, key):
    """Draw 2,000 starting states, of as many distinct ones as `starts`."""
    return jax.vmap(start_sampler(family, pool, starts=starts))(jax.random.split(key, 2000))


def test_frozen_demonstrations_are_so_many_and_always_the_same():
    """An episode depends only on its start, and there are as many starts as demonstrations."""
    family = Corridor()
    network = networks.make("mlp", family, width=8)
    sizes = {"num_envs": 16, "steps": 60}
    setup = lr.Setup(family, network, cloning.CLONING, rewards.make("sparse"), TEACHERS["demonstrations"], **sizes)
    hyper, pool = compiled.hyper(demonstrations=5.0), make_pool(None, seed=3)
    rollout = jax.device_get(demonstrated(setup, pool, np.uint32(0), hyper))
    episodes = set()
    for env in range(16):
        ends = (rollout.terminated_after | rollout.truncated_after)[:, env].nonzero()[0].tolist()
        for first, last in zip([0, *(end + 1 for end in ends)], ends, strict=False):
            seen = [leaf[first : last + 1, env].tobytes() for leaf in rollout.observation]
            episodes.add((*seen, rollout.action[first : last + 1, env].tobytes()))
    assert len(episodes) == 5
    assert rollout.labels.shape == (60, 16, 2)
    assert (rollout.labels.max(-1) == 1).all()
    assert np.allclose(rollout.labels.sum(-1), 1)
    assert rollout.succeeded.sum() == (rollout.terminated_after | rollout.truncated_after).sum()
    drawn = jax.device_get(drawn_starts(family, pool, np.uint32(50), KEY))
    assert len({tuple(np.concatenate([np.ravel(leaf[i]) for leaf in drawn])) for i in range(2000)}) == 50


def test_an_agent_that_will_be_incentivized_learns_values_while_it_is_taught():
    probe = Probe(pays="always")
    network = networks.make("mlp", probe, width=16)
    sizes = {"num_envs": 32, "steps": 8, "epochs": 4, "minibatches": 2}
    setup = lr.Setup(probe, network, cloning.CLONING_WITH_VALUES, rewards.make("sparse"), TEACHERS["dagger"], **sizes)
    state = compiled.init(setup, compiled.POOL, np.uint32(0))
    hyper = compiled.hyper(learning_rate=3e-3)
    state, _ = compiled.train(setup, state, hyper, compiled.POOL, np.int32(60))
    assert float(compiled.apply(network, state.params, seen(0), ())[1]) == pytest.approx(1, abs=0.05)
