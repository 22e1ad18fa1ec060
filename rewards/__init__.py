"""What the agent is told: a number for every step, from the family's outcome.

A reward is one file and one line here, or an entry point of another package (`incentivize.envs.registry`). Rewards add up:
`make("sparse+hunger")` pays for success and charges for steps. `taste` pays nothing of its own: it says where episodes
begin.
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
    """One step of one environment, as a reward sees it."""

    before: Any  # the state the action was taken in
    action: jax.Array  # int []
    after: Any  # the state it led to, before any reset
    outcome: Outcome
    elapsed: jax.Array  # int32 []: steps taken before this one in the episode
    key: jax.Array  # for what is drawn; consumed


class RewardScales(Protocol):
    """How strong incentives are: float32 [], traced. A learner's hyperparameters have all of these."""

    @property
    def gamma(self) -> Any:
        """The learner's discount."""

    @property
    def hunger(self) -> Any:
        """What a step costs, as a share of the prize."""

    @property
    def shaping(self) -> Any:
        """What the whole way to success is worth, as a share of the prize."""

    @property
    def taste(self) -> Any:
        """The share of episodes that begin near success, at first."""

    @property
    def taste_steps(self) -> Any:
        """Environment steps until that share has fallen to 0."""


class Reward(Protocol):
    """A pure, unbatched function: float32 []."""

    def __call__(self, family: Family, move: Transition, strength: RewardScales) -> jax.Array: ...


@dataclass(frozen=True)
class Incentive:
    """A sum of rewards, by name; static under `jit`.

    Attributes:
        parts: names of REWARDS.
    """

    parts: tuple[str, ...]

    @property
    def tastes(self) -> bool:
        """Whether some episodes begin near success."""
        return "taste" in self.parts

    def pays(self, family: Family, move: Transition, strength: RewardScales) -> jax.Array:
        """The sum, float32 []; every part draws for itself."""
        import jax

        keys = jax.random.split(move.key, len(self.parts))
        paid = [
            REWARDS.load(name)(family, move._replace(key=key), strength)
            for name, key in zip(self.parts, keys, strict=True)
        ]
        return sum(paid[1:], start=paid[0])


def names() -> tuple[str, ...]:
    """The names of the registered rewards."""
    return tuple(REWARDS)


def describe(name: str) -> str:
    """A reward's docstring, which says what it does to the optimal policy."""
    return REWARDS.load(name).__doc__ or ""


def make(name: str) -> Incentive:
    """A reward by name, or a sum of several such as "sparse+hunger".

    Raises:
        ValueError: where there is none of that name, or one is there twice.
    """
    parts = tuple(part.strip() for part in name.split("+"))
    for part in parts:
        if part not in REWARDS:
            raise ValueError(f"reward={name!r}: want one of {', '.join(REWARDS)}, or several joined by +")
    if len(set(parts)) < len(parts):
        raise ValueError(f"reward={name!r}: want every reward once")
    return Incentive(parts)


if __name__ == "rewards":  # in a checkout
    from incentivize.checkout import alias

    alias("rewards")
