"""Checks of every method: shapes, vocabularies, exact experts, one compilation for all tasks."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.family import Family, Observation, Outcome, State
from incentivize.envs.tasks import Split, make_pool

EXPERT_INSTANCES = 10_000  # instances that the expert has to solve
OTHER_INSTANCES = 100  # instances of the other checks
FEWEST_INSTANCES = 16  # with fewer, a specialist need only learn paths


@partial(jax.jit, static_argnames=("family", "count", "split"))
def _starts(family: Family, count: int, split: Split, seed: int) -> State:
    pool = make_pool(count, split=split)
    tasks = jax.vmap(lambda i: family.tasks.member(pool, i))(jnp.arange(count, dtype=jnp.uint32))
    return jax.vmap(family.init)(jax.random.split(jax.random.key(seed), count), tasks)


def starts(family: Family, count: int = OTHER_INSTANCES, split: Split = "heldout", seed: int = 0) -> State:
    """Return `count` starting states, each of another task of a split."""
    return _starts(family, count, split, seed)


@lru_cache
def batched(family: Family, method: str) -> Callable[..., Any]:
    """Return a method of a family, compiled and batched; cached, as compilation is most of the cost of a check."""
    return jax.jit(jax.vmap(getattr(family, method)))


def expert_solves_every_instance(family: Family) -> None:
    """Check that the expert solves held-out tasks within the horizon, in as many steps as `distance` says."""
    states = starts(family, EXPERT_INSTANCES)
    expected = batched(family, "distance")(states)

    @jax.jit
    def play(states: State) -> Any:
        def step(carry: Any, key: jax.Array) -> Any:
            states, running, steps, failed = carry
            choose, move = jax.random.split(key)
            action = jax.random.categorical(choose, jnp.log(jax.vmap(family.expert)(states)))
            states, outcome = jax.vmap(family.step, in_axes=(0, 0, None))(states, action, move)
            steps = steps + running
            return (states, running & ~outcome.succeeded, steps, failed | (running & outcome.failed)), None

        start = (
            states,
            jnp.ones(EXPERT_INSTANCES, bool),
            jnp.zeros(EXPERT_INSTANCES, jnp.int32),
            jnp.zeros(EXPERT_INSTANCES, bool),
        )
        return jax.lax.scan(step, start, jax.random.split(jax.random.key(1), family.horizon))[0]

    _, running, steps, failed = play(states)
    assert not running.any(), f"the expert does not solve {running.mean():.2%} of instances within the horizon"
    assert not failed.any(), f"the expert fails in {failed.mean():.2%} of instances"
    assert (steps == expected).all(), "the expert needs another number of steps than `distance` says"
    assert (expected >= 1).all(), "an instance is solved before it begins"


class Look(NamedTuple):
    """One step of a random episode."""

    seen: Observation
    with_another_task: Observation
    expert: jax.Array
    distance: jax.Array
    running: jax.Array  # bool: no step before this one ended the episode
    outcome: Outcome


@lru_cache
def _walk(family: Family) -> Callable[[jax.Array], Look]:
    """Compile episodes of random legal actions. The argument (uint32 [n]) numbers held-out tasks and seeds the rest."""

    @jax.jit
    @jax.vmap
    def play(number: jax.Array) -> Look:
        key_start, key_picks, key = jax.random.split(jax.random.key(number), 3)
        task, other = (family.tasks.member(make_pool(2**20, split=split), number) for split in ("heldout", "training"))

        def step(carry: Any, inputs: Any) -> Any:
            (state, running), (pick, key) = carry, inputs
            seen = family.observe(state)
            action = jax.random.categorical(pick, jnp.where(seen.action_mask, 0.0, -jnp.inf))
            after, outcome = family.step(state, action, key)
            another = family.observe(state._replace(task=other))
            look = Look(seen, another, family.expert(state), family.distance(state), running, outcome)
            return (after, running & ~outcome.ends_episode), look

        keys = (jax.random.split(key_picks, family.horizon), jax.random.split(key, family.horizon))
        return jax.lax.scan(step, (family.init(key_start, task), jnp.bool_(True)), keys)[1]

    return play


def an_episode_keeps_the_contract(family: Family) -> None:
    """Check random episodes: observations within the spec, read from `shown` only; a legal expert; one way to end."""
    numbers = jnp.arange(OTHER_INSTANCES, dtype=jnp.uint32)
    looks: Look = jax.tree.map(np.asarray, _walk(family)(numbers))
    seen, spec, many = looks.seen, family.spec, (OTHER_INSTANCES, family.horizon)
    assert seen.context.shape == (*many, len(spec.context)), "the context is not of the spec's shape"
    assert seen.entities.shape == (*many, spec.num_entities, len(spec.entity)), "entities are not of the spec's shape"
    assert seen.context.dtype == seen.entities.dtype == np.uint8, "observations must be uint8"
    assert (seen.context < np.array(spec.context)).all(), "the context leaves its vocabulary"
    assert (seen.entities < np.array(spec.entity)).all(), "entities leave their vocabulary"
    assert seen.entity_mask.shape == (*many, spec.num_entities), "the entity mask is not of the spec's shape"
    assert seen.action_mask.shape == (*many, family.num_actions), "the action mask is not of the spec's shape"
    assert seen.action_mask.any(-1).all(), "no action is legal"
    chex.assert_trees_all_equal(seen, looks.with_another_task)
    assert np.allclose(looks.expert.sum(-1), 1), "the expert's probabilities do not add up to 1"
    assert (looks.expert[~seen.action_mask] == 0).all(), "the expert takes an illegal action"
    assert (looks.distance[looks.running] >= 1).all(), "a running episode is at no distance from success"
    both = looks.outcome.succeeded & looks.outcome.failed
    assert not both[looks.running].any(), "an episode succeeds and fails at once"
    chex.assert_trees_all_equal(looks, jax.tree.map(np.asarray, _walk(family)(numbers)))


def only_a_visible_rule_shows(family: Family) -> None:
    """Check that another `shown` changes observations exactly if the rule is visible, and never blinded ones."""
    states, others = starts(family), starts(family, split="training")
    changed = batched(family, "observe")(states._replace(shown=others.shown))
    plain = batched(family, "observe")(states)
    assert _differ(changed, plain) == family.reveals_rule, "observations and `reveals_rule` disagree"
    chex.assert_trees_all_equal(*(batched(family, "blind")(seen) for seen in (changed, plain)))


def the_key_decides(family: Family) -> None:
    """Check that the same key gives the same instances, and another key others."""
    chex.assert_trees_all_equal(starts(family), starts(family))
    first, second = (batched(family, "observe")(starts(family, seed=seed)) for seed in (0, 1))
    assert _differ(first, second), "another key gives the same instances"


def _differ(one: Any, other: Any) -> bool:
    """Return whether any leaves of two trees differ."""
    return any((a != b).any() for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def compiled_and_batched_equal_plain(family: Family) -> None:
    """Check that `step` under jit and vmap returns what it returns alone."""
    states = starts(family)
    actions, keys = (
        jnp.arange(OTHER_INSTANCES) % family.num_actions,
        jax.random.split(jax.random.key(0), OTHER_INSTANCES),
    )
    together = batched(family, "step")(states, actions, keys)
    for i in (0, 1):
        alone = family.step(jax.tree.map(lambda leaf, i=i: leaf[i], states), actions[i], keys[i])
        chex.assert_trees_all_equal(jax.tree.map(lambda leaf, i=i: leaf[i], together), alone)
        chex.assert_trees_all_equal_dtypes(jax.tree.map(lambda leaf, i=i: leaf[i], together), alone)


def one_trace_for_all_tasks(family: Family) -> None:
    """Check that no task or action compiles anew."""
    chex.clear_trace_counter()
    init = jax.jit(chex.assert_max_traces(family.init, n=1))
    step = jax.jit(chex.assert_max_traces(family.step, n=1))
    state = init(jax.random.key(0), jnp.array(family.tasks.train(0)))
    for index in range(3):
        state = init(jax.random.key(index), jnp.array(family.tasks.heldout(index)))
        for action in range(family.num_actions):
            state, _ = step(state, jnp.int32(action), jax.random.key(action))


def a_step_keeps_the_state_a_state(family: Family) -> None:
    """Check that a step keeps shapes and dtypes, and that an outcome is three flags and a cost."""
    state = jax.eval_shape(family.init, jax.random.key(0), jnp.array(family.tasks.train(0)))
    after, outcome = jax.eval_shape(family.step, state, jnp.int32(0), jax.random.key(0))
    chex.assert_trees_all_equal_shapes_and_dtypes(state, after)
    assert [leaf.dtype for leaf in outcome] == [bool, bool, jnp.float32, bool], "an outcome has other dtypes"


def start_near_is_near(family: Family) -> None:
    """Check that `start_near` begins at every distance up to `steps` that the family has."""
    keys, task = jax.random.split(jax.random.key(0), 300), jnp.array(family.tasks.train(0))
    near = jax.jit(jax.vmap(family.start_near, in_axes=(0, None, None)))
    farthest = int(batched(family, "distance")(starts(family)).max())
    for steps in (1, 3):
        distances = set(np.asarray(batched(family, "distance")(near(keys, task, jnp.int32(steps)))).tolist())
        expected = set(range(1, min(steps, farthest) + 1))
        assert distances == expected, f"start_near({steps}) begins at distances {distances}"


def scripted_policies_are_policies(family: Family) -> None:
    """Check that scripted policies are distributions over legal actions, the first one uniform."""
    observation = batched(family, "observe")(starts(family))
    policies = batched(family, "scripted")(observation)
    assert jnp.allclose(policies.sum(-1), 1), "a scripted policy's probabilities do not add up to 1"
    assert (jnp.where(observation.action_mask[:, None], 0, policies) == 0).all(), "a script takes an illegal action"
    uniform = policies[:, 0] * observation.action_mask.sum(-1, keepdims=True)
    assert jnp.allclose(uniform, observation.action_mask), "the first scripted policy is not uniform"


def hashable_and_described(family: Family) -> None:
    """Check that a family is hashable, describes tasks in one line each, and has FEWEST_INSTANCES of every task."""
    assert hash(family) == hash(family)
    text = family.describe(family.tasks.train(0))
    assert text
    assert "\n" not in text, "a description must be one line"
    assert text != family.describe(family.tasks.train(1)), "two tasks are described alike"
    assert family.instances >= FEWEST_INSTANCES, (
        f"a task has {family.instances} instances: must be at least {FEWEST_INSTANCES}"
    )
