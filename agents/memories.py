"""Memories: from the encoded observations of sequences to what the policy reads. Flax modules.

Every memory is one function of B sequences: hidden [B, T, H], `reset_before` bool [B, T], what was remembered before
the first step [B, ...] -> hidden [B, T, H], what is remembered after the last. A single step is a sequence of one, so
that there is nothing in which acting and replaying could differ. Where `reset_before[b, t]`, nothing from before t is
seen at t or later.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from incentivize.agents.encoders import dense, heads_of

Memory = Any


class NoMemory(nn.Module):
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

    The input's part of all gates is computed for whole sequences at once: only the recurrent product is in the loop.
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

        remembered = recurrence(gates.swapaxes(0, 1), reset_before.T, kernel, bias, memory).swapaxes(0, 1)
        return jnp.concatenate([hidden, remembered], axis=-1), remembered[:, -1]


@jax.custom_vjp
def recurrence(
    read: jax.Array, reset_before: jax.Array, kernel: jax.Array, bias: jax.Array, memory: jax.Array
) -> jax.Array:
    """A gated recurrent unit over B sequences of T steps.

    Differentiated by hand, since the loop's own derivative adds up the kernel's gradient step by step, where it is one
    product over all of them.

    Args:
        read: the input's part of the gates, float32 [T, B, 3H].
        reset_before: bool [T, B].
        kernel: of what is remembered, float32 [H, 3H].
        bias: float32 [H].
        memory: before the first step, float32 [B, H].

    Returns:
        What is remembered after every step, float32 [T, B, H].
    """
    return _remembered(read, reset_before, kernel, bias, memory)[0]


def _remembered(
    read: jax.Array, reset_before: jax.Array, kernel: jax.Array, bias: jax.Array, memory: jax.Array
) -> tuple[jax.Array, Any]:
    """What `recurrence` returns, and what its derivative needs; gates are kept, as they cost more than to be stored."""
    width = memory.shape[-1]

    def advance(memory: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        read, reset = now
        before = jnp.where(reset[:, None], 0.0, memory)
        kept = before @ kernel
        r, z = jnp.split(nn.sigmoid(read[:, : 2 * width] + kept[:, : 2 * width]), 2, axis=-1)
        kept = kept[:, 2 * width :] + bias
        n = jnp.tanh(read[:, 2 * width :] + r * kept)
        after = (1 - z) * n + z * before
        return after, (after, before, kept, r, z, n)

    _, (after, *known) = jax.lax.scan(advance, memory, (read, reset_before))
    return after, (reset_before, kernel, *known)


def _recalled(known: Any, after_bar: jax.Array) -> tuple[Any, ...]:
    """The derivative of `recurrence`: a loop back in time, then a product over all steps."""
    reset_before, kernel, before, kept, r, z, n = known
    # How far what is remembered after a step moves with the sums that r, z and n are functions of.
    by_n = (1 - z) * (1 - n * n)
    by_r, by_z = by_n * kept * r * (1 - r), (before - n) * z * (1 - z)

    def back(later: jax.Array, now: tuple[jax.Array, ...]) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        bar, by_r, by_z, by_n, r, z, reset = now
        bar = bar + later
        n_bar = bar * by_n
        kept_bar = jnp.concatenate([bar * by_r, bar * by_z, n_bar * r], axis=-1)
        earlier = bar * z + kept_bar @ kernel.T
        return jnp.where(reset[:, None], 0.0, earlier), (kept_bar, n_bar)

    now = (after_bar, by_r, by_z, by_n, r, z, reset_before)
    memory_bar, (kept_bar, n_bar) = jax.lax.scan(back, jnp.zeros_like(before[0]), now, reverse=True)
    width = before.shape[-1]
    read_bar = jnp.concatenate([kept_bar[..., : 2 * width], n_bar], axis=-1)
    kept_bar = kept_bar.reshape(-1, 3 * width)
    kernel_bar = before.reshape(-1, width).T @ kept_bar
    no_bar = np.zeros(reset_before.shape, jax.dtypes.float0)
    return read_bar, no_bar, kernel_bar, kept_bar[:, 2 * width :].sum(0), memory_bar


recurrence.defvjp(_remembered, _recalled)


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
        steps, heads = hidden.shape[1], heads_of(self.width)
        query, key, value = jnp.split(dense(3 * self.width, 1.0)(nn.LayerNorm()(hidden)), 3, axis=-1)
        keys, values = (jnp.concatenate(pair, axis=1) for pair in ((memory.keys, key), (memory.values, value)))
        episode = jnp.cumsum(reset_before, axis=1)
        episodes = jnp.concatenate([jnp.where(memory.filled, 0, -1), episode], axis=1)

        age = self.span + jnp.arange(steps)[:, None] - jnp.arange(self.span + steps)
        seen = (age >= 0) & (age < self.span) & (episodes[:, None] == episode[..., None])
        by_age = self.param("age", nn.initializers.zeros, (heads, self.span))
        query, keys_of, values_of = (rows.reshape(*rows.shape[:2], heads, -1) for rows in (query, keys, values))
        scores = jnp.einsum("bthd,bshd->bhts", query, keys_of) / jnp.sqrt(self.width / heads).astype(query.dtype)
        scores = jnp.where(seen[:, None], scores + by_age[:, jnp.clip(age, 0, self.span - 1)], -jnp.inf)
        found = jnp.einsum("bhts,bshd->bthd", jax.nn.softmax(scores), values_of)
        hidden = hidden + dense(self.width, 1.0)(found.reshape(hidden.shape))
        hidden = hidden + dense(self.width, 1.0)(nn.relu(dense(2 * self.width)(nn.LayerNorm()(hidden))))
        last = slice(steps, None)
        return hidden, Past(keys[:, last], values[:, last], episodes[:, last] == episode[:, -1:])


MEMORIES: dict[str, Any] = {"none": NoMemory, "gru": Gru, "attention": Attention}
