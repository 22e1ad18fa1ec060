"""Encoders: Flax modules from observations [N, ...] to vectors [N, H]. A batch makes every layer one matrix product.

Observations are small integers, so the first layer is a table: a row of weights for every value of every slot, applied
as a product with one-hot vectors. (Gathering rows is slower on every device tried, because of its backward pass.) The
bias stands for the row of value 0, so that a wall bit costs one row and a masked description is the zero vector.
"""

import math
from itertools import groupby
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from incentivize.envs.family import Observation, Spec
from incentivize.envs.registry import Registry


def one_hot(values: jax.Array, vocabulary: tuple[int, ...]) -> jax.Array:
    """Return one-hot vectors of integer slots, without the column of value 0.

    Args:
        values: values of the slots, integers [..., S].
        vocabulary: number of values of each slot, length S.

    Returns:
        The vectors of all slots, concatenated, float32 [..., sum(vocabulary) - S].
    """
    columns, start = [], 0
    for size, group in groupby(vocabulary):  # runs of equal slots in one comparison
        stop = start + len(list(group))
        slots = values[..., start:stop, None]
        equal = slots == jnp.arange(1, size, dtype=values.dtype)
        columns.append(equal.reshape(*values.shape[:-1], -1))
        start = stop
    return jnp.concatenate(columns, axis=-1).astype(jnp.float32)


def flat_dot(left: jax.Array, right: jax.Array, *_: Any, **__: Any) -> jax.Array:
    """Multiply `left` [..., I] by `right` [I, O], as one product of two matrices; returns [..., O].

    The gradient sums over the leading axes. With several of them, XLA on CPUs transposes a factor first, and a small
    product takes ten times as long.
    """
    rows = math.prod(left.shape[:-1])
    return (left.reshape(rows, left.shape[-1]) @ right).reshape(*left.shape[:-1], right.shape[-1])


class Table(nn.Module):
    """The first layer, from integers [..., S] to [..., width]: a row of weights per slot and value, summed; no bias."""

    vocabulary: tuple[int, ...]
    width: int

    @nn.compact
    def __call__(self, values: jax.Array) -> jax.Array:
        return nn.Dense(self.width, use_bias=False, dot_general=flat_dot)(one_hot(values, self.vocabulary))


def dense(width: int, gain: float = 2.0, name: str | None = None) -> nn.Dense:
    """Return a dense layer of `width` units; `gain` 2 keeps the variance through a rectifier (He et al. 2015)."""
    scaled = nn.initializers.variance_scaling(gain, "fan_in", "normal")
    return nn.Dense(width, kernel_init=scaled, dot_general=flat_dot, name=name)


def num_heads(width: int) -> int:
    """Return the number of attention heads: 4, or the largest of 2 and 1 that divides the width."""
    return next(heads for heads in (4, 2, 1) if width % heads == 0)


class Bias(nn.Module):
    """A learnt vector, [width]."""

    width: int

    @nn.compact
    def __call__(self) -> jax.Array:
        return self.param("bias", nn.initializers.zeros, (self.width,))


class Mlp(nn.Module):
    """One table over the slots of the context and of all entities."""

    spec: Spec
    width: int

    @nn.compact
    def __call__(self, observation: Observation) -> jax.Array:
        entities = observation.entities.reshape(len(observation.context), math.prod(observation.entities.shape[1:]))
        slots = jnp.concatenate([observation.context, entities], axis=1)
        vocabulary = self.spec.context + self.spec.entity * self.spec.num_entities
        return nn.relu(Table(vocabulary, self.width)(slots) + Bias(self.width)())


class Relational(nn.Module):
    """Entities encoded together with the context, and summed; the context alone if no entity exists.

    The order of entities does not matter, and their number may vary. The context's part of the first layer is computed
    once and added to every entity.
    """

    spec: Spec
    width: int

    @nn.compact
    def __call__(self, observation: Observation) -> jax.Array:
        context = Table(self.spec.context, self.width)(observation.context) + Bias(self.width)()
        if not self.spec.num_entities:
            return nn.relu(context)
        encoded = nn.relu(Table(self.spec.entity, self.width)(observation.entities) + context[:, None])
        encoded = nn.relu(dense(self.width)(encoded))
        exists = observation.entity_mask
        summed = jnp.where(exists[..., None], encoded, 0).sum(1)
        return jnp.where(exists.any(1, keepdims=True), summed, nn.relu(context))


class PairwiseRelational(nn.Module):
    """Entities encoded with every other entity and the context, summed over the others, and concatenated in order.

    A relation network (Santoro et al. 2017) that does not sum over all pairs: where entities are moves, the policy has
    to know which of them fits. The first layer is computed once per entity and role, not once per pair.
    """

    spec: Spec
    width: int

    @nn.compact
    def __call__(self, observation: Observation) -> jax.Array:
        context = Table(self.spec.context, self.width)(observation.context) + Bias(self.width)()
        if not self.spec.num_entities:
            return nn.relu(context)
        first = Table(self.spec.entity, self.width)(observation.entities) + context[:, None]
        second = Table(self.spec.entity, self.width)(observation.entities)
        pairs = nn.relu(dense(self.width)(nn.relu(first[:, :, None] + second[:, None])))
        exists = observation.entity_mask
        summed = jnp.where((exists[:, :, None] & exists[:, None])[..., None], pairs, 0).sum(2)
        context_only = jnp.zeros_like(summed).at[:, 0].set(nn.relu(context))
        return jnp.where(exists.any(1)[:, None, None], summed, context_only).reshape(len(summed), -1)


class Transformer(nn.Module):
    """Entities and the context as tokens of a transformer (Vaswani et al. 2017; norms first), concatenated in order.

    The context and a learnt vector of its position are added to every entity: where entities are moves, their order
    matters.
    """

    spec: Spec
    width: int
    blocks: int = 2

    @nn.compact
    def __call__(self, observation: Observation) -> jax.Array:
        context = Table(self.spec.context, self.width)(observation.context) + Bias(self.width)()
        tokens, exists = context[:, None], jnp.ones((len(context), 1), bool)
        if self.spec.num_entities:
            positions = nn.Embed(self.spec.num_entities, self.width)(jnp.arange(self.spec.num_entities))
            entities = Table(self.spec.entity, self.width)(observation.entities) + context[:, None] + positions
            tokens = jnp.concatenate([tokens, entities], axis=1)
            exists = jnp.concatenate([exists, observation.entity_mask], axis=1)
        for _ in range(self.blocks):
            if self.spec.num_entities:  # a single token has nothing to attend to
                attend = nn.MultiHeadAttention(num_heads=num_heads(self.width))
                tokens = tokens + attend(nn.LayerNorm()(tokens), mask=exists[:, None, None])
            inner = nn.relu(dense(2 * self.width)(nn.LayerNorm()(tokens)))
            tokens = tokens + dense(self.width, 1.0)(inner)
        return jnp.where(exists[..., None], nn.LayerNorm()(tokens), 0).reshape(len(tokens), -1)


ENCODERS: Registry[type[nn.Module]] = Registry(
    "networks",
    {
        "mlp": "incentivize.agents.encoders:Mlp",
        "relational": "incentivize.agents.encoders:Relational",
        "pairs": "incentivize.agents.encoders:PairwiseRelational",
        "transformer": "incentivize.agents.encoders:Transformer",
    },
)
"""Encoders by name: Flax modules with fields `spec` and `width`, from observations [N, ...] to vectors [N, H]."""
