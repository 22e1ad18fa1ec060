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
from tests.helpers.probes import Probe

KEY = jax.random.key(0)


def labels(teacher, family, state, noise, count=4000):
    keys = jax.random.split(KEY, count)
    return jax.jit(jax.vmap(lambda key: TEACHERS[teacher].label(family, state, key, jnp.float32(noise))))(keys)


def test_a_noisy_expert_errs_as_often_as_it_is_told_and_only_legally():
    probe = Probe(pays="action")
    state = probe.init(KEY, jnp.zeros(2, jnp.uint8))
    assert (labels("dagger", probe, state, 0.0)[:, 1] == 1).all()
    assert float(labels("dagger", probe, state, 0.3)[:, 0].mean()) == pytest.approx(0.15, abs=0.03)
    books = envs.make("codebooks")  # in the exam probing is illegal
    exam = books.start_near(KEY, jnp.zeros(20, jnp.uint8), jnp.int32(1))
    assert float(labels("dagger", books, exam, 1.0)[:, 4].max()) == 0


def test_the_fair_expert_does_not_tell_what_was_not_shown():
    books = envs.make("codebooks")
    state = books.init(KEY, jnp.zeros(20, jnp.uint8))
    assert float(labels("fair-dagger", books, state, 0.0)[0, 4]) == 1  # it probes
    assert float(labels("dagger", books, state, 0.0)[0, 4]) == 0  # the informed one has no need to


def test_frozen_demonstrations_are_so_many_and_always_the_same():
    """An episode depends only on its start, and there are as many starts as demonstrations."""
    family = envs.make("errands", attributes=3, values=4)
    network = networks.make("mlp", family, width=8)
    sizes = {"num_envs": 16, "steps": 60}
    setup = lr.Setup(family, network, cloning.CLONING, rewards.make("sparse"), TEACHERS["demonstrations"], **sizes)
    hyper, pool = lr.Hyper(demonstrations=5.0), make_pool(None, seed=3)
    state = jax.jit(partial(lr.init, setup))(pool, jnp.uint32(0), hyper)
    _, rollout = jax.jit(partial(lr.collect, setup))(state, pool, KEY, hyper)
    episodes = set()
    for env in range(16):
        ends = (rollout.terminated_after | rollout.truncated_after)[:, env].nonzero()[0].tolist()
        for first, last in zip([0, *(end + 1 for end in ends)], ends, strict=False):
            seen = [leaf[first : last + 1, env].tobytes() for leaf in map(jax.device_get, rollout.observation)]
            episodes.add((*seen, rollout.action[first : last + 1, env].tobytes()))
    assert len(episodes) == 5
    assert (rollout.labels.max(-1) == 1).all()
    assert rollout.succeeded.sum() == (rollout.terminated_after | rollout.truncated_after).sum()
    drawn = jax.device_get(jax.vmap(start_sampler(family, pool, starts=jnp.uint32(50)))(jax.random.split(KEY, 2000)))
    assert len({tuple(np.concatenate([np.ravel(leaf[i]) for leaf in drawn])) for i in range(2000)}) == 50


def test_an_agent_that_will_be_incentivized_learns_values_while_it_is_taught():
    probe = Probe(pays="always")
    network = networks.make("mlp", probe, width=16)
    sizes = {"num_envs": 32, "steps": 8, "epochs": 4, "minibatches": 2}
    setup = lr.Setup(probe, network, cloning.CLONING_WITH_VALUES, rewards.make("sparse"), TEACHERS["dagger"], **sizes)
    pool = make_pool(None)
    state = jax.jit(partial(lr.init, setup))(pool, jnp.uint32(0))
    state, _ = jax.jit(partial(lr.train, setup))(state, lr.Hyper(learning_rate=3e-3), pool, jnp.int32(60))
    seen = probe.observe(probe.init(KEY, jnp.zeros(2, jnp.uint8)))
    assert float(network.apply(state.params, seen, ())[1]) == pytest.approx(1, abs=0.05)
