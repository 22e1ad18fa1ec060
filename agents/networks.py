"""Networks: from an observation to action logits and a value. The only file that knows Flax.

A `Network` is a frozen description with pure, unbatched functions; parameters are a pytree handed in. Observations are
small integers, so the first layer is one table: a row of weights for every value of every slot, applied as a product
with one-hot vectors. (Gathering rows instead is slower on every device tried, because of its backward pass.) The row
of value 0 is left to the bias, so that a wall bit costs one row and a masked description is the zero vector.
"""

from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp

from envs.family import Family, Observation, Spec
from envs.mixture import Mixture

Params = Any
Memory = Any


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


class Table(nn.Module):
    """The first layer: a row of weights for every value of every integer slot, summed, without a bias."""

    vocabulary: tuple[int, ...]
    width: int

    @nn.compact
    def __call__(self, values: jax.Array) -> jax.Array:
        return nn.Dense(self.width, use_bias=False)(one_hot(values, self.vocabulary))


def dense(width: int, gain: float = 2.0, name: str | None = None) -> nn.Dense:
    """A dense layer; `gain` 2 keeps the variance through a rectifier (He et al. 2015)."""
    return nn.Dense(width, kernel_init=nn.initializers.variance_scaling(gain, "fan_in", "normal"), name=name)


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
        slots = jnp.concatenate([observation.context, observation.entities.reshape(-1)])
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
        encoded = nn.relu(Table(self.spec.entity, self.width)(observation.entities) + context)
        encoded = nn.relu(dense(self.width)(encoded))
        there = observation.entity_mask
        summed = jnp.where(there[:, None], encoded, 0).sum(0)
        return jnp.where(there.any(), summed, nn.relu(context))


class Pairs(nn.Module):
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
        first = Table(self.spec.entity, self.width)(observation.entities) + context
        second = Table(self.spec.entity, self.width)(observation.entities)
        pairs = nn.relu(dense(self.width)(nn.relu(first[:, None] + second)))
        there = observation.entity_mask
        kept = jnp.where((there[:, None] & there)[..., None], pairs, 0).sum(1)
        alone = jnp.zeros_like(kept).at[0].set(nn.relu(context))
        return jnp.where(there.any(), kept, alone).reshape(-1)


class ActorCritic(nn.Module):
    """An encoder, dense layers, a head for the policy and a head for the value."""

    encoder: type[nn.Module]
    spec: Spec
    num_actions: int
    width: int
    depth: int

    @nn.compact
    def __call__(self, observation: Observation) -> tuple[jax.Array, jax.Array]:
        hidden = self.encoder(self.spec, self.width)(observation)
        for _ in range(self.depth):
            hidden = nn.relu(dense(self.width)(hidden))
        logits = dense(self.num_actions, 1e-4, "policy")(
            hidden
        )  # near-uniform at first (Andrychowicz et al. 2021, sec. 3.2)
        value = dense(1, 1.0, "value")(hidden)[0]
        return jnp.where(observation.action_mask, logits, -1e9), value


NETWORKS: dict[str, type[nn.Module]] = {"mlp": Mlp, "relational": Relational, "pairs": Pairs}


@dataclass(frozen=True)
class Network:
    """A policy and value function over a family's observations; static under `jit`."""

    kind: str
    spec: Spec
    num_actions: int
    width: int = 64
    depth: int = 1

    def _module(self) -> ActorCritic:
        return ActorCritic(NETWORKS[self.kind], self.spec, self.num_actions, self.width, self.depth)

    def init(self, key: jax.Array) -> Params:
        """Fresh parameters. Consumes `key`."""
        blank = Observation(
            context=jnp.zeros(len(self.spec.context), jnp.uint8),
            entities=jnp.zeros((self.spec.num_entities, len(self.spec.entity)), jnp.uint8),
            entity_mask=jnp.ones(self.spec.num_entities, bool),
            action_mask=jnp.ones(self.num_actions, bool),
        )
        return self._module().init(key, blank)

    def initial_memory(self) -> Memory:
        """What is remembered at the start of an episode: nothing, in a network without memory."""
        return ()

    def apply(self, params: Params, observation: Observation, memory: Memory) -> tuple[jax.Array, jax.Array, Memory]:
        """Logits float32 [A] (illegal actions at -1e9), value float32 [], and the memory after this step."""
        logits, value = cast(tuple[jax.Array, jax.Array], self._module().apply(params, observation))
        return logits, value, memory

    def unroll(
        self, params: Params, observations: Observation, reset_before: jax.Array, memory: Memory
    ) -> tuple[jax.Array, jax.Array, Memory]:
        """`apply` over a sequence, memory emptied where an episode begins (these networks have none).

        Args:
            params: from `init`.
            observations: leaves [T, ...].
            reset_before: bool [T], whether a new episode begins at this step.
            memory: before the first step.

        Returns:
            Logits [T, A], values [T], the memory after the last step.
        """
        logits, values = jax.vmap(lambda observation: self.apply(params, observation, ())[:2])(observations)
        return logits, values, memory

    def num_params(self) -> int:
        """The number of parameters, without allocating them."""
        shapes = jax.eval_shape(self.init, jax.random.key(0))
        return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def make(kind: str, family: Family | Mixture, *, width: int = 64, depth: int = 1) -> Network:
    """A network that fits a family, or a mixture of families.

    Raises:
        ValueError: where there is no network of that kind.
    """
    if kind not in NETWORKS:
        raise ValueError(f"network={kind!r}: want one of {', '.join(NETWORKS)}")
    return Network(kind, family.spec, family.num_actions, width, depth)
