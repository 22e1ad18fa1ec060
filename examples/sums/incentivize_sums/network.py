"""A residual encoder: everything flat, and a block that adds to what is there already."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from incentivize.agents.encoders import Bias, Table, dense
from incentivize.envs.family import Observation, Spec


class Residual(nn.Module):
    """Everything flat, then a residual block (He et al. 2016): from observations [N, ...] to [N, width]."""

    spec: Spec
    width: int

    @nn.compact
    def __call__(self, observation: Observation) -> jax.Array:
        slots = jnp.concatenate([observation.context, observation.entities.reshape(len(observation.context), -1)], 1)
        vocabulary = self.spec.context + self.spec.entity * self.spec.num_entities
        hidden = Table(vocabulary, self.width)(slots) + Bias(self.width)()
        return hidden + dense(self.width, 1.0)(nn.relu(dense(self.width)(nn.relu(hidden))))
