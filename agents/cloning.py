"""Cloning: supervised learning of a teacher's action probabilities, on the same rollouts as PPO's."""

import jax
import jax.numpy as jnp

from incentivize.agents import ppo
from incentivize.agents.learner import Algorithm, Hyper, Metrics
from incentivize.agents.ppo import Advantages
from incentivize.agents.rollout import Rollout


def no_targets(rollout: Rollout, hyper: Hyper) -> tuple[()]:
    """Return nothing: the labels are in the rollout."""
    return ()


def loss(
    logits: jax.Array, values: jax.Array, rollout: Rollout, targets: tuple[()], hyper: Hyper
) -> tuple[jax.Array, Metrics]:
    """Return the cross-entropy of the policy against the teacher's labels; the value head is not trained.

    Args:
        logits: logits of the policy in training, float32 [T, B, A].
        values: values that the network in training estimates, float32 [T, B]; unused.
        rollout: B sequences of T steps, leaves [T, B, ...]; its labels are float32 [T, B, A].
        targets: (), as the labels are in the rollout.
        hyper: hyperparameters, float32 [] each; unused.

    Returns:
        The mean cross-entropy, nats, float32 [], and metrics, float32 [] each.
    """
    log_probs = jax.nn.log_softmax(logits)
    cross_entropy = -jnp.where(rollout.labels > 0, rollout.labels * log_probs, 0.0).sum(-1).mean()
    entropy = -(jnp.exp(log_probs) * log_probs).sum(-1).mean()
    return cross_entropy, {"loss": cross_entropy, "entropy": entropy}


def loss_with_values(
    logits: jax.Array, values: jax.Array, rollout: Rollout, targets: Advantages, hyper: Hyper
) -> tuple[jax.Array, Metrics]:
    """Return the cross-entropy plus PPO's value loss: for an agent that is incentivized after it is taught.

    Args:
        logits: logits of the policy in training, float32 [T, B, A].
        values: values that the network in training estimates, float32 [T, B].
        rollout: B sequences of T steps, leaves [T, B, ...]; its labels are float32 [T, B, A].
        targets: advantages and value targets, float32 [T, B] each.
        hyper: hyperparameters, float32 [] each; `value_coef` weighs the value loss.

    Returns:
        The sum, float32 [], and metrics, float32 [] each.
    """
    total, metrics = loss(logits, values, rollout, (), hyper)
    total += hyper.value_coef * ppo.value_loss(values, targets)
    return total, metrics | {"loss": total}


CLONING = Algorithm("cloning", no_targets, loss)
CLONING_WITH_VALUES = Algorithm("cloning", ppo.compute_advantages, loss_with_values)
