"""Teaching: a teacher's action probabilities as labels (`incentivize.agents.teachers`), on the same rollouts as PPO's."""

import jax
import jax.numpy as jnp

from incentivize.agents import ppo
from incentivize.agents.learner import Algorithm, Hyper, Metrics
from incentivize.agents.ppo import Advantages
from incentivize.agents.rollout import Rollout


def no_targets(rollout: Rollout, hyper: Hyper) -> tuple[()]:
    """Nothing: the labels are in the rollout."""
    return ()


def loss(
    logits: jax.Array, values: jax.Array, rollout: Rollout, targets: tuple[()], hyper: Hyper
) -> tuple[jax.Array, Metrics]:
    """The cross-entropy of the policy against the expert's action probabilities. The value head is not trained."""
    log_probs = jax.nn.log_softmax(logits)
    cross_entropy = -jnp.where(rollout.labels > 0, rollout.labels * log_probs, 0.0).sum(-1).mean()
    entropy = -(jnp.exp(log_probs) * log_probs).sum(-1).mean()
    return cross_entropy, {"loss": cross_entropy, "entropy": entropy}


def loss_with_values(
    logits: jax.Array, values: jax.Array, rollout: Rollout, targets: Advantages, hyper: Hyper
) -> tuple[jax.Array, Metrics]:
    """The same, and PPO's value loss: for an agent that is incentivized afterwards."""
    total, metrics = loss(logits, values, rollout, (), hyper)
    total += hyper.value_coef * ppo.value_loss(values, targets)
    return total, metrics | {"loss": total}


CLONING = Algorithm("cloning", no_targets, loss)
CLONING_WITH_VALUES = Algorithm("cloning", ppo.compute_advantages, loss_with_values)
