"""Networks from observations to action logits and a value: encoder, memory, dense layers, two heads.

A `Network` is a frozen description with pure functions of a pytree of parameters. All of them call one function of B
sequences, so that every layer is one matrix product. Only this file, `encoders` and `memories` use Flax.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from incentivize.agents.encoders import ENCODERS, dense
from incentivize.agents.memories import MEMORIES, Memory
from incentivize.envs.arguments import check_one_of
from incentivize.envs.family import Observation, Playable, Spec

Params = Any
"""A pytree of float32 arrays."""

MAX_WIDTH = 4096  # units per layer


class Heads(nn.Module):
    """Dense layers, a policy head and a value head: from [N, H] to logits [N, A] and values [N]."""

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
        kind: name of the encoder, of ENCODERS.
        spec: shapes and vocabularies of the observations.
        num_actions: A, the number of actions.
        width: units per layer.
        depth: dense layers after encoder and memory.
        memory: name of the memory, of MEMORIES.
        span: steps that the memory "attention" looks back on.
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
        """Draw initial parameters. Consumes `key`."""
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
        """Return the memory at the start of an episode, unbatched."""
        return MEMORIES[self.memory].empty(self.width, self.span)

    def apply(self, params: Params, observation: Observation, memory: Memory) -> tuple[jax.Array, jax.Array, Memory]:
        """Apply the network to one step of one environment.

        Args:
            params: parameters, as `init` draws them.
            observation: the observation, unbatched.
            memory: the memory before the step, with leaves of the shapes and dtypes of `initial_memory`.

        Returns:
            Logits, float32 [A], with illegal actions at -1e9; the value, float32 []; the memory after the step.
        """
        batch = jax.tree.map(lambda leaf: leaf[None], (observation, memory))
        return jax.tree.map(lambda leaf: leaf[0], self.act(params, *batch))

    def act(self, params: Params, observations: Observation, memories: Memory) -> tuple[jax.Array, jax.Array, Memory]:
        """Apply the network to one step of N environments.

        Args:
            params: parameters, as `init` draws them.
            observations: the observations, leaves [N, ...].
            memories: the memories before the step, leaves [N, ...].

        Returns:
            Logits, float32 [N, A]; values, float32 [N]; the memories after the step, leaves [N, ...].
        """
        sequences = jax.tree.map(lambda leaf: leaf[:, None], observations)
        no_reset = jnp.zeros((len(observations.action_mask), 1), bool)
        logits, values, memories = self.sequences(params, sequences, no_reset, memories)
        return logits[:, 0], values[:, 0], memories

    def unroll(
        self, params: Params, observations: Observation, reset_before: jax.Array, memory: Memory
    ) -> tuple[jax.Array, jax.Array, Memory]:
        """Apply the network to T steps of one environment; the memory is reset where an episode begins.

        Args:
            params: parameters, as `init` draws them.
            observations: the observations, leaves [T, ...].
            reset_before: whether the step is its episode's first, bool [T].
            memory: the memory before the first step, with leaves of the shapes and dtypes of `initial_memory`.

        Returns:
            Logits, float32 [T, A]; values, float32 [T]; the memory after the last step.
        """
        batch = jax.tree.map(lambda leaf: leaf[None], (observations, reset_before, memory))
        return jax.tree.map(lambda leaf: leaf[0], self.sequences(params, *batch))

    def sequences(
        self, params: Params, observations: Observation, reset_before: jax.Array, memories: Memory
    ) -> tuple[jax.Array, jax.Array, Memory]:
        """Apply the network to T steps of B environments; memories are reset where an episode begins.

        Args:
            params: parameters, as `init` draws them.
            observations: the observations, leaves [B, T, ...].
            reset_before: whether the step is its episode's first, bool [B, T].
            memories: the memories before the first step, leaves [B, ...].

        Returns:
            Logits, float32 [B, T, A]; values, float32 [B, T]; the memories after the last step, leaves [B, ...].
        """
        remember: Any = self._memory.apply
        # Sequence after sequence, not step after step, so that devices can divide the sequences among them.
        flat = jax.tree.map(lambda leaf: leaf.reshape(reset_before.size, *leaf.shape[2:]), observations)
        hidden: Any = self._encoder.apply(params["encoder"], flat)
        hidden = hidden.reshape(*reset_before.shape, -1)
        hidden, memories = remember(params["memory"], hidden, reset_before, memories)
        outputs: Any = self._heads.apply(params["heads"], hidden.reshape(reset_before.size, -1), flat.action_mask)
        logits, values = (leaf.reshape(*reset_before.shape, *leaf.shape[1:]) for leaf in outputs)
        return logits, values, memories

    def num_params(self) -> int:
        """Count the parameters, without allocating them."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.shapes()))

    def shapes(self) -> Params:
        """Return the shapes and dtypes of the parameters, without allocating them."""
        return _shapes(self)


@lru_cache
def _shapes(network: Network) -> Params:
    """Return `Network.shapes`; cached, as a trace takes up to a second."""
    return jax.eval_shape(network.init, jax.random.key(0))


def make(
    kind: str,
    family: Playable,
    *,
    width: int = 64,
    depth: int = 1,
    memory: str = "none",
    parameters: int | None = None,
) -> Network:
    """Make a network for a family, or for a mixture of families.

    Args:
        kind: name of the encoder, of ENCODERS.
        family: gives the observations, the actions and the time limit.
        width: units per layer.
        depth: dense layers after encoder and memory.
        memory: name of the memory, of MEMORIES; "none" for none.
        parameters: the greatest number of parameters. If given, it sets the width: the largest that fits.

    Raises:
        ValueError: if the encoder or the memory is unknown, or the smallest network has more than `parameters`.
    """
    check_one_of("network", kind, ENCODERS)
    check_one_of("memory", memory, MEMORIES)
    span = max(member.horizon for member in family.members)
    network = Network(kind, family.spec, family.num_actions, width, depth, memory, span)
    return network if parameters is None else _widest(network, parameters)


@lru_cache
def _widest(network: Network, parameters: int) -> Network:
    """Return the widest network with at most `parameters`; large widths are multiples of 4, for attention's heads.

    Every count is a trace. Numbers of parameters are nearly quadratic in the width, so a parabola through three of them
    tells where to look first, and the search widens from there.
    """
    widths = np.array([*range(1, 16), *range(16, 64, 2), *range(64, MAX_WIDTH + 1, 4)])

    def count(place: int) -> int:
        return replace(network, width=int(widths[place])).num_params()

    if (least := count(0)) > parameters:
        raise ValueError(
            f"parameters = {parameters}: the smallest {network.kind} network for this family has {least:,}. "
            "Give a larger number."
        )
    known = [0, len(widths) // 2, len(widths) - 1]
    parabola = np.polyfit(widths[known], [count(place) for place in known], 2)
    guess, jump = int((np.polyval(parabola, widths) <= parameters).sum()) - 1, 1
    low, high = 0, len(widths)  # widths[low] fits; widths[high] does not
    while high - low > 1:
        middle = guess if low < guess < high else (low + high) // 2
        fits = count(middle) <= parameters
        low, high = (middle, high) if fits else (low, middle)
        guess, jump = middle + jump if fits else middle - jump, 2 * jump
    return replace(network, width=int(widths[low]))
