"""Proximal policy optimisation (Schulman et al. 2017) with generalised advantages (Schulman et al. 2016)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from incentivize.agents.learner import Algorithm, Hyper, Metrics
from incentivize.agents.rollout import Rollout


class Advantages(NamedTuple):
    """PPO's targets.

    Attributes:
        advantage: advantages of the actions taken, float32 [T, N].
        target: regression targets of the value head, float32 [T, N].
    """

    advantage: jax.Array
    target: jax.Array


def gae(
    reward: jax.Array, value: jax.Array, next_value: jax.Array, ended_after: jax.Array, gamma: jax.Array, lam: jax.Array
) -> jax.Array:
    """Compute generalised advantages of one environment.

    delta_t = reward_t + gamma next_value_t - value_t
    advantage_t = delta_t + gamma lam (1 - ended_after_t) advantage_{t+1}

    Args:
        reward: rewards of the steps, float32 [T].
        value: values of the observations before the steps, float32 [T].
        next_value: values of the observations after the steps, float32 [T]; 0 after termination.
        ended_after: whether the step was its episode's last, by termination or truncation, bool [T].
        gamma: discount per step, float32 [].
        lam: lambda of the estimate, float32 [].

    Returns:
        Advantages, float32 [T].
    """
    delta = reward + gamma * next_value - value

    def backward(following, inputs):
        delta_t, ended_t = inputs
        advantage = delta_t + gamma * lam * jnp.where(ended_t, 0.0, following)
        return advantage, advantage

    return jax.lax.scan(backward, jnp.zeros(()), (delta, ended_after), reverse=True)[1]


def compute_advantages(rollout: Rollout, hyper: Hyper) -> Advantages:
    """Compute advantages and value targets, float32 [T, N] each, of a rollout with leaves [T, N, ...]."""
    ended = rollout.terminated_after | rollout.truncated_after
    batched = jax.vmap(gae, in_axes=(1, 1, 1, 1, None, None), out_axes=1)
    advantage = batched(rollout.reward, rollout.value, rollout.next_value, ended, hyper.gamma, hyper.lam)
    return Advantages(advantage, advantage + rollout.value)


def value_loss(values: jax.Array, targets: Advantages) -> jax.Array:
    """Return half the mean squared error of `values` (float32 [T, B]) against their targets, float32 []."""
    return jnp.square(values - targets.target).mean() / 2


def loss(
    logits: jax.Array, values: jax.Array, rollout: Rollout, targets: Advantages, hyper: Hyper
) -> tuple[jax.Array, Metrics]:
    """Return PPO's loss: clipped surrogate, value loss and entropy bonus. Advantages are standardised per minibatch.

    Args:
        logits: logits of the policy in training, float32 [T, B, A].
        values: values that the network in training estimates, float32 [T, B].
        rollout: B sequences of T steps, leaves [T, B, ...]; its log-probabilities are the old policy's.
        targets: advantages and value targets, float32 [T, B] each.
        hyper: hyperparameters, float32 [] each; `clip`, `value_coef` and `entropy_coef` are used.

    Returns:
        The loss, float32 [], and metrics, float32 [] each. `ratio_spread` is the largest distance of a ratio from 1.
    """
    log_probs = jax.nn.log_softmax(logits)
    ratio = jnp.exp(log_prob(logits, rollout) - rollout.log_prob)
    advantage = (targets.advantage - targets.advantage.mean()) / (targets.advantage.std() + 1e-8)
    clipped = jnp.clip(ratio, 1 - hyper.clip, 1 + hyper.clip)
    policy_loss = -jnp.minimum(ratio * advantage, clipped * advantage).mean()
    entropy = -(jnp.exp(log_probs) * log_probs).sum(-1).mean()
    value_error = value_loss(values, targets)
    total = policy_loss + hyper.value_coef * value_error - hyper.entropy_coef * entropy
    metrics = {"loss": total, "value_loss": value_error, "entropy": entropy, "ratio_spread": jnp.abs(ratio - 1).max()}
    return total, metrics


def log_prob(logits: jax.Array, rollout: Rollout) -> jax.Array:
    """Return the log-probabilities, float32 [...], of the rollout's actions under `logits` (float32 [..., A])."""
    return jnp.take_along_axis(jax.nn.log_softmax(logits), rollout.action[..., None], axis=-1)[..., 0]


PPO = Algorithm("ppo", compute_advantages, loss)
