"""Proximal policy optimisation (Schulman et al. 2017) with generalised advantages (Schulman et al. 2016)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from incentivize.agents.learner import Algorithm, Hyper, Metrics
from incentivize.agents.rollout import Rollout


class Advantages(NamedTuple):
    """What PPO derives from a rollout; leaves [T, N]."""

    advantage: jax.Array
    target: jax.Array  # for the value


def gae(
    reward: jax.Array, value: jax.Array, next_value: jax.Array, ended_after: jax.Array, gamma: jax.Array, lam: jax.Array
) -> jax.Array:
    """Generalised advantages of one stream.

    delta_t = reward_t + gamma next_value_t - value_t
    advantage_t = delta_t + gamma lam (1 - ended_after_t) advantage_{t+1}

    Args:
        reward: float32 [T].
        value: float32 [T], of the observation at t.
        next_value: float32 [T], of what followed step t; 0 after termination.
        ended_after: bool [T], terminated or truncated.
        gamma: discount [].
        lam: [].

    Returns:
        float32 [T].
    """
    delta = reward + gamma * next_value - value

    def backward(following, now):
        delta_t, ended_t = now
        advantage = delta_t + gamma * lam * jnp.where(ended_t, 0.0, following)
        return advantage, advantage

    return jax.lax.scan(backward, jnp.zeros(()), (delta, ended_after), reverse=True)[1]


def compute_advantages(rollout: Rollout, hyper: Hyper) -> Advantages:
    """Advantages and value targets of a rollout."""
    ended = rollout.terminated_after | rollout.truncated_after
    batched = jax.vmap(gae, in_axes=(1, 1, 1, 1, None, None), out_axes=1)
    advantage = batched(rollout.reward, rollout.value, rollout.next_value, ended, hyper.gamma, hyper.lam)
    return Advantages(advantage, advantage + rollout.value)


def value_loss(values: jax.Array, targets: Advantages) -> jax.Array:
    """Half the mean squared error of the values, []."""
    return jnp.square(values - targets.target).mean() / 2


def loss(
    logits: jax.Array, values: jax.Array, rollout: Rollout, targets: Advantages, hyper: Hyper
) -> tuple[jax.Array, Metrics]:
    """The clipped surrogate, the squared error of the value, the entropy bonus. Advantages are standardised."""
    log_probs = jax.nn.log_softmax(logits)
    ratio = jnp.exp(log_prob(logits, rollout) - rollout.log_prob)
    advantage = (targets.advantage - targets.advantage.mean()) / (targets.advantage.std() + 1e-8)
    clipped = jnp.clip(ratio, 1 - hyper.clip, 1 + hyper.clip)
    policy_loss = -jnp.minimum(ratio * advantage, clipped * advantage).mean()
    entropy = -(jnp.exp(log_probs) * log_probs).sum(-1).mean()
    error = value_loss(values, targets)
    total = policy_loss + hyper.value_coef * error - hyper.entropy_coef * entropy
    metrics = {"loss": total, "value_loss": error, "entropy": entropy, "ratio_spread": jnp.abs(ratio - 1).max()}
    return total, metrics


def log_prob(logits: jax.Array, rollout: Rollout) -> jax.Array:
    """Of the actions taken, float32 of the shape of `rollout.action`."""
    return jnp.take_along_axis(jax.nn.log_softmax(logits), rollout.action[..., None], axis=-1)[..., 0]


PPO = Algorithm("ppo", compute_advantages, loss)
