"""Rewards: a number for every step, computed from the family's outcome.

A reward is one file and one line here, or an entry point of another package (`incentivize.envs.registry`). Rewards add
up: `make("sparse+hunger")` pays for success and charges for steps. "taste" pays nothing: it moves starting states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from incentivize.envs.registry import Registry

if TYPE_CHECKING:
    import jax

    from incentivize.envs.family import Family, Outcome

REWARDS: Registry[Reward] = Registry(
    "rewards",
    {
        "fading": "incentivize.rewards.fading:fading",
        "hunger": "incentivize.rewards.hunger:hunger",
        "random": "incentivize.rewards.random:random",
        "shaped": "incentivize.rewards.shaped:shaped",
        "sparse": "incentivize.rewards.sparse:sparse",
        "taste": "incentivize.rewards.taste:taste",
    },
)


class Transition(NamedTuple):
    """One step of one environment, unbatched.

    Attributes:
        before: the state that the action was taken in.
        action: the action taken, integer [].
        after: the state that the action led to, before any reset.
        outcome: the family's outcome of the step.
        elapsed: steps taken before this one in the episode, int32 [].
        key: a key for rewards that draw random numbers; consumed.
    """

    before: Any
    action: jax.Array
    after: Any
    outcome: Outcome
    elapsed: jax.Array
    key: jax.Array


class RewardScales(Protocol):
    """Scales of rewards: float32 [] each, traced. A learner's hyperparameters have all of them."""

    @property
    def gamma(self) -> Any:
        """The learner's discount per step."""

    @property
    def hunger(self) -> Any:
        """The cost of a step, as a share of the prize."""

    @property
    def shaping(self) -> Any:
        """The worth of the whole way to success, as a share of the prize."""

    @property
    def taste(self) -> Any:
        """The share of episodes that begin near success, at environment step 0."""

    @property
    def taste_steps(self) -> Any:
        """The number of environment steps over which `taste` falls to 0."""


class Reward(Protocol):
    """A pure, unbatched function from a step to its reward, float32 []."""

    def __call__(self, family: Family, move: Transition, scales: RewardScales) -> jax.Array: ...


@dataclass(frozen=True)
class Incentive:
    """A sum of rewards; static under `jit`.

    Attributes:
        parts: names of the rewards, of REWARDS.
    """

    parts: tuple[str, ...]

    @property
    def tastes(self) -> bool:
        """Whether a share of the episodes begins near success."""
        return "taste" in self.parts

    def compute(self, family: Family, move: Transition, scales: RewardScales) -> jax.Array:
        """Compute the reward of one step, float32 []: the sum of the parts, each with a key of its own."""
        import jax

        keys = jax.random.split(move.key, len(self.parts))
        rewards = [
            REWARDS.load(name)(family, move._replace(key=key), scales)
            for name, key in zip(self.parts, keys, strict=True)
        ]
        return sum(rewards[1:], start=rewards[0])


def names() -> tuple[str, ...]:
    """Return the names of the registered rewards."""
    return tuple(REWARDS)


def describe(name: str) -> str:
    """Return a reward's docstring, which states the optimal policy under it.

    Raises:
        KeyError: if no reward has that name.
        LoadError: if the reward of another package cannot be imported.
    """
    return REWARDS.load(name).__doc__ or ""


def make(name: str) -> Incentive:
    """Make an incentive of one reward, or of several such as "sparse+hunger".

    Raises:
        ValueError: if a reward is unknown or named twice.
    """
    parts = tuple(part.strip() for part in name.split("+"))
    if not all(part in REWARDS for part in parts):
        raise ValueError(f"reward = {name!r}: must be one of {', '.join(REWARDS)}, or several joined by +.")
    if len(set(parts)) < len(parts):
        raise ValueError(f"reward = {name!r}: must name every reward once. Remove the repeated one.")
    return Incentive(parts)


if __name__ == "rewards":  # in a checkout
    from incentivize.checkout import alias

    alias("rewards")
