import jax
import jax.numpy as jnp
import pytest

import envs
from agents import networks
from agents.evaluate import evaluate, policy_of
from envs.tasks import make_pool
from tests.agents.probes import Probe

KEY = jax.random.key(0)


def right(observation, memory):
    """Of the probe that wants its slot back."""
    return 20 * jax.nn.one_hot(observation.context[0], 2), memory


def test_a_perfect_and_a_perfectly_wrong_policy():
    tasks = jnp.zeros((5, 2), jnp.uint8)
    found = evaluate(Probe(pays="match"), right, (), tasks, KEY, 7)
    assert found.greedy.tolist() == found.sampled.tolist() == [7] * 5

    def wrong(observation, memory):
        return -right(observation, memory)[0], memory

    assert evaluate(Probe(pays="match"), wrong, (), tasks, KEY, 7).greedy.tolist() == [0] * 5


def test_greedy_and_sampled_differ_where_the_policy_wavers():
    def wavering(observation, memory):
        return jnp.array([0.0, 0.1]), memory

    found = evaluate(Probe(pays="action"), wavering, (), jnp.zeros((50, 2), jnp.uint8), KEY, 20)
    assert (found.greedy == 20).all()
    assert float(found.sampled.mean()) == pytest.approx(10.5, abs=1)


def test_only_the_first_end_counts():
    """After a failure an episode that would succeed later is over."""

    def first_wrong_then_right(observation, memory):
        return 20 * jax.nn.one_hot(observation.context[1], 2), memory

    found = evaluate(Probe(pays="action"), first_wrong_then_right, (), jnp.zeros((5, 2), jnp.uint8), KEY, 4)
    assert found.greedy.tolist() == [0] * 5


def test_the_instances_do_not_depend_on_the_policy():
    family = envs.make("errands", attributes=3, values=4)
    network = networks.make("mlp", family, width=8)
    pool = make_pool(20, split="heldout")
    tasks = jax.jit(jax.vmap(lambda i: family.tasks.member(pool, i)))(jnp.arange(20, dtype=jnp.uint32))
    params = jax.jit(network.init)(jax.random.key(1))
    measure = jax.jit(lambda p: evaluate(family, policy_of(network, p), network.initial_memory(), tasks, KEY, 3))
    first, again = measure(params), measure(params)
    assert first.sampled.tolist() == again.sampled.tolist()
    assert 0 <= int(first.greedy.min()) <= int(first.greedy.max()) <= 3
