"""Memories: Flax modules that add the past of an episode to encoded observations.

Every memory is one function of B sequences of T steps. Its arguments are encoded observations, float32 [B, T, H];
`reset_before`, bool [B, T]; and the memories before the first step, leaves [B, ...]. It returns the input of the dense
layers, float32 [B, T, H'], and the memories after the last step. A single step is a sequence of one, so that acting and
replaying cannot differ. With `reset_before[b, t]`, steps from t on depend on no step of sequence b before t.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from incentivize.agents.encoders import dense, num_heads

Memory = Any
"""A pytree of arrays of fixed shapes; () without a memory."""


class NoMemory(nn.Module):
    """No memory: encoded observations pass through."""

    width: int
    span: int

    @staticmethod
    def empty(width: int, span: int) -> Memory:
        return ()

    @nn.compact
    def __call__(self, hidden: jax.Array, reset_before: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        return hidden, memory


class Gru(nn.Module):
    """A gated recurrent unit (Cho et al. 2014); it returns its input beside its hidden state, [B, T, 2 H].

    The input's part of all gates is computed for whole sequences at once: only the recurrent product is in the loop.
    """

    width: int
    span: int

    @staticmethod
    def empty(width: int, span: int) -> Memory:
        return jnp.zeros(width)

    @nn.compact
    def __call__(self, hidden: jax.Array, reset_before: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        inputs = dense(3 * self.width, 1.0)(hidden)
        kernel = self.param("recurrent", _orthogonal_gates, (self.width, 3 * self.width))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))

        states = recurrence(inputs.swapaxes(0, 1), reset_before.T, kernel, bias, memory).swapaxes(0, 1)
        return jnp.concatenate([hidden, states], axis=-1), states[:, -1]


@jax.custom_vjp
def recurrence(
    inputs: jax.Array, reset_before: jax.Array, kernel: jax.Array, bias: jax.Array, memory: jax.Array
) -> jax.Array:
    """Run a gated recurrent unit over B sequences of T steps.

    The derivative is written by hand: the loop's own would add up the kernel's gradient step by step, and here it is
    one product over all steps.

    Args:
        inputs: the input's part of the gates r, z and n, float32 [T, B, 3H].
        reset_before: whether the step is its episode's first, bool [T, B].
        kernel: weights from the hidden state to the gates, float32 [H, 3H].
        bias: bias of the hidden state's part of gate n, float32 [H].
        memory: hidden states before the first step, float32 [B, H].

    Returns:
        The hidden states after every step, float32 [T, B, H].
    """
    return _recurrence_forward(inputs, reset_before, kernel, bias, memory)[0]


def _recurrence_forward(
    inputs: jax.Array, reset_before: jax.Array, kernel: jax.Array, bias: jax.Array, memory: jax.Array
) -> tuple[jax.Array, Any]:
    """Return the result of `recurrence` and its residuals; gates are among them, as recomputing costs more."""
    width = memory.shape[-1]

    def advance(memory: jax.Array, step: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        inputs, reset = step
        before = jnp.where(reset[:, None], 0.0, memory)
        recurrent = before @ kernel
        r, z = jnp.split(nn.sigmoid(inputs[:, : 2 * width] + recurrent[:, : 2 * width]), 2, axis=-1)
        recurrent = recurrent[:, 2 * width :] + bias
        n = jnp.tanh(inputs[:, 2 * width :] + r * recurrent)
        after = (1 - z) * n + z * before
        return after, (after, before, recurrent, r, z, n)

    _, (after, *residuals) = jax.lax.scan(advance, memory, (inputs, reset_before))
    return after, (reset_before, kernel, *residuals)


def _recurrence_backward(residuals: Any, after_bar: jax.Array) -> tuple[Any, ...]:
    """Return the cotangents (`_bar`) of `recurrence`'s arguments: a loop back in time, then one product."""
    reset_before, kernel, before, recurrent, r, z, n = residuals
    # Derivatives of the hidden state after a step by the sums that r, z and n are functions of.
    by_n = (1 - z) * (1 - n * n)
    by_r, by_z = by_n * recurrent * r * (1 - r), (before - n) * z * (1 - z)

    def back(later: jax.Array, step: tuple[jax.Array, ...]) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        bar, by_r, by_z, by_n, r, z, reset = step
        bar = bar + later
        n_bar = bar * by_n
        recurrent_bar = jnp.concatenate([bar * by_r, bar * by_z, n_bar * r], axis=-1)
        earlier = bar * z + recurrent_bar @ kernel.T
        return jnp.where(reset[:, None], 0.0, earlier), (recurrent_bar, n_bar)

    steps = (after_bar, by_r, by_z, by_n, r, z, reset_before)
    memory_bar, (recurrent_bar, n_bar) = jax.lax.scan(back, jnp.zeros_like(before[0]), steps, reverse=True)
    width = before.shape[-1]
    inputs_bar = jnp.concatenate([recurrent_bar[..., : 2 * width], n_bar], axis=-1)
    recurrent_bar = recurrent_bar.reshape(-1, 3 * width)
    kernel_bar = before.reshape(-1, width).T @ recurrent_bar
    reset_bar = np.zeros(reset_before.shape, jax.dtypes.float0)  # booleans have no derivative
    return inputs_bar, reset_bar, kernel_bar, recurrent_bar[:, 2 * width :].sum(0), memory_bar


recurrence.defvjp(_recurrence_forward, _recurrence_backward)


def _orthogonal_gates(key: jax.Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> jax.Array:
    """Draw an orthogonal matrix for each of the three gates, [H, 3H] in all."""
    orthogonal = nn.initializers.orthogonal()
    squares = [orthogonal(key, (shape[0], shape[0]), dtype) for key in jax.random.split(key, 3)]
    return jnp.concatenate(squares, axis=1)


class KeyValueCache(NamedTuple):
    """The last `span` steps as one block of attention sees them, the newest last.

    Attributes:
        keys: keys of the steps, float32 [span, H].
        values: values of the steps, float32 [span, H].
        filled: whether the slot holds a step of the current episode, bool [span].
    """

    keys: jax.Array
    values: jax.Array
    filled: jax.Array


class Attention(nn.Module):
    """Two blocks of attention over the last `span` steps of the episode.

    An induction head, which looks up what followed the last occurrence of a pair, needs two blocks: the first joins
    the pair (Olsson et al. 2022).
    """

    width: int
    span: int

    @staticmethod
    def empty(width: int, span: int) -> Memory:
        return (KeyValueCache(jnp.zeros((span, width)), jnp.zeros((span, width)), jnp.zeros(span, bool)),) * 2

    @nn.compact
    def __call__(
        self, hidden: jax.Array, reset_before: jax.Array, memory: tuple[KeyValueCache, ...]
    ) -> tuple[jax.Array, tuple[KeyValueCache, ...]]:
        hidden = dense(self.width, 1.0)(hidden)
        caches = []
        for before in memory:
            hidden, after = _Block(self.width, self.span)(hidden, reset_before, before)
            caches.append(after)
        return hidden, tuple(caches)


class _Block(nn.Module):
    """A transformer block (norms first) with a learnt bias per head and age of a step (Raffel et al. 2020)."""

    width: int
    span: int

    @nn.compact
    def __call__(
        self, hidden: jax.Array, reset_before: jax.Array, memory: KeyValueCache
    ) -> tuple[jax.Array, KeyValueCache]:
        steps, heads = hidden.shape[1], num_heads(self.width)
        query, key, value = jnp.split(dense(3 * self.width, 1.0)(nn.LayerNorm()(hidden)), 3, axis=-1)
        keys, values = (jnp.concatenate(pair, axis=1) for pair in ((memory.keys, key), (memory.values, value)))
        episode = jnp.cumsum(reset_before, axis=1)
        episodes = jnp.concatenate([jnp.where(memory.filled, 0, -1), episode], axis=1)

        age = self.span + jnp.arange(steps)[:, None] - jnp.arange(self.span + steps)
        visible = (age >= 0) & (age < self.span) & (episodes[:, None] == episode[..., None])
        by_age = self.param("age", nn.initializers.zeros, (heads, self.span))
        query, head_keys, head_values = (rows.reshape(*rows.shape[:2], heads, -1) for rows in (query, keys, values))
        scores = jnp.einsum("bthd,bshd->bhts", query, head_keys) / jnp.sqrt(self.width / heads).astype(query.dtype)
        scores = jnp.where(visible[:, None], scores + by_age[:, jnp.clip(age, 0, self.span - 1)], -jnp.inf)
        attended = jnp.einsum("bhts,bshd->bthd", jax.nn.softmax(scores), head_values)
        hidden = hidden + dense(self.width, 1.0)(attended.reshape(hidden.shape))
        hidden = hidden + dense(self.width, 1.0)(nn.relu(dense(2 * self.width)(nn.LayerNorm()(hidden))))
        last = slice(steps, None)
        return hidden, KeyValueCache(keys[:, last], values[:, last], episodes[:, last] == episode[:, -1:])


MEMORIES: dict[str, Any] = {"none": NoMemory, "gru": Gru, "attention": Attention}
