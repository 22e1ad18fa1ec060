"""Twins: episodes played twice with the same actions and keys, the second from a start in which something differs.

As long as the agent has observed the same in both, it cannot tell them apart.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.contract.players import (
    EPISODES,
    RANDOM,
    Episode,
    Start,
    equal,
    heldout_tasks,
    init,
    other_digits,
    play,
)
from incentivize.envs.family import Family, State


def alike_so_far(first: Episode, second: Episode) -> np.ndarray:
    """Mark the steps up to which the agent has observed the same in two episodes, bool [EPISODES, horizon]."""
    same = equal(first.seen, second.seen) & first.running & second.running
    return np.logical_and.accumulate(same, axis=1)


def _changes(family: Family) -> Iterator[np.ndarray]:
    """Yield masks of the digits to change, bool [EPISODES, D]: one digit, half of them, all."""
    count, rng = len(family.tasks.radices), np.random.default_rng(0)
    yield np.arange(count) == rng.integers(count, size=(EPISODES, 1))
    yield rng.random((EPISODES, count)) < 0.5
    yield np.ones((EPISODES, count), bool)


class Twins(NamedTuple):
    """Episodes, and the same episodes from starts in which one part, `replaced`, is another."""

    replaced: str  # the part, in words
    first: Episode
    second: Episode


@lru_cache(maxsize=2)
def base_of(family: Family) -> tuple[Start, Episode]:
    """Return the starts and episodes that all twins are compared with; all actors act in turn."""
    start = init(family, heldout_tasks(family))
    return start, play(family, start)


@lru_cache(maxsize=2)
def random_of(family: Family) -> tuple[Start, Episode]:
    """Return the starts and episodes of random legal actions."""
    start = init(family, heldout_tasks(family), actor=RANDOM)
    return start, play(family, start, compare=True)


def _with(family: Family, replaced: str, state: State) -> Twins:
    """Play the base episodes again from `state` with the same actions and keys."""
    start, first = base_of(family)
    return Twins(replaced, first, play(family, start._replace(state=state), first.action))


@lru_cache(maxsize=2)
def with_other_tasks(family: Family) -> tuple[Twins, ...]:
    """Return twins of other tasks, begun from the same keys, which share all digits but one, half of them or none."""
    tasks, twins = heldout_tasks(family), []
    for number, changed in enumerate(_changes(family)):
        others = init(family, other_digits(family, tasks, changed, number)).state
        twins.append(_with(family, "digits of the task", others))
    return tuple(twins)


@lru_cache(maxsize=2)
def with_another(family: Family, field: str) -> tuple[Twins, ...]:
    """Return twins whose starts have `task` or `shown` replaced by that of another task."""
    start, _ = base_of(family)
    tasks, twins = heldout_tasks(family), []
    for number, changed in enumerate(_changes(family)):
        others = init(family, other_digits(family, tasks, changed, number)).state
        twins.append(_with(family, f"`{field}`", start.state._replace(**{field: getattr(others, field)})))
    return tuple(twins)


def with_unseen(family: Family) -> Iterator[Twins]:
    """Yield twins whose starts have another instance's value of a field that no observation depends on."""
    start, _ = base_of(family)
    for field in start.state._fields:
        others = jax.tree.map(lambda leaf: leaf[jnp.arange(EPISODES) - 1], getattr(start.state, field))
        twins = _with(family, f"`{field}`", start.state._replace(**{field: others}))
        both = twins.first.running & twins.second.running
        if (equal(twins.first.seen, twins.second.seen) | ~both).all():
            yield twins


@lru_cache(maxsize=2)
def same_task(family: Family) -> tuple[Episode, list[tuple[tuple[int, int], tuple[int, int]]]]:
    """Play episodes of one task with the same actions, and find pairs of places (episode, step) in them.

    Up to both places of a pair the agent has observed the same, although their states differ.
    """
    _, base = base_of(family)
    tasks = np.tile(heldout_tasks(family)[:1], (EPISODES, 1))
    actions = base.action[np.arange(EPISODES) // 64 * 64]  # four sequences, of different actors
    episode = play(family, init(family, tasks, 1), actions)
    looks, pairs = [np.asarray(leaf).reshape(*episode.running.shape, -1) for leaf in episode.seen], []
    first_places: dict[Any, tuple[int, int]] = {}
    leaves = [leaf.reshape(*episode.running.shape, -1) for leaf in jax.tree.leaves(episode.state)]
    for number, step in zip(*np.nonzero(episode.running), strict=True):
        past = tuple(look[number, : step + 1].tobytes() for look in looks)
        first = first_places.setdefault((past, actions[number, :step].tobytes()), (number, step))
        if any((leaf[first] != leaf[number, step]).any() for leaf in leaves):
            pairs.append((first, (number, step)))
    return episode, pairs
