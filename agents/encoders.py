"""Encoders: from observations to vectors. Flax modules on a batch [N], so that every layer is one product of matrices.

Observations are small integers, so the first layer is one table: a row of weights for every value of every slot,
applied as a product with one-hot vectors. (Gathering rows instead is slower on every device tried, because of its
backward pass.) The row of value 0 is left to the bias, so that a wall bit costs one row and a masked description is
the zero vector.
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
    """One-hot vectors of integer slots, without the column of value 0.

    Args:
        values: integers [..., S].
        vocabulary: the number of values of each slot, length S.

    Returns:
        float32 [..., sum(vocabulary) - S].
    """
    columns, start = [], 0
    for size, group in groupby(vocabulary):  # runs of equal slots in one comparison
        stop = start + len(list(group))
        slots = values[..., start:stop, None]
        hot = slots == jnp.arange(1, size, dtype=values.dtype)
        columns.append(hot.reshape(*values.shape[:-1], -1))
        start = stop
    return jnp.concatenate(columns, axis=-1).astype(jnp.float32)


def product(left: jax.Array, right: jax.Array, *_: Any, **__: Any) -> jax.Array:
    """`left` [..., I] times `right` [I, O], as one product of two matrices.

    For its gradient the leading axes are summed over. Where they are several, XLA turns one of the factors over first
    on CPUs, and takes ten times as long for a small one.
    """
    rows = math.prod(left.shape[:-1])
    return (left.reshape(rows, left.shape[-1]) @ right).reshape(*left.shape[:-1], right.shape[-1])


class Table(nn.Module):
    """The first layer: a row of weights for every value of every integer slot, summed, without a bias."""

    vocabulary: tuple[int, ...]
    width: int

    @nn.compact
    def __call__(self, values: jax.Array) -> jax.Array:
        return nn.Dense(self.width, use_bias=False, dot_general=product)(one_hot(values, self.vocabulary))


def dense(width: int, gain: float = 2.0, name: str | None = None) -> nn.Dense:
    """A dense layer; `gain` 2 keeps the variance through a rectifier (He et al. 2015)."""
    scaled = nn.initializers.variance_scaling(gain, "fan_in", "normal")
    return nn.Dense(width, kernel_init=scaled, dot_general=product, name=name)


def heads_of(width: int) -> int:
    """How many heads attention has: 4, or what divides the width."""
    return next(heads for heads in (4, 2, 1) if width % heads == 0)


class Bias(nn.Module):
    """A learnt constant vector."""

    width: int

    @nn.compact
    def __call__(self) -> jax.Array:
        return self.param("bias", nn.initializers.zeros, (self.width,))


class Mlp(nn.Module):
    """Everything flat: the table over all slots."""

    spec: Spec
    width: int

    @nn.compact
    def __call__(self, observation: Observation) -> jax.Array:
        entities = observation.entities.reshape(len(observation.context), math.prod(observation.entities.shape[1:]))
        slots = jnp.concatenate([observation.context, entities], axis=1)
        vocabulary = self.spec.context + self.spec.entity * self.spec.num_entities
        return nn.relu(Table(vocabulary, self.width)(slots) + Bias(self.width)())


class Relational(nn.Module):
    """Each entity encoded together with the context, summed over entities; the context alone where there is none.

    The order of entities does not matter, and their number may change. The context's part of the first layer is
    computed once and added to every entity.
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
        there = observation.entity_mask
        summed = jnp.where(there[..., None], encoded, 0).sum(1)
        return jnp.where(there.any(1, keepdims=True), summed, nn.relu(context))


class PairwiseRelational(nn.Module):
    """Every entity encoded with every other and the context, summed over the others, kept in order.

    A relation network (Santoro et al. 2017) that does not sum over all pairs: where entities are moves, which of them
    fits is what the policy needs to know. The first layer is computed once per entity and role, not once per pair.
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
        there = observation.entity_mask
        kept = jnp.where((there[:, :, None] & there[:, None])[..., None], pairs, 0).sum(2)
        alone = jnp.zeros_like(kept).at[:, 0].set(nn.relu(context))
        return jnp.where(there.any(1)[:, None, None], kept, alone).reshape(len(kept), -1)


class Transformer(nn.Module):
    """Entities and the context as tokens, two blocks of attention (Vaswani et al. 2017; norms first), kept in order.

    Every entity gets the context added, and a learnt vector of its place: where entities are moves, which is which
    matters.
    """

    spec: Spec
    width: int
    blocks: int = 2

    @nn.compact
    def __call__(self, observation: Observation) -> jax.Array:
        context = Table(self.spec.context, self.width)(observation.context) + Bias(self.width)()
        tokens, there = context[:, None], jnp.ones((len(context), 1), bool)
        if self.spec.num_entities:
            places = nn.Embed(self.spec.num_entities, self.width)(jnp.arange(self.spec.num_entities))
            entities = Table(self.spec.entity, self.width)(observation.entities) + context[:, None] + places
            tokens = jnp.concatenate([tokens, entities], axis=1)
            there = jnp.concatenate([there, observation.entity_mask], axis=1)
        for _ in range(self.blocks):
            if self.spec.num_entities:  # one token alone has nothing to attend to
                attend = nn.MultiHeadAttention(num_heads=heads_of(self.width))
                tokens = tokens + attend(nn.LayerNorm()(tokens), mask=there[:, None, None])
            inner = nn.relu(dense(2 * self.width)(nn.LayerNorm()(tokens)))
            tokens = tokens + dense(self.width, 1.0)(inner)
        return jnp.where(there[..., None], nn.LayerNorm()(tokens), 0).reshape(len(tokens), -1)


ENCODERS: Registry[type[nn.Module]] = Registry(
    "networks",
    {
        "mlp": "incentivize.agents.encoders:Mlp",
        "relational": "incentivize.agents.encoders:Relational",
        "pairs": "incentivize.agents.encoders:PairwiseRelational",
        "transformer": "incentivize.agents.encoders:Transformer",
    },
)
"""Encoders by name: Flax modules of a `spec` and a `width`, from observations [N, ...] to [N, H]."""
