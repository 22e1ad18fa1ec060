"""Teachers: sources of labels, by the actor of a rollout and by the knowledge of the labelling expert."""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp

from incentivize.envs.family import Family, State


@dataclass(frozen=True)
class Teacher:
    """A source of labels; static under `jit`.

    Attributes:
        acts: whose states are labelled: the student's own (DAgger, Ross et al. 2011) or the expert's (plain cloning).
        kind: the expert's knowledge: the task ("informed"), or only what the agent has been shown so far ("fair").
        frozen: whether labels are a fixed set of demonstrations, not an expert to query. Then episodes begin in a fixed
            number of starting states, and the label is always the first of the best actions.
    """

    acts: Literal["student", "expert"]
    kind: Literal["informed", "fair"] = "informed"
    frozen: bool = False

    @property
    def description(self) -> str:
        """A description for a person."""
        labels = "a fixed number of demonstrations" if self.frozen else f"labels on the {self.acts}'s own states"
        knowledge = "the task" if self.kind == "informed" else "only what the agent was shown"
        return f"{labels}, by an expert who knows {knowledge}"

    def label(self, family: Family, state: State, key: jax.Array, noise: jax.Array) -> jax.Array:
        """Return the label of one state: action probabilities, float32 [A], ties among best actions shared.

        Args:
            family: the dynamics.
            state: the state to label, unbatched.
            key: a key for label noise; consumed.
            noise: probability that the label is a random legal action, float32 []. Frozen demonstrations ignore it:
                noise would make them differ from one epoch to the next.
        """
        best = family.expert(state, self.kind)
        if self.frozen:
            return jax.nn.one_hot(jnp.argmax(best), family.num_actions)
        key_noise, key_action = jax.random.split(key)
        legal = jnp.where(family.observe(state).action_mask, 0.0, -jnp.inf)
        error = jax.nn.one_hot(jax.random.categorical(key_action, legal), family.num_actions)
        return jnp.where(jax.random.bernoulli(key_noise, noise), error, best)


TEACHERS: dict[str, Teacher] = {
    "dagger": Teacher("student"),
    "bc": Teacher("expert"),
    "fair-dagger": Teacher("student", "fair"),
    "fair-bc": Teacher("expert", "fair"),
    "demonstrations": Teacher("expert", frozen=True),
    "fair-demonstrations": Teacher("expert", "fair", frozen=True),
}
