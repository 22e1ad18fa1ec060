"""Checks of every method: shapes, vocabularies, exact experts, one compilation for all tasks."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.contract.players import (
    EPISODES,
    alone,
    as_numpy,
    distances,
    heldout_tasks,
    init,
    play,
    solve,
)
from incentivize.envs.contract.twins import base_of, random_of
from incentivize.envs.family import Family, State
from incentivize.envs.tasks import Pool, Split, make_pool

EXPERT_INSTANCES = 10_000  # instances that the expert has to solve, at least
OTHER_INSTANCES = 100  # instances, if no number is given
FEWEST_INSTANCES = 16  # with fewer, a specialist need only learn paths


@partial(jax.jit, static_argnames=("family", "count"))
def _starts(family: Family, count: int, pool: Pool, seed: int) -> State:
    tasks = jax.vmap(lambda i: family.tasks.member(pool, i))(jnp.arange(count, dtype=jnp.uint32))
    return jax.vmap(family.init)(jax.random.split(jax.random.key(seed), count), tasks)


def starts(family: Family, count: int = OTHER_INSTANCES, split: Split = "heldout", seed: int = 0) -> State:
    """Return `count` starting states, each of another task of a split."""
    return _starts(family, count, make_pool(count, split=split), seed)


@lru_cache
def batched(family: Family, method: str) -> Callable[..., Any]:
    """Return a method of a family, compiled and batched; cached, as compilation is most of the cost of a check."""
    return jax.jit(jax.vmap(getattr(family, method)))


def expert_solves_every_instance(family: Family) -> None:
    """Check that the expert solves held-out tasks within the horizon, in as many steps as `distance` says."""
    solved = solve(family, -(-EXPERT_INSTANCES // EPISODES), "informed")
    lost = ~solved.solved
    assert not lost.any(), f"the expert does not solve {lost.mean():.2%} of instances within the horizon"
    assert not solved.failed.any(), f"the expert fails in {solved.failed.mean():.2%} of instances"
    assert (solved.steps == solved.distance).all(), "the expert needs another number of steps than `distance` says"
    assert (solved.distance >= 1).all(), "an instance is solved before it begins"


def an_episode_keeps_the_contract(family: Family) -> None:
    """Check random episodes: observations within the spec, read from `shown` only; a legal expert; one way to end."""
    start, episode = random_of(family)
    seen, spec, many = episode.seen, family.spec, (EPISODES, family.horizon)
    assert seen.context.shape == (*many, len(spec.context)), "the context is not of the spec's shape"
    assert seen.entities.shape == (*many, spec.num_entities, len(spec.entity)), "entities are not of the spec's shape"
    assert seen.context.dtype == seen.entities.dtype == np.uint8, "observations must be uint8"
    assert (seen.context < np.array(spec.context)).all(), "the context leaves its vocabulary"
    assert (seen.entities < np.array(spec.entity)).all(), "entities leave their vocabulary"
    assert seen.entity_mask.shape == (*many, spec.num_entities), "the entity mask is not of the spec's shape"
    assert seen.action_mask.shape == (*many, family.num_actions), "the action mask is not of the spec's shape"
    assert seen.action_mask.any(-1).all(), "no action is legal"
    assert episode.alike.with_other_task.all(), "observations change with `task`: they must read the rule from `shown`"
    assert np.allclose(episode.informed.sum(-1), 1), "the expert's probabilities do not add up to 1"
    assert (episode.informed[~seen.action_mask] == 0).all(), "the expert takes an illegal action"
    assert (episode.distance[episode.running] >= 1).all(), "a running episode is at no distance from success"
    both = episode.outcome.succeeded & episode.outcome.failed
    assert not both[episode.running].any(), "an episode succeeds and fails at once"
    chex.assert_trees_all_equal(episode, play(family, start, compare=True))


def only_a_visible_rule_shows(family: Family) -> None:
    """Check that another `shown` changes observations exactly if the rule is visible, and never blinded ones."""
    _, episode = random_of(family)
    shows = not episode.alike.with_other_shown[:, 0].all()
    assert shows == family.reveals_rule, "observations and `reveals_rule` disagree"
    assert episode.alike.blinded_with_other_shown[:, 0].all(), "blinded observations change with `shown`"


def the_key_decides(family: Family) -> None:
    """Check that the same key gives the same instances, and another key others."""
    tasks, (start, first) = heldout_tasks(family), base_of(family)
    chex.assert_trees_all_equal(as_numpy(start), as_numpy(init(family, tasks)))
    second = play(family, init(family, tasks, 1))
    first_look, second_look = (jax.tree.map(lambda leaf: leaf[:, 0], episode.seen) for episode in (first, second))
    assert _differ(first_look, second_look), "another key gives the same instances"


def _differ(first: Any, second: Any) -> bool:
    """Return whether any leaves of two trees differ."""
    return any((a != b).any() for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))


def compiled_and_batched_equal_plain(family: Family) -> None:
    """Check that `step` under jit and vmap returns what it returns alone."""
    start, episode = base_of(family)
    together = episode.after, episode.outcome
    for i in (0, 1):
        state, action = jax.tree.map(lambda leaf, i=i: leaf[i], start.state), jnp.asarray(episode.action[i, 0])
        _, key = jax.random.split(jax.random.split(start.key[i], family.horizon)[0])
        plain = as_numpy(family.step(state, action, key))
        first = jax.tree.map(lambda leaf, i=i: leaf[i, 0], together)
        chex.assert_trees_all_equal(first, plain)
        chex.assert_trees_all_equal_dtypes(first, plain)


def one_trace_for_all_tasks(family: Family) -> None:
    """Check that no task or action compiles anew; `jit` keeps traces by the types of arguments, so types suffice."""
    chex.clear_trace_counter()
    init = jax.jit(chex.assert_max_traces(family.init, n=1))
    step = jax.jit(chex.assert_max_traces(family.step, n=1))
    state = jax.eval_shape(init, jax.random.key(0), jnp.array(family.tasks.train(0)))
    for index in range(3):
        state = jax.eval_shape(init, jax.random.key(index), jnp.array(family.tasks.heldout(index)))
        for action in range(family.num_actions):
            state, _ = jax.eval_shape(step, state, jnp.int32(action), jax.random.key(action))


def a_step_keeps_the_state_a_state(family: Family) -> None:
    """Check that a step keeps shapes and dtypes, and that an outcome is three flags and a cost."""
    state = jax.eval_shape(alone(family, "init"), jax.random.key(0), jnp.array(family.tasks.train(0)))
    after, outcome = jax.eval_shape(alone(family, "step"), state, jnp.int32(0), jax.random.key(0))
    chex.assert_trees_all_equal_shapes_and_dtypes(state, after)
    assert [leaf.dtype for leaf in outcome] == [bool, bool, jnp.float32, bool], "an outcome has other dtypes"


def start_near_is_near(family: Family) -> None:
    """Check that `start_near` begins at every distance up to `steps` that the family has."""
    keys, task = jax.random.split(jax.random.key(0), (2, EPISODES)), jnp.array(family.tasks.train(0))
    near = jax.jit(jax.vmap(alone(family, "start_near"), (0, None, None)))
    farthest = int(base_of(family)[1].distance[:, 0].max())
    for steps in (1, 3):
        starts = [near(half, task, jnp.int32(steps)) for half in keys]
        distances_seen = set(np.concatenate([distances(family, states) for states in starts]).tolist())
        expected = set(range(1, min(steps, farthest) + 1))
        assert distances_seen == expected, f"start_near({steps}) begins at distances {distances_seen}"


def scripted_policies_are_policies(family: Family) -> None:
    """Check that scripted policies are distributions over legal actions, the first one uniform."""
    _, episode = base_of(family)
    policies, legal = episode.scripted[0], episode.seen.action_mask
    assert np.allclose(policies.sum(-1), 1), "a scripted policy's probabilities do not add up to 1"
    assert (np.where(legal[:, :, None], 0, policies) == 0).all(), "a script takes an illegal action"
    uniform = policies[:, :, 0] * legal.sum(-1, keepdims=True)
    assert np.allclose(uniform, legal), "the first scripted policy is not uniform"


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
