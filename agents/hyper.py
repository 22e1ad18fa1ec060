"""Hyperparameters of a learner, of its incentive and of its teacher, in one traced record."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Hyper(NamedTuple):
    """Hyperparameters that change no shape: traced, so that any of them can be swept in one program. float32 [].

    Schedules run over absolute environment steps, never over a share of the budget: a prefix of a run is a shorter run.
    """

    learning_rate: Any = 1e-3
    weight_decay: Any = 0.0  # decoupled (AdamW)
    gamma: Any = 0.95  # discount
    lam: Any = 0.9  # of the generalised advantage estimate
    clip: Any = 0.2  # PPO's range of the probability ratio
    entropy_coef: Any = 0.01  # weight of the entropy bonus, at first
    entropy_coef_final: Any = 0.01  # and once `entropy_steps` are over; linear in between
    entropy_steps: Any = 0.0
    value_coef: Any = 0.5  # weight of the value loss
    max_grad_norm: Any = 0.5  # gradients are scaled down to this global norm
    hunger: Any = 0.01  # these four: see `rewards.Strength`
    shaping: Any = 1.0
    taste: Any = 0.5
    taste_steps: Any = 1e6
    near: Any = 2.0  # expert steps from success, at most, where an episode begins near it
    noise: Any = 0.0  # how often a teacher errs
    demonstrations: Any = 1000.0  # how many there are, where they are frozen

    def at(self, steps: jax.Array) -> "Hyper":
        """What holds after so many environment steps (float32 []): schedules read off."""
        share = jnp.where(self.entropy_steps > 0, jnp.clip(steps / jnp.maximum(self.entropy_steps, 1.0), 0.0, 1.0), 1.0)
        return self._replace(entropy_coef=self.entropy_coef + share * (self.entropy_coef_final - self.entropy_coef))
