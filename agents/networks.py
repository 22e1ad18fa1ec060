"""Networks: from observations to action logits and a value. Encoder, memory, dense layers, two heads.

A `Network` is a frozen description with pure functions; parameters are a pytree handed in. What it does is one function
of many sequences, so that a layer is one product of matrices however many there are; a sequence, or a step, is one of
one. Only this file, `encoders` and `memories` know Flax.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from incentivize.agents.encoders import ENCODERS, dense
from incentivize.agents.memories import MEMORIES, Memory
from incentivize.envs.family import Observation, Playable, Spec

Params = Any
MAX_WIDTH = 4096


class Heads(nn.Module):
    """Dense layers, a head for the policy and a head for the value: from [N, H] to [N, A] and [N]."""

    num_actions: int
    width: int
    depth: int

    @nn.compact
    def __call__(self, hidden: jax.Array, action_mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        for _ in range(self.depth):
            hidden = nn.relu(dense(self.width)(hidden))
        # Near-uniform at first (Andrychowicz et al. 2021, sec. 3.2).
        logits = dense(self.num_actions, 1e-4, "policy")(hidden)
        value = dense(1, 1.0, "value")(hidden)[:, 0]
        return jnp.where(action_mask, logits, -1e9), value


@dataclass(frozen=True)
class Network:
    """A policy and value function over a family's observations; static under `jit`.

    Attributes:
        kind: the encoder.
        spec: the observations.
        num_actions: A.
        width: units per layer.
        depth: dense layers after encoder and memory.
        memory: what is remembered within an episode.
        span: steps that attention looks back on.
    """

    kind: str
    spec: Spec
    num_actions: int
    width: int = 64
    depth: int = 1
    memory: str = "none"
    span: int = 1

    @property
    def _encoder(self) -> nn.Module:
        return ENCODERS.load(self.kind)(self.spec, self.width)

    @property
    def _memory(self) -> nn.Module:
        return MEMORIES[self.memory](self.width, self.span)

    @property
    def _heads(self) -> nn.Module:
        return Heads(self.num_actions, self.width, self.depth)

    def init(self, key: jax.Array) -> Params:
        """Fresh parameters. Consumes `key`."""
        keys = jax.random.split(key, 3)
        blank = Observation(
            context=jnp.zeros((1, len(self.spec.context)), jnp.uint8),
            entities=jnp.zeros((1, self.spec.num_entities, len(self.spec.entity)), jnp.uint8),
            entity_mask=jnp.ones((1, self.spec.num_entities), bool),
            action_mask=jnp.ones((1, self.num_actions), bool),
        )
        hidden, encoder = self._encoder.init_with_output(keys[0], blank)
        first, empty = jnp.ones((1, 1), bool), jax.tree.map(lambda leaf: leaf[None], self.initial_memory())
        (hidden, _), memory = self._memory.init_with_output(keys[1], hidden[None], first, empty)
        heads = self._heads.init(keys[2], hidden[0], blank.action_mask)
        return {"encoder": encoder, "memory": memory, "heads": heads}

    def initial_memory(self) -> Memory:
        """What is remembered at the start of an episode."""
        return MEMORIES[self.memory].empty(self.width, self.span)

    def apply(self, params: Params, observation: Observation, memory: Memory) -> tuple[jax.Array, jax.Array, Memory]:
        """Logits float32 [A] (illegal actions at -1e9), value float32 [], and the memory after this step."""
        one = jax.tree.map(lambda leaf: leaf[None], (observation, memory))
        return jax.tree.map(lambda leaf: leaf[0], self.act(params, *one))

    def act(self, params: Params, observations: Observation, memories: Memory) -> tuple[jax.Array, jax.Array, Memory]:
        """`apply` for N environments: leaves [N, ...]."""
        one = jax.tree.map(lambda leaf: leaf[:, None], observations)
        never = jnp.zeros((len(observations.action_mask), 1), bool)
        logits, values, memories = self.sequences(params, one, never, memories)
        return logits[:, 0], values[:, 0], memories

    def unroll(
        self, params: Params, observations: Observation, reset_before: jax.Array, memory: Memory
    ) -> tuple[jax.Array, jax.Array, Memory]:
        """`apply` over a sequence, memory emptied where an episode begins.

        Args:
            params: from `init`.
            observations: leaves [T, ...].
            reset_before: bool [T], whether a new episode begins at this step.
            memory: before the first step.

        Returns:
            Logits [T, A], values [T], the memory after the last step.
        """
        one = jax.tree.map(lambda leaf: leaf[None], (observations, reset_before, memory))
        return jax.tree.map(lambda leaf: leaf[0], self.sequences(params, *one))

    def sequences(
        self, params: Params, observations: Observation, reset_before: jax.Array, memories: Memory
    ) -> tuple[jax.Array, jax.Array, Memory]:
        """`unroll` for B sequences: leaves [B, T, ...], memories [B, ...]."""
        remember: Any = self._memory.apply
        # Sequence after sequence, not step after step: so that devices may divide the sequences among them.
        flat = jax.tree.map(lambda leaf: leaf.reshape(reset_before.size, *leaf.shape[2:]), observations)
        hidden: Any = self._encoder.apply(params["encoder"], flat)
        hidden = hidden.reshape(*reset_before.shape, -1)
        hidden, memories = remember(params["memory"], hidden, reset_before, memories)
        judged: Any = self._heads.apply(params["heads"], hidden.reshape(reset_before.size, -1), flat.action_mask)
        logits, values = (leaf.reshape(*reset_before.shape, *leaf.shape[1:]) for leaf in judged)
        return logits, values, memories

    def num_params(self) -> int:
        """The number of parameters, without allocating them."""
        shapes = jax.eval_shape(self.init, jax.random.key(0))
        return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def make(
    kind: str,
    family: Playable,
    *,
    width: int = 64,
    depth: int = 1,
    memory: str = "none",
    parameters: int | None = None,
) -> Network:
    """A network that fits a family, or a mixture of families.

    Args:
        kind: the encoder.
        family: what it will play.
        width: units per layer.
        depth: dense layers after encoder and memory.
        memory: "none", or what is remembered within an episode.
        parameters: if given, the width is chosen so that there are as many as possible, but no more than this.

    Raises:
        ValueError: where there is no network or memory of that kind, or none so small.
    """
    if kind not in ENCODERS:
        raise ValueError(f"network={kind!r}: want one of {', '.join(ENCODERS)}")
    if memory not in MEMORIES:
        raise ValueError(f"memory={memory!r}: want one of {', '.join(MEMORIES)}")
    span = max(member.horizon for member in family.members)
    network = Network(kind, family.spec, family.num_actions, width, depth, memory, span)
    return network if parameters is None else _sized(network, parameters)


@lru_cache
def _sized(network: Network, parameters: int) -> Network:
    """The widest network with at most so many parameters; large widths are multiples of 4, for attention's heads."""
    widths = [*range(1, 16), *range(16, 64, 2), *range(64, MAX_WIDTH + 1, 4)]
    low, high = 0, len(widths)  # widths[low] fits or nothing does; widths[high] does not
    while high - low > 1:
        middle = (low + high) // 2
        fits = replace(network, width=widths[middle]).num_params() <= parameters
        low, high = (middle, high) if fits else (low, middle)
    found = replace(network, width=widths[low])
    if found.num_params() > parameters:
        raise ValueError(f"parameters={parameters}: the smallest {network.kind} here has {found.num_params():,}")
    return found
