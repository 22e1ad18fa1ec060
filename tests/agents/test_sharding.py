"""One agent on four devices learns as on one, up to rounding. A separate process forces four devices."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs, rewards
from incentivize.agents import cloning, learner, networks, ppo
from incentivize.agents.evaluate import evaluate, policy_of
from incentivize.agents.sharding import mesh_of, shard
from incentivize.agents.teachers import TEACHERS
from incentivize.envs.tasks import make_pool

ARMS = {"incentivized": (ppo.PPO, None), "taught": (cloning.CLONING, "fair-dagger")}


def setup_of(arm, mesh=None):
    family, (algorithm, teacher) = envs.make("codebooks"), ARMS[arm]
    network = networks.make("mlp", family, width=16, memory="gru")
    labeller = TEACHERS[teacher] if teacher else None
    return learner.Setup(family, network, algorithm, rewards.make("sparse"), labeller, num_envs=64, steps=8, mesh=mesh)


def alone_and_spread():
    """Compare one device with four, in a process that has four."""
    mesh = mesh_of(tuple(jax.devices()))
    assert mesh.size == 4
    hyper, pool = learner.Hyper(*map(jnp.float32, learner.Hyper())), make_pool(None)
    for arm in ARMS:
        results = []
        for setup in (setup_of(arm), setup_of(arm, mesh)):
            state = jax.jit(partial(learner.init, setup))(pool, jnp.uint32(0))
            held = state.actors[0].episodes.elapsed.sharding
            assert held.shard_shape((64,)) == ((64 // len(held.device_set),))
            train = jax.jit(partial(learner.train, setup)).lower(state, hyper, pool, jnp.int32(2)).compile()
            results.append(jax.device_get(train(state, hyper, pool, jnp.int32(2))))
        assert len(held.device_set) == 4
        assert "all-reduce" in train.as_text()
        share = re.search(r"f32\[8,4,5\]", train.as_text())  # logits of 64 / 4 minibatches / 4 devices sequences
        assert share, "every device computes all losses"
        (alone, metrics), (shared, shared_metrics) = results
        assert int(alone.updates) == 2
        for one, other in zip(jax.tree.leaves(alone.params), jax.tree.leaves(shared.params), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
        for name, value in metrics.items():
            np.testing.assert_allclose(value, shared_metrics[name], rtol=1e-3, atol=1e-5, err_msg=name)
        assert float(metrics["grad_norm"]) > 1e-3
        family, network = setup.family, setup.network
        tasks = family.tasks.member(make_pool(8), jnp.uint32(0))[None].repeat(8, 0)
        policy, memory = policy_of(family, network, alone.params), network.initial_memory()
        counts = [evaluate(family, policy, memory, tasks, jax.random.key(0), 32, mesh=one) for one in (None, mesh)]
        assert int(counts[0].successes.sum()) > 0
        for one, other in zip(*counts, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_an_agent_on_four_devices_learns_what_it_does_on_one():
    flags = "--xla_force_host_platform_device_count=4"
    code = "from tests.agents.test_sharding import alone_and_spread; alone_and_spread()"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"XLA_FLAGS": flags})


def test_what_cannot_be_divided_is_left_whole_or_refused():
    assert shard(None, jnp.arange(3)).tolist() == [0, 1, 2]
    tree = jnp.zeros(()), jnp.zeros((4, 2))
    assert jax.tree.map(jnp.shape, shard(mesh_of(tuple(jax.devices())), tree, axis=1)) == ((), (4, 2))

    class Three:
        size = 3

    with pytest.raises(ValueError, match="num_envs / minibatches = 16: must be a multiple of 3 devices"):
        replace(setup_of("incentivized"), mesh=Three())
