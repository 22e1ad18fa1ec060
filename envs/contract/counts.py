"""Checks of a family's numbers: every digit of a task matters, and a task has as many instances as stated."""

import math
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.contract.players import (
    BATCHES,
    EPISODES,
    Episode,
    Start,
    draw_starts,
    equal,
    heldout_tasks,
    init,
    is_key,
    members_of,
    play,
)
from incentivize.envs.family import Family, State
from incentivize.envs.tasks import make_pool

PER_INSTANCE = 16  # draws of a starting state that miss one of many equally likely ones in 10^-7 of cases
FEWEST_DRAWS = 2**12  # of the starting states of one task, where more states than stated would be an error
MOST_DRAWS = 2**17  # of the starting states of one task
SHARED = 4  # batches of tasks among which all digits are shared, before each has batches of its own
FEWEST_TASKS = 4  # tasks whose starting states are counted, at least


Change = tuple[int, int]  # the place of a digit; the number added to it


def every_digit_matters(family: Family) -> None:
    """Refuse a digit of the task that changes nothing, although `behaviour` says that it does.

    A digit matters if it changes an outcome, the informed expert, or the world that a blind agent sees. So a digit that
    only picks another instance passes. Compared values differ by one, or by a whole part of the radix.

    Raises:
        AssertionError: if a digit makes no difference in any of the tasks that are tried.
    """
    untested = {(place, step) for place, radix in enumerate(family.tasks.radices) for step in _steps(radix)}
    by_behaviour: set[Change] = set()
    for batch in range(SHARED):  # most digits show in a few tasks, so that all may be tried at once
        changes = sorted(untested)
        _try(family, batch, [changes[lane % len(changes)] for lane in range(EPISODES)], untested, by_behaviour)
        if not untested:
            return
    for batch in range(BATCHES):
        for change in sorted(untested):
            _try(family, batch, [change] * EPISODES, untested, by_behaviour)
        if not untested & by_behaviour:
            return
    place, step = min(untested & by_behaviour)
    raise AssertionError(
        f"digit {place} of a task: no two values that are {step} apart play differently, so `tasks` counts too many. "
        "Leave the digit out, or let `behaviour` be equal for such tasks."
    )


def _try(family: Family, batch: int, changes: list[Change], untested: set[Change], by_behaviour: set[Change]) -> None:
    """Change a digit of every task of a batch and play; sort the changes by whether they matter.

    Args:
        family: the family to be checked.
        batch: the number of a batch of held-out tasks.
        changes: EPISODES changes, one for every task.
        untested: the changes that have made no difference so far; those that make one are removed.
        by_behaviour: the changes that make a difference according to `behaviour`; more are added.
    """
    start, first = _played(family, batch)
    tasks = heldout_tasks(family, batch)
    others, (places, steps) = tasks.copy(), np.array(changes).T
    rows, radices = np.arange(EPISODES), np.array(family.tasks.radices)
    others[rows, places] = (tasks[rows, places].astype(np.int64) + steps) % radices[places]
    apart = (_behaviour(family)(others) != _behaviour(family)(tasks)).any(1)
    second = play(family, start._replace(state=init(family, others, batch).state), first.action)
    by_behaviour.update(change for change, is_apart in zip(changes, apart, strict=True) if is_apart)
    differs = _plays_differently(first, second) & apart
    untested.difference_update(change for change, is_other in zip(changes, differs, strict=True) if is_other)


@lru_cache(maxsize=2)
def _played(family: Family, batch: int) -> tuple[Start, Episode]:
    """Return the starts and episodes of a batch of held-out tasks."""
    start = init(family, heldout_tasks(family, batch), batch)
    return start, play(family, start)


@lru_cache
def _behaviour(family: Family) -> Callable[[np.ndarray], np.ndarray]:
    """Compile a batched `behaviour`, of tasks [EPISODES, D], raveled to integers [EPISODES, n]."""
    compiled = jax.jit(jax.vmap(lambda task: jnp.ravel(family.behaviour(task))))
    return lambda tasks: np.asarray(compiled(tasks))


def _steps(radix: int) -> set[int]:
    """Return the changes of a digit that are tested: by one, and by each part of its radix from 1/2 to 1/16."""
    return {step for step in (1, *(radix // parts for parts in range(2, 17) if radix % parts == 0)) if step < radix}


def _plays_differently(first: Episode, second: Episode) -> Any:
    """Return which episodes differ in an outcome, the informed expert or the blinded world, bool [EPISODES]."""
    same = equal(first.outcome, second.outcome) & equal(first.blinded, second.blinded)
    same &= np.isclose(first.informed, second.informed, atol=1e-6).all(-1) & (first.running == second.running)
    return (~same & (first.running | second.running)).any(1)


def instances_are_counted(family: Family) -> None:
    """Refuse a number of `instances` that drawn starting states contradict, be it exact or a lower bound.

    Small numbers are exhausted by drawing. Large ones are compared with the number of pairs of draws that agree.
    """
    stated, exact = family.instances, family.instances_are_exact
    draws = min(max(PER_INSTANCE * stated, FEWEST_DRAWS if exact else 1), MOST_DRAWS)
    count = max(MOST_DRAWS // max(draws, FEWEST_DRAWS), FEWEST_TASKS)
    tasks = members_of(family.tasks)(make_pool(count, split="heldout"), jnp.arange(count, dtype=jnp.uint32))
    fewer = 0
    agree = draws * (draws - 1) / 2 / stated  # pairs of draws that are expected to agree
    for task in tasks:
        times = _times_drawn(draw_starts(family, jax.random.key(0), task, draws))
        assert not exact or len(times) <= stated, f"instances = {stated:,}: a task has {len(times):,} starting states"
        pairs, noise = (times * (times - 1) / 2).sum(), 5 * agree**0.5 + 5
        too_few = pairs > 1.5 * agree + noise or len(times) < 0.9 * stated * -math.expm1(-draws / stated)
        if PER_INSTANCE * stated <= draws:
            too_few = len(times) < stated
        too_many = exact and pairs < agree / 1.5 - noise  # however unequal draws are, they agree as often as equal ones
        assert not too_many, f"instances = {stated:,}: a task has far more starting states, unless as a lower bound"
        fewer += int(too_few)
    tolerated = 0 if exact else 0.01 * count + 4 * (0.01 * count) ** 0.5  # a lower bound is of 99 tasks in 100
    assert fewer <= tolerated, (
        f"instances = {stated:,}: {fewer} of {count} tasks have fewer starting states. "
        "State fewer. If the number is only a lower bound, let `instances_are_exact` be False."
    )


def _times_drawn(states: State) -> np.ndarray:
    """Count each distinct state among drawn states (leaves [draws, ...]): int [distinct]."""
    leaves = [np.ascontiguousarray(leaf) for leaf in jax.tree.leaves(states) if not is_key(leaf)]
    rows = np.concatenate([leaf.reshape(len(leaf), -1).view(np.uint8) for leaf in leaves], 1)
    rows = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1]))).ravel()
    return np.array(list(Counter(rows.tolist()).values()))
