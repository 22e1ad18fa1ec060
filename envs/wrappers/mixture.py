"""Mixtures: several families behind one interface, so that one agent can play them all.

Every family has an equal share of a learner's environments to itself: under `vmap`, a switch between families would run
them all for every environment. Observations are padded to common shapes. The first context slot is the number of the
family. With `permuted`, the slots, features and actions of each family are in a random order of their own: then nothing
carries over from one family to another by position alone.
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
    """The places of a family's own slots, entity features and actions in the mixture's."""

    context: tuple[int, ...]  # one per context slot of the family
    features: tuple[int, ...]  # one per entity feature of the family
    actions: tuple[int, ...]  # one per action of the family


def _spread(values: jax.Array, places: tuple[int, ...], size: int) -> jax.Array:
    """Put values [..., n] at their places along a last axis of `size`, with zero or False elsewhere."""
    source = np.full(size, len(places))
    source[list(places)] = np.arange(len(places))
    padded = jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, 1)])
    return padded[..., source]


@dataclass(frozen=True)
class Member(Control):
    """A family as a mixture shows it.

    Attributes:
        number: the family's number in the mixture.
        places: the places of the family's slots, features and actions in the mixture's.
        common: shapes and vocabularies of the mixture's observations.
        actions: the number of actions of the mixture; those that the family lacks are illegal.
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
        """Return the names of the mixture's actions: the family's own names, and `other` for all other actions."""
        by_action = dict(zip(self.places.actions, names, strict=True))
        return tuple(by_action.get(action, other) for action in range(self.actions))

    def _outer(self, seen: Observation) -> Observation:
        """Return a family's observation in the mixture's shapes."""
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
        """Return a mixture's observation in the family's own shapes: the inverse of `_outer`."""
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
        family_actions = _spread(jnp.arange(self.family.num_actions), self.places.actions, self.actions)
        return self.family.step(state, family_actions[action], key)

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

    Raises:
        ValueError: if there is no family, or `permuted` is no seed.
    """

    families: tuple[Family, ...]
    permuted: int | None = None

    def __post_init__(self) -> None:
        if not self.families:
            raise ValueError("families = (): expected at least one family.")
        if self.permuted is not None:
            check_integer("permuted", self.permuted, 0)

    @property
    def num_actions(self) -> int:
        """The largest number of actions of a family."""
        return max(family.num_actions for family in self.families)

    @property
    def spec(self) -> Spec:
        """Shapes and vocabularies that fit every family: the largest at every place."""
        return self._spec

    @property
    def members(self) -> tuple[Member, ...]:
        """The families as an agent meets them, all with the spec and the actions of the mixture."""
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
        """The places of every family's parts; the first context slot is left to the family's number."""
        specs = [family.spec for family in self.families]
        sizes = [max(len(spec.context) for spec in specs), max(len(spec.entity) for spec in specs), self.num_actions]
        all_places = []
        for number, (family, spec) in enumerate(zip(self.families, specs, strict=True)):
            orders = [np.arange(size) for size in sizes]
            if self.permuted is not None:
                rng = np.random.default_rng((self.permuted, number))
                orders = [rng.permutation(size) for size in sizes]
            counts = (len(spec.context), len(spec.entity), family.num_actions)
            context, features, actions = (order[:n].tolist() for order, n in zip(orders, counts, strict=True))
            all_places.append(Places(tuple(place + 1 for place in context), tuple(features), tuple(actions)))
        return tuple(all_places)


def _placed(sizes: tuple[int, ...], places: tuple[int, ...]) -> list[int]:
    """Put vocabularies at their places, with 1 elsewhere: the vocabulary of a slot that is always 0."""
    vocabularies = [1] * (max(places, default=-1) + 1)
    for size, place in zip(sizes, places, strict=True):
        vocabularies[place] = size
    return vocabularies
