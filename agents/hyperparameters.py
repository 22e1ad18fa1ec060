"""Hyperparameters of a learner, its incentive and its teacher, in one traced record."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Hyper(NamedTuple):
    """Hyperparameters that change no shape: float32 [] each, traced, so that one program can sweep any of them.

    Schedules run over absolute environment steps, never over a share of the budget: a prefix of a run is a shorter run.

    Attributes:
        learning_rate: Adam's learning rate.
        weight_decay: decoupled weight decay (AdamW), per gradient step, multiplied by the learning rate.
        gamma: discount per environment step.
        lam: lambda of the generalised advantage estimate, from 0 to 1.
        clip: PPO's range of the probability ratio: from 1 - clip to 1 + clip.
        entropy_coef: weight of the entropy bonus (nats) in the loss, at step 0.
        entropy_coef_final: weight of the entropy bonus from `entropy_steps` on; in between it changes linearly.
        entropy_steps: environment steps over which the entropy bonus changes; 0 applies the final weight throughout.
        value_coef: weight of the value loss in the loss.
        max_grad_norm: global norm that gradients are scaled down to.
        hunger: cost of a step, as a share of the prize (rewards "hunger" and "fading").
        shaping: worth of the whole way to success, as a share of the prize (reward "shaped").
        taste: share of episodes that begin near success, at step 0 (reward "taste").
        taste_steps: environment steps over which that share falls to 0 (reward "taste").
        near: greatest distance from success of an episode that begins near it, in expert steps (reward "taste").
        noise: probability that a teacher's label is a random legal action.
        demonstrations: number of demonstrations of a teacher that has a fixed set of them.
    """

    learning_rate: Any = 1e-3
    weight_decay: Any = 0.0
    gamma: Any = 0.95
    lam: Any = 0.9
    clip: Any = 0.2
    entropy_coef: Any = 0.01
    entropy_coef_final: Any = 0.01
    entropy_steps: Any = 0.0
    value_coef: Any = 0.5
    max_grad_norm: Any = 0.5
    hunger: Any = 0.01
    shaping: Any = 1.0
    taste: Any = 0.5
    taste_steps: Any = 1e6
    near: Any = 2.0
    noise: Any = 0.0
    demonstrations: Any = 1000.0

    def at(self, steps: jax.Array) -> "Hyper":
        """Return the hyperparameters after `steps` (float32 []) environment steps, with schedules applied."""
        share = jnp.where(self.entropy_steps > 0, jnp.clip(steps / jnp.maximum(self.entropy_steps, 1.0), 0.0, 1.0), 1.0)
        return self._replace(entropy_coef=self.entropy_coef + share * (self.entropy_coef_final - self.entropy_coef))
