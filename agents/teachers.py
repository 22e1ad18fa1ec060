"""Teachers: who acts while labels are given, and what the one who gives them knows."""

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
        kind: what the expert knows: the task ("informed"), or what the agent has been shown so far ("fair").
        frozen: a finite set of demonstrations instead of an expert at hand: episodes from a fixed number of starting
            states, in which the first of the best actions is always taken, and is all that is shown.
    """

    acts: Literal["student", "expert"]
    kind: Literal["informed", "fair"] = "informed"
    frozen: bool = False

    @property
    def words(self) -> str:
        """What it is, for a person."""
        whose = f"labels on the {self.acts}'s own states" if self.acts == "student" else "labels on the expert's states"
        knows = "who knows the task" if self.kind == "informed" else "who knows what the agent was shown"
        return f"{'a fixed number of demonstrations' if self.frozen else whose}, by an expert {knows}"

    def label(self, family: Family, state: State, key: jax.Array, noise: jax.Array) -> jax.Array:
        """What the student shall do: action probabilities, float32 [A].

        Ties among best actions are shared. With probability `noise` (float32 []) the expert errs, and means a legal
        action drawn at random; frozen demonstrations have no noise, or they would not be the same every time.
        """
        best = family.expert(state, self.kind)
        if self.frozen:
            return jax.nn.one_hot(jnp.argmax(best), family.num_actions)
        key_errs, key_action = jax.random.split(key)
        legal = jnp.where(family.observe(state).action_mask, 0.0, -jnp.inf)
        error = jax.nn.one_hot(jax.random.categorical(key_action, legal), family.num_actions)
        return jnp.where(jax.random.bernoulli(key_errs, noise), error, best)


TEACHERS: dict[str, Teacher] = {
    "dagger": Teacher("student"),
    "bc": Teacher("expert"),
    "fair-dagger": Teacher("student", "fair"),
    "fair-bc": Teacher("expert", "fair"),
    "demonstrations": Teacher("expert", frozen=True),
    "fair-demonstrations": Teacher("expert", "fair", frozen=True),
}
