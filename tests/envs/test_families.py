"""The contract, over every registered family and control."""

from functools import lru_cache, partial
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import envs
from envs.controls import CONTROLS, controls_of
from envs.family import Observation, Outcome
from envs.tasks import make_pool
from envs.wrapper import Wrapper

VARIANTS = {  # knobs that change what a family does
    "codebooks": [{}, {"variant": "try", "study": 3}, {"life": 2}],
    "errands": [{}, {"chain": 2}, {"attributes": 3, "values": 4, "life": 3}],
    "mazes": [{}, {"goal_in_task": False, "room": 9}],
    "programs": [{}, {"silent": True, "room": 9}],
    "puzzles": [{}, {"scramble": 3}],
    "sequences": [{}, {"order": 1, "tokens": 7, "room": 9, "runs": 2}],
}
FAMILIES = [envs.make(name, **knobs) for name in envs.names() for knobs in VARIANTS.get(name, [{}])]
SEEN_DIFFERENTLY = ("shuffled", "disjoint", "blind")
CONTROLLED = [
    *FAMILIES,
    *(CONTROLS[c](f) for f in map(envs.make, envs.names()) for c in controls_of(f) if c in SEEN_DIFFERENTLY),
    envs.make("errands", "shuffled", life=2),
    envs.make("codebooks", "blind", life=2),
    envs.make("codebooks", "changing", life=2),
    *envs.mix(*envs.names(), permuted=1).members,
]


def label(family):
    if isinstance(family, Wrapper):  # by name: a member of a mixture has much else to say
        return f"{type(family).__name__}({label(family.family)})"
    return repr(family).replace(" ", "")


every_family = pytest.mark.parametrize("family", FAMILIES, ids=label)
every_control = pytest.mark.parametrize("family", CONTROLLED, ids=label)


@partial(jax.jit, static_argnames=("family", "count", "split"))
def _starts(family, count, split, seed):
    pool = make_pool(count, split=split)
    tasks = jax.vmap(lambda i: family.tasks.member(pool, i))(jnp.arange(count, dtype=jnp.uint32))
    return jax.vmap(family.init)(jax.random.split(jax.random.key(seed), count), tasks)


def starts(family, count=100, split="heldout", seed=0):
    """`count` starting states, each of another task."""
    return _starts(family, count, split, seed)


@lru_cache
def batched(family, method):
    """A compiled, batched method: all tests of a family share it, as compilation is what they cost."""
    return jax.jit(jax.vmap(getattr(family, method)))


@every_family
def test_expert_solves_every_heldout_instance_in_distance_steps(family):
    states = starts(family, 10_000)
    expected = batched(family, "distance")(states)

    @jax.jit
    def play(states):
        def step(carry, key):
            states, running, steps, failed = carry
            choose, move = jax.random.split(key)
            action = jax.random.categorical(choose, jnp.log(jax.vmap(family.expert)(states)))
            states, outcome = jax.vmap(family.step, in_axes=(0, 0, None))(states, action, move)
            steps = steps + running
            return (states, running & ~outcome.succeeded, steps, failed | (running & outcome.failed)), None

        start = (states, jnp.ones(10_000, bool), jnp.zeros(10_000, jnp.int32), jnp.zeros(10_000, bool))
        return jax.lax.scan(step, start, jax.random.split(jax.random.key(1), family.horizon))[0]

    _, running, steps, failed = play(states)
    assert not running.any()
    assert not failed.any()
    assert (steps == expected).all()
    assert (expected >= 1).all()


class Look(NamedTuple):
    """One step of a walk."""

    seen: Observation
    with_another_task: Observation
    expert: jax.Array
    distance: jax.Array
    running: jax.Array  # bool: no step before this one ended the episode
    outcome: Outcome


@lru_cache
def walk(family):
    """A compiled episode from a number (which instance of which held-out task) and numbers that pick legal actions."""

    @jax.jit
    def play(number, picks):
        key_start, key = jax.random.split(jax.random.key(number))
        task, other = (family.tasks.member(make_pool(2**20, split=split), number) for split in ("heldout", "training"))

        def step(carry, inputs):
            (state, running), (pick, key) = carry, inputs
            seen = family.observe(state)
            legal = seen.action_mask
            action = jnp.argmax(jnp.cumsum(legal) == 1 + pick % legal.sum())
            after, outcome = family.step(state, action, key)
            another = family.observe(state._replace(task=other))
            look = Look(seen, another, family.expert(state), family.distance(state), running, outcome)
            return (after, running & ~outcome.over), look

        start = family.init(key_start, task), jnp.bool_(True)
        return jax.lax.scan(step, start, (picks, jax.random.split(key, family.horizon)))[1]

    return play


@every_control
@settings(max_examples=20, deadline=None, derandomize=True)
@given(number=st.integers(0, 2**31 - 1), data=st.data())
def test_whatever_is_done_an_episode_keeps_the_contract(family, number, data):
    """In-space observations that read the rule from `shown` only, a legal expert, one way to end."""
    picks = data.draw(st.lists(st.integers(0, 100), min_size=family.horizon, max_size=family.horizon))
    looks = jax.tree.map(np.asarray, walk(family)(jnp.uint32(number), jnp.array(picks)))
    seen, spec, steps = looks.seen, family.spec, family.horizon
    assert seen.context.shape == (steps, len(spec.context))
    assert seen.entities.shape == (steps, spec.num_entities, len(spec.entity))
    assert seen.context.dtype == seen.entities.dtype == np.uint8
    assert (seen.context < np.array(spec.context)).all()
    assert (seen.entities < np.array(spec.entity)).all()
    assert seen.entity_mask.shape == (steps, spec.num_entities)
    assert seen.action_mask.shape == (steps, family.num_actions)
    assert seen.action_mask.any(1).all()
    chex.assert_trees_all_equal(seen, looks.with_another_task)
    assert np.allclose(looks.expert.sum(1), 1)
    assert (looks.expert[~seen.action_mask] == 0).all()
    assert (looks.distance[looks.running] >= 1).all()
    assert not (looks.outcome.succeeded & looks.outcome.failed)[looks.running].any()
    again = walk(family)(jnp.uint32(number), jnp.array(picks))
    chex.assert_trees_all_equal(looks, jax.tree.map(np.asarray, again))


@every_control
def test_only_a_visible_rule_shows(family):
    states, others = starts(family), starts(family, split="training")
    told = batched(family, "observe")(states._replace(shown=others.shown))
    plain = batched(family, "observe")(states)
    differs = any((a != b).any() for a, b in zip(jax.tree.leaves(told), jax.tree.leaves(plain), strict=True))
    assert differs == family.reveals_rule
    blind = [batched(family, "blind")(seen) for seen in (told, plain)]
    chex.assert_trees_all_equal(*blind)


@every_family
def test_the_same_key_gives_the_same_state_and_another_key_another(family):
    chex.assert_trees_all_equal(starts(family), starts(family))
    first, second = (batched(family, "observe")(starts(family, seed=seed)) for seed in (0, 1))
    assert any((a != b).any() for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))


@every_family
def test_jit_equals_eager_and_vmap_equals_loop(family):
    states = starts(family)
    actions, keys = jnp.arange(100) % family.num_actions, jax.random.split(jax.random.key(0), 100)
    together = batched(family, "step")(states, actions, keys)
    for i in (0, 1):
        alone = family.step(jax.tree.map(lambda leaf, i=i: leaf[i], states), actions[i], keys[i])
        chex.assert_trees_all_equal(jax.tree.map(lambda leaf, i=i: leaf[i], together), alone)
        chex.assert_trees_all_equal_dtypes(jax.tree.map(lambda leaf, i=i: leaf[i], together), alone)


@every_family
def test_one_trace_for_all_tasks(family):
    chex.clear_trace_counter()
    init = jax.jit(chex.assert_max_traces(family.init, n=1))
    step = jax.jit(chex.assert_max_traces(family.step, n=1))
    state = init(jax.random.key(0), jnp.array(family.tasks.train(0)))
    for index in range(3):
        state = init(jax.random.key(index), jnp.array(family.tasks.heldout(index)))
        for action in range(family.num_actions):
            state, _ = step(state, jnp.int32(action), jax.random.key(action))


@every_control
def test_a_step_keeps_the_state_a_state(family):
    state = jax.eval_shape(family.init, jax.random.key(0), jnp.array(family.tasks.train(0)))
    after, outcome = jax.eval_shape(family.step, state, jnp.int32(0), jax.random.key(0))
    chex.assert_trees_all_equal_shapes_and_dtypes(state, after)
    assert [leaf.dtype for leaf in outcome] == [bool, bool, jnp.float32, bool]


@every_family
@pytest.mark.parametrize("steps", [1, 3])
def test_start_near_is_near(family, steps):
    keys = jax.random.split(jax.random.key(0), 300)
    task = jnp.array(family.tasks.train(0))
    states = jax.jit(jax.vmap(lambda key: family.start_near(key, task, jnp.int32(steps))))(keys)
    distances = np.array(batched(family, "distance")(states))
    farthest = int(batched(family, "distance")(starts(family)).max())
    assert set(distances) == set(range(1, min(steps, farthest) + 1))


@every_family
def test_scripted_policies_are_policies_over_legal_actions(family):
    observation = batched(family, "observe")(starts(family))
    policies = batched(family, "scripted")(observation)
    assert jnp.allclose(policies.sum(-1), 1)
    assert (jnp.where(observation.action_mask[:, None], 0, policies) == 0).all()
    assert jnp.allclose(policies[:, 0] * observation.action_mask.sum(-1, keepdims=True), observation.action_mask)


@every_family
def test_a_family_is_hashable_and_described(family):
    assert hash(family) == hash(family)
    text = family.describe(family.tasks.train(0))
    assert text
    assert "\n" not in text
    assert text != family.describe(family.tasks.train(1))
    assert family.instances >= 20


def test_make_refuses_what_is_not_there():
    with pytest.raises(ValueError, match="family='erands': want one of codebooks, errands"):
        envs.make("erands")
    with pytest.raises(ValueError, match="control='x'"):
        envs.make("errands", "x")
    with pytest.raises(ValueError, match="valeus: no knob of errands"):
        envs.make("errands", valeus=3)
    for knobs in ({"objects": 5}, {"values": 3}, {"size": 3}, {"attributes": 1}):
        with pytest.raises(ValueError, match=f"{next(iter(knobs))}="):
            envs.make("errands", **knobs)
    for name, knob, value in (
        ("mazes", "rows", 2),
        ("mazes", "room", 6),
        ("programs", "length", 0),
        ("programs", "room", 3),
        ("programs", "modulus", 1),
        ("puzzles", "moves", 1),
        ("puzzles", "scramble", 9),
        ("codebooks", "exam", 1),
        ("codebooks", "study", 0),
        ("codebooks", "variant", "tell"),
        ("codebooks", "price", -1),
        ("sequences", "tokens", 17),
        ("sequences", "order", 4),
        ("sequences", "runs", 0),
        ("sequences", "length", 4),
        ("sequences", "asked", 7),
        ("sequences", "room", 4),
    ):
        with pytest.raises(ValueError, match=f"{knob}={value!r}"):
            envs.make(name, **{knob: value})
    with pytest.raises(ValueError, match="control='shuffled': is for families with a visible rule, not Codebooks"):
        envs.make("codebooks", "shuffled")
    with pytest.raises(ValueError, match="control='disjoint': is for families with a hidden rule, not Mazes"):
        envs.make("mazes", "disjoint")


@pytest.mark.parametrize(
    ("name", "near", "far"),
    [
        ("errands", {}, {"chain": 2}),
        ("mazes", {"room": 9}, {"rows": 9, "columns": 9}),
        ("programs", {"room": 9}, {"length": 9}),
        ("puzzles", {}, {"scramble": 4}),
        ("codebooks", {}, {"study": 4, "exam": 4}),
        ("sequences", {}, {"order": 3, "asked": 4}),
        ("sequences", {"room": 7}, {"tokens": 7, "runs": 5}),
    ],
)
def test_every_family_has_harder_tasks_that_look_the_same(name, near, far):
    """So that an agent can be tried, without any change, on what it was not trained for."""
    trained, tried = envs.make(name, **near), envs.make(name, **far)
    assert (trained.spec, trained.num_actions) == (tried.spec, tried.num_actions)
    assert trained.horizon < tried.horizon
