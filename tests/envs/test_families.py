"""The contract, over every registered family and control."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.tasks import make_pool

VARIANTS = {"mazes": [{}, {"goal_in_task": False}]}  # knobs that change what a task is
FAMILIES = [envs.make(name, **knobs) for name in envs.names() for knobs in VARIANTS.get(name, [{}])]
CONTROLLED = [*FAMILIES, *(envs.make(name, control) for name in envs.names() for control in ("shuffled", "blind"))]


def label(family):
    return repr(family).replace(" ", "")


every_family = pytest.mark.parametrize("family", FAMILIES, ids=label)
every_control = pytest.mark.parametrize("family", CONTROLLED, ids=label)


@partial(jax.jit, static_argnames=("family", "count", "split", "seed"))
def starts(family, count, split="heldout", seed=0):
    """`count` starting states, each of another task."""
    pool = make_pool(count, split=split)
    tasks = jax.vmap(lambda i: family.tasks.member(pool, i))(jnp.arange(count, dtype=jnp.uint32))
    return jax.vmap(family.init)(jax.random.split(jax.random.key(seed), count), tasks)


@every_family
def test_expert_solves_every_heldout_instance_in_distance_steps(family):
    states = starts(family, 10_000)
    expected = jax.jit(jax.vmap(family.distance))(states)

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


@every_control
def test_observations_are_in_their_vocabulary(family):
    states = starts(family, 500)
    observation = jax.jit(jax.vmap(family.observe))(states)
    spec = family.spec
    assert observation.context.shape == (500, len(spec.context))
    assert observation.entities.shape == (500, spec.num_entities, len(spec.entity))
    assert observation.context.dtype == observation.entities.dtype == jnp.uint8
    assert (observation.context < jnp.array(spec.context)).all()
    if spec.num_entities:
        assert (observation.entities < jnp.array(spec.entity)).all()
    assert observation.entity_mask.shape == (500, spec.num_entities)
    assert observation.action_mask.shape == (500, family.num_actions)
    assert observation.action_mask.any(1).all()


@every_control
def test_observe_reads_the_rule_from_shown_only(family):
    states, others = starts(family, 50), starts(family, 50, split="training")
    chex.assert_trees_all_equal(
        jax.jit(jax.vmap(family.observe))(states), jax.jit(jax.vmap(family.observe))(states._replace(task=others.task))
    )


@every_control
def test_only_a_visible_rule_shows(family):
    states, others = starts(family, 50), starts(family, 50, split="training")
    told = jax.jit(jax.vmap(family.observe))(states._replace(shown=others.shown))
    differs = (told.context != jax.jit(jax.vmap(family.observe))(states).context).any()
    assert bool(differs) == family.reveals_rule
    blind = [jax.vmap(family.blind)(seen) for seen in (told, jax.jit(jax.vmap(family.observe))(states))]
    chex.assert_trees_all_equal(*blind)


@every_control
def test_the_same_key_gives_the_same_state_and_another_key_another(family):
    chex.assert_trees_all_equal(starts(family, 20), starts(family, 20))
    first, second = (jax.jit(jax.vmap(family.observe))(starts(family, 20, seed=seed)) for seed in (0, 1))
    assert any((a != b).any() for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))


@every_control
def test_jit_equals_eager_and_vmap_equals_loop(family):
    states = starts(family, 3)
    actions = jnp.arange(3) % family.num_actions
    key = jax.random.key(0)
    batched = jax.jit(jax.vmap(family.step, in_axes=(0, 0, None)))(states, actions, key)
    for i in range(3):
        alone = family.step(jax.tree.map(lambda leaf, i=i: leaf[i], states), actions[i], key)
        chex.assert_trees_all_equal(jax.tree.map(lambda leaf, i=i: leaf[i], batched), alone)
        chex.assert_trees_all_equal_dtypes(jax.tree.map(lambda leaf, i=i: leaf[i], batched), alone)


@every_control
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
    assert (outcome.succeeded.dtype, outcome.failed.dtype, outcome.cost.dtype) == (bool, bool, jnp.float32)


@every_family
@pytest.mark.parametrize("steps", [1, 3])
def test_start_near_is_near(family, steps):
    keys = jax.random.split(jax.random.key(0), 300)
    task = jnp.array(family.tasks.train(0))
    states = jax.jit(jax.vmap(lambda key: family.start_near(key, task, jnp.int32(steps))))(keys)
    distances = np.array(jax.vmap(family.distance)(states))
    assert set(distances) == set(range(1, steps + 1))


@every_control
def test_scripted_policies_are_policies_over_legal_actions(family):
    observation = jax.jit(jax.vmap(family.observe))(starts(family, 100))
    policies = jax.jit(jax.vmap(family.scripted))(observation)
    assert jnp.allclose(policies.sum(-1), 1)
    assert (jnp.where(observation.action_mask[:, None], 0, policies) == 0).all()
    assert jnp.allclose(policies[:, 0] * observation.action_mask.sum(-1, keepdims=True), observation.action_mask)


@every_control
def test_a_family_is_hashable_and_described(family):
    assert hash(family) == hash(family)
    text = family.describe(family.tasks.train(0))
    assert text
    assert "\n" not in text
    assert text != family.describe(family.tasks.train(1))
    assert family.instances >= 48


def test_make_refuses_what_is_not_there():
    with pytest.raises(ValueError, match="family='erands': want one of errands"):
        envs.make("erands")
    with pytest.raises(ValueError, match="control='x'"):
        envs.make("errands", "x")
    with pytest.raises(ValueError, match="valeus: no knob of errands"):
        envs.make("errands", valeus=3)
    for knobs in ({"objects": 5}, {"values": 3}, {"size": 3}, {"attributes": 1}):
        with pytest.raises(ValueError, match=f"{next(iter(knobs))}="):
            envs.make("errands", **knobs)
    with pytest.raises(ValueError, match="rows=2"):
        envs.make("mazes", rows=2)
