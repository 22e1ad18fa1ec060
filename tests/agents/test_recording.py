from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs
from incentivize.agents.recording import expert_of, record

KEY = jax.random.key(3)


@partial(jax.jit, static_argnums=0)
def expert_episode(family, task, key):
    """Return a starting state, its distance from success, and the expert's episode from there."""
    start = family.init(key, task)
    return start, family.distance(start), record(family, expert_of(family), (), start, key)


@pytest.mark.parametrize("name", envs.names())
def test_the_expert_is_seen_to_win(name):
    family = envs.make(name)
    start, distance, trajectory = jax.device_get(expert_episode(family, family.tasks.heldout(0), KEY))
    steps = int(trajectory.outcomes.ends_episode.argmax()) + 1
    assert trajectory.outcomes.ends_episode.any()
    assert trajectory.outcomes.succeeded[steps - 1]
    if family.reveals_rule:
        assert steps == distance
    for leaf, first in zip(jax.tree.leaves(trajectory.states), jax.tree.leaves(start), strict=True):
        assert leaf.shape == (family.horizon + 1, *first.shape)
        np.testing.assert_array_equal(leaf[0], first)


def test_every_state_is_where_the_action_before_it_led():
    family = envs.make("mazes")

    def by_turns(state, elapsed, memory, key):  # the memory counts, as does what has elapsed
        return jnp.where(memory == elapsed, 50.0, -50.0) * jax.nn.one_hot(memory % 4, 4), memory + 1

    @jax.jit
    def episode(task, key):
        start = family.init(key, task)
        return start, record(family, by_turns, jnp.int32(0), start, key)

    state, trajectory = jax.device_get(episode(family.tasks.heldout(0), KEY))
    assert trajectory.actions.tolist() == [step % 4 for step in range(family.horizon)]
    advance = jax.jit(family.step)
    for step in range(family.horizon):
        state, outcome = jax.device_get(advance(state, trajectory.actions[step], KEY))  # nothing is drawn in mazes
        after = jax.tree.map(lambda leaf, step=step: leaf[step + 1], trajectory.states)
        assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), state, after)))
        assert bool(outcome.succeeded) == bool(trajectory.outcomes.succeeded[step])
