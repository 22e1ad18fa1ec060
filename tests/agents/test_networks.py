import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs, rewards
from incentivize.agents import learner as lr
from incentivize.agents import networks, ppo
from incentivize.agents.encoders import ENCODERS, one_hot
from incentivize.agents.memories import MEMORIES
from incentivize.envs.contract import batched, starts
from incentivize.envs.tasks import make_pool
from tests.helpers import compiled

EVERY = [(kind, name) for kind in ENCODERS for name in envs.names()]
USUAL = [(kind, name, list(MEMORIES)[number % 3]) for number, (kind, name) in enumerate(EVERY)]
SOME = {(kind, name) for at, kind in enumerate(ENCODERS) for name in envs.names()[at % 3 :: 3]}
"""Two families for every encoder, and every family for at least one; all other pairs are marked slow."""


def test_one_hot_leaves_out_zero():
    hot = one_hot(jnp.array([2, 0, 1, 1], jnp.uint8), (3, 3, 2, 2))
    assert hot.tolist() == [0, 1, 0, 0, 1, 1]


def first_sights(family):
    """Return ten first observations of a family, as numpy arrays."""
    return jax.device_get(batched(family, "observe")(starts(family, 10)))


def first_sight(family):
    """Return a first observation of a family, as numpy arrays."""
    return jax.tree.map(lambda leaf: leaf[0], first_sights(family))


def default_network(kind, name):
    """Return the outputs of a network without memory, from an observation, and a first observation."""
    family = envs.make(name)
    network = networks.make(kind, family)
    params = compiled.parameters(network, jax.random.key(0))
    return lambda seen: jax.device_get(compiled.apply(network, params, seen, ()))[:2], first_sight(family)


def watched(kind, name, memory):
    """Return a small network of a family, its parameters, and ten first observations."""
    family = envs.make(name)
    network = networks.make(kind, family, memory=memory, parameters=20_000)
    return network, compiled.parameters(network, jax.random.key(0)), first_sights(family)


@pytest.mark.parametrize(
    ("kind", "name", "memory"),
    [pytest.param(*case, marks=() if case[:2] in SOME else pytest.mark.slow) for case in USUAL],
)
def test_every_network_plays_every_family(kind, name, memory):
    network, params, seen = watched(kind, name, memory)
    apply = jax.jit(jax.vmap(network.apply, in_axes=(None, 0, None)))
    logits, value, memory = apply(params, seen, network.initial_memory())
    assert logits.shape == (10, network.num_actions)
    assert value.shape == (10,)
    expected = jax.tree.map(lambda leaf: (10, *leaf.shape), network.initial_memory())
    assert jax.tree.map(jnp.shape, memory) == expected
    assert network.num_params() == sum(leaf.size for leaf in jax.tree.leaves(params))
    sights = {tuple(np.concatenate([np.ravel(part[i]) for part in seen])) for i in range(10)}
    assert len(np.unique(value)) >= min(6, len(sights)) > 1  # it looks at what it sees


@pytest.mark.slow
@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_network_trains_on_every_family(kind, name, memory):
    family = envs.make(name)
    network = networks.make(kind, family, memory=memory, width=8)
    setup = lr.Setup(family, network, ppo.PPO, rewards.make("sparse"), num_envs=8, steps=8, minibatches=2)
    pool = make_pool(None)
    state = compiled.init(setup, pool, np.uint32(0))
    after, metrics = compiled.train(setup, state, compiled.HYPER, pool, np.int32(3))
    first, last = (jax.tree.leaves(jax.device_get(state.params)) for state in (state, after))
    assert all(np.isfinite(value) for value in metrics.values())
    assert all(np.isfinite(leaf).all() for leaf in last)
    moved = [bool((a != b).any()) for a, b in zip(first, last, strict=True)]
    assert sum(moved) >= len(moved) - 1  # a slot that is never seen at the start may keep its weights


@pytest.mark.parametrize(
    ("kind", "memory"),
    [
        pytest.param(kind, memory, marks=() if (i + j) % 3 == 0 else pytest.mark.slow)
        for i, kind in enumerate(ENCODERS)
        for j, memory in enumerate(MEMORIES)
    ],
)
def test_one_knob_sets_the_number_of_parameters(kind, memory):
    for budget, least in ((5_000, 0.7), (50_000, 0.9), (5_000_000, 0.95)):
        count = networks.make(kind, envs.make("errands"), memory=memory, parameters=budget).num_params()
        assert least * budget <= count <= budget
    with pytest.raises(ValueError, match=f"parameters = 20: the smallest {kind} network for this family has"):
        networks.make(kind, envs.make("errands"), memory=memory, parameters=20)


def test_illegal_actions_are_never_chosen():
    apply, observation = default_network("mlp", "errands")
    logits, _ = apply(observation._replace(action_mask=np.array([False, True, False, True])))
    drawn = jax.random.categorical(jax.random.key(1), logits, shape=(1000,))
    assert set(drawn.tolist()) == {1, 3}


def test_the_order_of_entities_does_not_matter_to_relational():
    apply, seen = default_network("relational", "errands")
    turned = seen._replace(entities=seen.entities[::-1])
    assert (turned.entities != seen.entities).any()
    for first, second in zip(apply(seen), apply(turned), strict=True):
        assert np.allclose(first, second, atol=1e-5)


def test_pairs_keeps_entities_in_order():
    apply, seen = default_network("pairs", "puzzles")
    turned = seen._replace(entities=seen.entities[::-1])
    assert (apply(seen)[1] != apply(turned)[1]).any()


@pytest.mark.parametrize("kind", ["relational", "pairs"])
def test_masked_entities_do_not_matter(kind):
    apply, seen = default_network(kind, "errands")
    hidden = seen._replace(entity_mask=np.array([True, True, True, False]))
    entities = hidden.entities.copy()
    entities[3] = 1
    changed = hidden._replace(entities=entities)
    assert (apply(hidden)[0] == apply(changed)[0]).all()
    assert (apply(seen)[0] != apply(hidden)[0]).any()


def test_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match=r"network = 'mpl': .*one of mlp, relational"):
        networks.make("mpl", envs.make("errands"))
    with pytest.raises(ValueError, match=r"memory = 'gruu': .*one of none, gru, attention"):
        networks.make("mlp", envs.make("errands"), memory="gruu")
