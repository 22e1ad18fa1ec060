"""Families whose episodes all have the same length: they succeed at the horizon, unless they fail before."""

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family, State


class FixedLength(Family):
    """A family that succeeds at its horizon or fails before. Its states have a field `at`, the step (uint8 [])."""

    def distance(self, state: State) -> jax.Array:
        return self.horizon - state.at.astype(jnp.int32)


def draw_steps_left(key: jax.Array, steps: jax.Array, most: int) -> jax.Array:
    """Draw a number of steps from 1 to the smaller of `steps` (int []) and `most`, int32 []. Consumes `key`."""
    return jax.random.randint(key, (), 1, jnp.minimum(steps, most) + 1)
