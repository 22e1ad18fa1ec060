import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs
from incentivize.agents.recording import expert_of, record

KEY = jax.random.key(3)


@pytest.mark.parametrize("name", envs.names())
def test_the_expert_is_seen_to_win(name):
    family = envs.make(name)
    start = family.init(KEY, jnp.asarray(family.tasks.heldout(0)))
    trajectory = jax.jit(lambda start: record(family, expert_of(family), (), start, KEY))(start)
    steps = int(trajectory.outcomes.ends_episode.argmax()) + 1
    assert trajectory.outcomes.ends_episode.any()
    assert trajectory.outcomes.succeeded[steps - 1]
    if family.reveals_rule:
        assert steps == int(family.distance(start))
    for leaf, first in zip(jax.tree.leaves(trajectory.states), jax.tree.leaves(start), strict=True):
        assert leaf.shape == (family.horizon + 1, *first.shape)
        np.testing.assert_array_equal(leaf[0], first)


def test_every_state_is_where_the_action_before_it_led():
    family = envs.make("mazes")
    start = family.init(KEY, jnp.asarray(family.tasks.heldout(0)))

    def by_turns(state, elapsed, memory, key):  # the memory counts, as does what has elapsed
        return jnp.where(memory == elapsed, 50.0, -50.0) * jax.nn.one_hot(memory % 4, 4), memory + 1

    trajectory = record(family, by_turns, jnp.int32(0), start, KEY)
    assert trajectory.actions.tolist() == [step % 4 for step in range(family.horizon)]
    state = start
    for step in range(family.horizon):
        state, outcome = family.step(state, trajectory.actions[step], KEY)  # nothing is drawn in mazes
        after = jax.tree.map(lambda leaf, step=step: leaf[step + 1], trajectory.states)
        assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), state, after)))
        assert bool(outcome.succeeded) == bool(trajectory.outcomes.succeeded[step])
