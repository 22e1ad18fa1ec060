import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from agents import networks
from agents.encoders import ENCODERS, one_hot
from tests.envs.test_families import starts

EVERY = [(kind, name) for kind in ENCODERS for name in envs.names()]


def test_one_hot_leaves_out_zero():
    hot = one_hot(jnp.array([2, 0, 1, 1], jnp.uint8), (3, 3, 2, 2))
    assert hot.tolist() == [0, 1, 0, 0, 1, 1]


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_network_plays_every_family(kind, name):
    family = envs.make(name)
    network = networks.make(kind, family)
    params = jax.jit(network.init)(jax.random.key(0))
    observation = jax.jit(jax.vmap(family.observe))(starts(family, 10))
    logits, value, memory = jax.jit(jax.vmap(network.apply, in_axes=(None, 0, None)))(params, observation, ())
    assert logits.shape == (10, family.num_actions)
    assert value.shape == (10,)
    assert memory == ()
    assert network.num_params() == sum(leaf.size for leaf in jax.tree.leaves(params))
    assert 4_900 < network.num_params() < 55_000
    sights = {tuple(np.concatenate([np.ravel(part[i]) for part in observation])) for i in range(10)}
    assert len(jnp.unique(value)) >= min(6, len(sights)) > 1  # it looks at what it sees


def test_illegal_actions_are_never_chosen():
    family = envs.make("errands")
    network = networks.make("mlp", family)
    observation = family.observe(jax.tree.map(lambda leaf: leaf[0], starts(family, 1)))
    masked = observation._replace(action_mask=jnp.array([False, True, False, True]))
    logits, *_ = network.apply(jax.jit(network.init)(jax.random.key(0)), masked, ())
    drawn = jax.random.categorical(jax.random.key(1), logits, shape=(1000,))
    assert set(drawn.tolist()) == {1, 3}


def test_the_order_of_entities_does_not_matter_to_relational():
    family = envs.make("errands")
    network = networks.make("relational", family)
    params = jax.jit(network.init)(jax.random.key(0))
    seen = family.observe(jax.tree.map(lambda leaf: leaf[0], starts(family, 1)))
    turned = seen._replace(entities=seen.entities[::-1])
    for first, second in zip(network.apply(params, seen, ())[:2], network.apply(params, turned, ())[:2], strict=True):
        assert jnp.allclose(first, second, atol=1e-5)


def test_pairs_keeps_entities_in_order():
    family = envs.make("puzzles")
    network = networks.make("pairs", family)
    params = jax.jit(network.init)(jax.random.key(0))
    seen = family.observe(jax.tree.map(lambda leaf: leaf[0], starts(family, 1)))
    turned = seen._replace(entities=seen.entities[::-1])
    assert (network.apply(params, seen, ())[1] != network.apply(params, turned, ())[1]).any()


@pytest.mark.parametrize("kind", ["relational", "pairs"])
def test_masked_entities_do_not_matter(kind):
    family = envs.make("errands")
    network = networks.make(kind, family)
    params = jax.jit(network.init)(jax.random.key(0))
    seen = family.observe(jax.tree.map(lambda leaf: leaf[0], starts(family, 1)))
    hidden = seen._replace(entity_mask=jnp.array([True, True, True, False]))
    changed = hidden._replace(entities=hidden.entities.at[3].set(1))
    assert (network.apply(params, hidden, ())[0] == network.apply(params, changed, ())[0]).all()
    assert (network.apply(params, seen, ())[0] != network.apply(params, hidden, ())[0]).any()


def test_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match="network='mpl': want one of mlp, relational"):
        networks.make("mpl", envs.make("errands"))
