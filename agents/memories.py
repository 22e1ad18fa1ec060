"""Memories: from the encoded observations of a sequence to what the policy reads. Flax modules, without a batch.

Every memory is one function of a sequence: hidden [T, H], `reset_before` bool [T], what was remembered before the first
step -> hidden [T, H], what is remembered after the last. A single step is a sequence of one, so that there is nothing
in which acting and replaying could differ. Where `reset_before[t]`, nothing from before t is seen at t or later.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from agents.encoders import dense, heads_of

Memory = Any


class Forgetful(nn.Module):
    """No memory."""

    width: int
    span: int

    @staticmethod
    def empty(width: int, span: int) -> Memory:
        return ()

    @nn.compact
    def __call__(self, hidden: jax.Array, reset_before: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        return hidden, memory


class Gru(nn.Module):
    """A gated recurrent unit (Cho et al. 2014), what it read handed on beside what it remembers.

    The input's part of all gates is computed for the whole sequence at once: only the recurrent product is in the loop.
    """

    width: int
    span: int

    @staticmethod
    def empty(width: int, span: int) -> Memory:
        return jnp.zeros(width)

    @nn.compact
    def __call__(self, hidden: jax.Array, reset_before: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        gates = dense(3 * self.width, 1.0)(hidden)
        kernel = self.param("recurrent", _orthogonal_gates, (self.width, 3 * self.width))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))

        def advance(before: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            read, reset = now
            before = jnp.where(reset, 0.0, before)
            read_r, read_z, read_n = jnp.split(read, 3)
            kept_r, kept_z, kept_n = jnp.split(before @ kernel, 3)
            r, z = nn.sigmoid(read_r + kept_r), nn.sigmoid(read_z + kept_z)
            after = (1 - z) * jnp.tanh(read_n + r * (kept_n + bias)) + z * before
            return after, after

        memory, remembered = jax.lax.scan(advance, memory, (gates, reset_before))
        return jnp.concatenate([hidden, remembered], axis=-1), memory


def _orthogonal_gates(key: jax.Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> jax.Array:
    """An orthogonal matrix for each of the three gates."""
    orthogonal = nn.initializers.orthogonal()
    squares = [orthogonal(own, (shape[0], shape[0]), dtype) for own in jax.random.split(key, 3)]
    return jnp.concatenate(squares, axis=1)


class Past(NamedTuple):
    """The last `span` steps, the newest last."""

    keys: jax.Array  # float32 [span, H]
    values: jax.Array  # float32 [span, H]
    filled: jax.Array  # bool [span]: of the current episode


class Attention(nn.Module):
    """Two blocks of attention over the last `span` steps of the episode, each step among its own.

    Two, because to look up what followed the last time that two things came one after the other, the first has to put
    them together (Olsson et al. 2022).
    """

    width: int
    span: int

    @staticmethod
    def empty(width: int, span: int) -> Memory:
        return (Past(jnp.zeros((span, width)), jnp.zeros((span, width)), jnp.zeros(span, bool)),) * 2

    @nn.compact
    def __call__(
        self, hidden: jax.Array, reset_before: jax.Array, memory: tuple[Past, ...]
    ) -> tuple[jax.Array, tuple[Past, ...]]:
        hidden = dense(self.width, 1.0)(hidden)
        pasts = []
        for before in memory:
            hidden, past = _Block(self.width, self.span)(hidden, reset_before, before)
            pasts.append(past)
        return hidden, tuple(pasts)


class _Block(nn.Module):
    """A block of a transformer (norms first) whose attention gets a learnt bias for every age (Raffel et al. 2020)."""

    width: int
    span: int

    @nn.compact
    def __call__(self, hidden: jax.Array, reset_before: jax.Array, memory: Past) -> tuple[jax.Array, Past]:
        steps, heads = hidden.shape[0], heads_of(self.width)
        query, key, value = jnp.split(dense(3 * self.width, 1.0)(nn.LayerNorm()(hidden)), 3, axis=-1)
        keys, values = jnp.concatenate([memory.keys, key]), jnp.concatenate([memory.values, value])
        episode = jnp.cumsum(reset_before)
        episodes = jnp.concatenate([jnp.where(memory.filled, 0, -1), episode])

        age = self.span + jnp.arange(steps)[:, None] - jnp.arange(self.span + steps)
        seen = (age >= 0) & (age < self.span) & (episodes == episode[:, None])
        by_age = self.param("age", nn.initializers.zeros, (heads, self.span))
        query, keys_of, values_of = (rows.reshape(len(rows), heads, -1) for rows in (query, keys, values))
        scores = jnp.einsum("thd,shd->hts", query, keys_of) / jnp.sqrt(self.width / heads).astype(query.dtype)
        scores = jnp.where(seen, scores + by_age[:, jnp.clip(age, 0, self.span - 1)], -jnp.inf)
        found = jnp.einsum("hts,shd->thd", jax.nn.softmax(scores), values_of)
        hidden = hidden + dense(self.width, 1.0)(found.reshape(steps, self.width))
        hidden = hidden + dense(self.width, 1.0)(nn.relu(dense(2 * self.width)(nn.LayerNorm()(hidden))))
        last = slice(steps, None)
        return hidden, Past(keys[last], values[last], episodes[last] == episode[-1])


MEMORIES: dict[str, Any] = {"none": Forgetful, "gru": Gru, "attention": Attention}
