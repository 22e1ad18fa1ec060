"""Mixtures: several families behind one interface, so that one agent can play them all.

Every family keeps environments of its own, an equal share of a learner's: a switch between families would, under
`vmap`, run them all for every environment. Observations are padded to common shapes; the first context slot says which
family is played. With `permuted` the slots, features and actions of each family stand in a random order of their own:
what is learnt in one family is then of no use in another by the mere place where it stands.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.arguments import check_integer
from incentivize.envs.family import Family, Observation, Outcome, Spec, State
from incentivize.envs.wrappers.controls import Control


class Places(NamedTuple):
    """Where the parts of a family's own interface stand in the common one."""

    context: tuple[int, ...]
    features: tuple[int, ...]
    actions: tuple[int, ...]


def _spread(values: jax.Array, places: tuple[int, ...], size: int) -> jax.Array:
    """Values [..., n] at their places along a last axis of `size`, zero or False elsewhere."""
    source = np.full(size, len(places))
    source[list(places)] = np.arange(len(places))
    padded = jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, 1)])
    return padded[..., source]


@dataclass(frozen=True)
class Member(Control):
    """A family as a mixture shows it.

    Attributes:
        number: which of the mixture's families it is.
        places: where its own slots and actions stand.
        common: shapes and vocabularies of the mixture's observations.
        actions: the number of actions of the mixture; those that the family has not are illegal.
    """

    number: int
    places: Places
    common: Spec
    actions: int

    @property
    def spec(self) -> Spec:
        return self.common

    @property
    def num_actions(self) -> int:
        return self.actions

    @property
    def action_names(self) -> tuple[str, ...]:
        return self._named(self.family.action_names, "-")

    @property
    def keys(self) -> tuple[str, ...]:
        return self._named(self.family.keys, "")

    def _named(self, names: tuple[str, ...], other: str) -> tuple[str, ...]:
        """Names of the family's actions where they stand here."""
        known = dict(zip(self.places.actions, names, strict=True))
        return tuple(known.get(action, other) for action in range(self.actions))

    def _outer(self, seen: Observation) -> Observation:
        common, places = self.common, self.places
        context = _spread(seen.context, places.context, len(common.context))
        rows = common.num_entities - seen.entities.shape[0]
        return Observation(
            context=context.at[0].set(self.number),
            entities=jnp.pad(_spread(seen.entities, places.features, len(common.entity)), ((0, rows), (0, 0))),
            entity_mask=jnp.pad(seen.entity_mask, (0, rows)),
            action_mask=_spread(seen.action_mask, places.actions, self.actions),
        )

    def _inner(self, seen: Observation) -> Observation:
        places, rows = self.places, self.family.spec.num_entities
        return Observation(
            context=seen.context[np.array(places.context)],
            entities=seen.entities[:rows, np.array(places.features, int)],
            entity_mask=seen.entity_mask[:rows],
            action_mask=seen.action_mask[np.array(places.actions)],
        )

    def observe(self, state: State) -> Observation:
        return self._outer(self.family.observe(state))

    def step(self, state: State, action: jax.Array, key: jax.Array) -> tuple[State, Outcome]:
        own = _spread(jnp.arange(self.family.num_actions), self.places.actions, self.actions)
        return self.family.step(state, own[action], key)

    def expert(self, state: State, kind: Literal["informed", "fair"] = "informed") -> jax.Array:
        return _spread(self.family.expert(state, kind), self.places.actions, self.actions)

    def blind(self, observation: Observation) -> Observation:
        return self._outer(self.family.blind(self._inner(observation)))

    def scripted(self, observation: Observation) -> jax.Array:
        return _spread(self.family.scripted(self._inner(observation)), self.places.actions, self.actions)


@dataclass(frozen=True)
class Mixture:
    """Families that one agent plays at once.

    Attributes:
        families: the families, or controls.
        permuted: the seed of a random order of slots, features and actions in every family; None keeps them in order.
    """

    families: tuple[Family, ...]
    permuted: int | None = None

    def __post_init__(self) -> None:
        if not self.families:
            raise ValueError("families=(): want at least one")
        if self.permuted is not None:
            check_integer("permuted", self.permuted, 0)

    @property
    def num_actions(self) -> int:
        """The most actions that any of the families has."""
        return max(family.num_actions for family in self.families)

    @property
    def spec(self) -> Spec:
        """Shapes and vocabularies that fit every family: the largest at every place."""
        return self._spec

    @property
    def members(self) -> tuple[Member, ...]:
        """The families as the agent meets them, all with the spec and the actions of the mixture."""
        return self._members

    @cached_property
    def _spec(self) -> Spec:
        specs = [family.spec for family in self.families]
        contexts = [_placed(spec.context, places.context) for spec, places in zip(specs, self._places, strict=True)]
        features = [_placed(spec.entity, places.features) for spec, places in zip(specs, self._places, strict=True)]
        context = [max(sizes) for sizes in zip_longest(*contexts, fillvalue=1)]
        return Spec(
            context=(len(self.families), *context[1:]),
            entity=tuple(max(sizes) for sizes in zip_longest(*features, fillvalue=1)),
            num_entities=max(spec.num_entities for spec in specs),
        )

    @cached_property
    def _members(self) -> tuple[Member, ...]:
        return tuple(
            Member(family, number, places, self.spec, self.num_actions)
            for number, (family, places) in enumerate(zip(self.families, self._places, strict=True))
        )

    @cached_property
    def _places(self) -> tuple[Places, ...]:
        """Where everything stands; the first context slot is kept for the family's number."""
        specs = [family.spec for family in self.families]
        sizes = [max(len(spec.context) for spec in specs), max(len(spec.entity) for spec in specs), self.num_actions]
        found = []
        for number, (family, spec) in enumerate(zip(self.families, specs, strict=True)):
            orders = [np.arange(size) for size in sizes]
            if self.permuted is not None:
                rng = np.random.default_rng((self.permuted, number))
                orders = [rng.permutation(size) for size in sizes]
            own = (len(spec.context), len(spec.entity), family.num_actions)
            context, features, actions = (order[:n].tolist() for order, n in zip(orders, own, strict=True))
            found.append(Places(tuple(place + 1 for place in context), tuple(features), tuple(actions)))
        return tuple(found)


def _placed(sizes: tuple[int, ...], places: tuple[int, ...]) -> list[int]:
    """Vocabularies at their places; 1, for a slot that is always 0, elsewhere."""
    found = [1] * (max(places, default=-1) + 1)
    for size, place in zip(sizes, places, strict=True):
        found[place] = size
    return found
