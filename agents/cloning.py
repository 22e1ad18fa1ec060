"""Teaching: the expert's actions as labels.

The labels are on the student's own states (DAgger, Ross et al. 2011; the headline teacher) or on the expert's states
(plain behaviour cloning). Ties among best actions are shared, so the targets are soft.
"""

import jax
import jax.numpy as jnp

from agents.learner import Algorithm, Hyper, Metrics
from agents.rollout import Rollout


def prepare(rollout: Rollout, hyper: Hyper) -> tuple[()]:
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


DAGGER = Algorithm("cloning", "dagger", prepare, loss)
BEHAVIOUR_CLONING = Algorithm("cloning", "bc", prepare, loss)
