"""Twins: episodes played twice with the same actions and keys, the second from a start in which something differs.

As long as the agent has observed the same in both, it cannot tell them apart.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.family import Family, Observation, Outcome, State
from incentivize.envs.tasks import make_pool

EPISODES = 256  # episodes played at once: one shape, and so one compilation, for all checks of a family
RANDOM, INFORMED, FAIR = 0, 1, 2  # the actors of episodes
BATCHES = 16  # batches of EPISODES: at most so many to find a digit's effect, and all to measure the fair expert


class Episode(NamedTuple):
    """The steps of an episode, leaves [horizon, ...]."""

    state: State  # before the step
    seen: Observation
    blinded: Observation
    scripted: tuple[jax.Array, jax.Array]  # float32 [S, A] each: policies of the seen and of the blinded observation
    informed: jax.Array  # float32 [A]: probabilities of the informed expert
    fair: jax.Array  # float32 [A]: probabilities of the fair expert
    action: jax.Array  # int32 []
    outcome: Outcome
    with_other_shown: Outcome  # the outcome of the same step if the agent had been shown another rule
    running: jax.Array  # bool: no step before this one ended the episode


class Start(NamedTuple):
    """The beginning of an episode, its actor and the key of its actions."""

    state: State
    other_shown: jax.Array  # digits [D]: `state.shown` of another task
    actor: jax.Array  # int32 []: RANDOM, INFORMED or FAIR
    key: jax.Array


@lru_cache
def _player(family: Family) -> Callable[[Start, jax.Array], Episode]:
    """Compile the play of EPISODES episodes; the actor chooses if an action (int32 [EPISODES, horizon]) is below 0."""

    def step(actor: jax.Array, other_shown: jax.Array, carry: Any, inputs: Any) -> Any:
        (state, running), (given, key) = carry, inputs
        key_act, key_step = jax.random.split(key)
        seen = family.observe(state)
        blinded = family.blind(seen)
        informed, fair = family.expert(state, "informed"), family.expert(state, "fair")
        policy = jnp.stack([seen.action_mask.astype(jnp.float32), informed, fair])[actor]
        action = jnp.where(given < 0, jax.random.categorical(key_act, jnp.log(policy)), given).astype(jnp.int32)
        after, outcome = family.step(state, action, key_step)
        _, other = family.step(state._replace(shown=other_shown), action, key_step)
        scripted = family.scripted(seen), family.scripted(blinded)
        now = Episode(state, seen, blinded, scripted, informed, fair, action, outcome, other, running)
        return (after, running & ~outcome.ends_episode), now

    def play(start: Start, actions: jax.Array) -> Episode:
        inputs = actions, jax.random.split(start.key, family.horizon)
        return jax.lax.scan(partial(step, start.actor, start.other_shown), (start.state, jnp.bool_(True)), inputs)[1]

    return jax.jit(jax.vmap(play))


@lru_cache
def _starter(family: Family) -> Callable[[jax.Array, jax.Array], State]:
    """Compile a batched `init`."""
    return jax.jit(jax.vmap(family.init))


def heldout_tasks(family: Family, batch: int = 0) -> np.ndarray:
    """Return EPISODES held-out tasks, another block for every batch, digits [EPISODES, D]."""
    count = min(BATCHES * EPISODES, family.tasks.split_size("heldout"))
    slots = (jnp.arange(EPISODES, dtype=jnp.uint32) + batch * EPISODES) % count
    return np.array(members_of(family)(make_pool(count, split="heldout"), slots))


@lru_cache
def members_of(family: Family) -> Callable[[Any, jax.Array], jax.Array]:
    """Compile a function of a pool and slots (uint32 [n]) that returns the pool's tasks, digits [n, D]."""
    return jax.jit(jax.vmap(family.tasks.member, (None, 0)))


def init(family: Family, tasks: np.ndarray, batch: int = 0, actor: int | None = None) -> Start:
    """Start EPISODES episodes of given tasks (digits [EPISODES, D]), with all actors in turn if none is named."""
    key_init, key = jax.random.split(jax.random.key(batch))
    actors = jnp.array(np.arange(EPISODES) % 3 if actor is None else np.full(EPISODES, actor), jnp.int32)
    others = other_digits(family, tasks, np.ones(tasks.shape, bool), batch)
    keys = jax.random.split(key_init, EPISODES)
    states, shown = _starter(family)(keys, jnp.asarray(tasks)), _starter(family)(keys, jnp.asarray(others)).shown
    return Start(states, shown, actors, jax.random.split(key, EPISODES))


def play(family: Family, start: Start, actions: Any = None) -> Episode:
    """Play episodes; return NumPy arrays [EPISODES, horizon, ...]. The actors choose if no actions are given."""
    given = np.full((EPISODES, family.horizon), -1, np.int32) if actions is None else actions
    played = _player(family)(start, jnp.asarray(given))
    return jax.tree.map(lambda leaf: np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf), played)


def is_key(leaf: Any) -> bool:
    """Return whether a leaf of a state holds random keys, a dtype that NumPy lacks."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def equal(one: Any, other: Any) -> np.ndarray:
    """Compare two trees of leaves [EPISODES, horizon, ...] step by step: bool [EPISODES, horizon]."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    same = [(a == b).reshape(*a.shape[:2], -1).all(-1) for a, b in pairs]
    return np.logical_and.reduce(same)


def alike_so_far(one: Episode, other: Episode) -> np.ndarray:
    """Mark the steps up to which the agent has observed the same in two episodes, bool [EPISODES, horizon]."""
    same = equal(one.seen, other.seen) & one.running & other.running
    return np.logical_and.accumulate(same, axis=1)


def other_digits(family: Family, tasks: np.ndarray, changed: np.ndarray, seed: int) -> np.ndarray:
    """Replace the digits marked in `changed` (bool [EPISODES, D]) of tasks by other values, drawn at random."""
    radices = np.array(family.tasks.radices, np.int64)
    shift = np.random.default_rng(seed).integers(1, np.maximum(radices, 2), tasks.shape)
    return np.where(changed, (tasks + shift) % radices, tasks).astype(tasks.dtype)


def _changes(family: Family) -> Iterator[np.ndarray]:
    """Yield masks of the digits to change, bool [EPISODES, D]: one digit, half of them, all."""
    count, rng = len(family.tasks.radices), np.random.default_rng(0)
    yield np.arange(count) == rng.integers(count, size=(EPISODES, 1))
    yield rng.random((EPISODES, count)) < 0.5
    yield np.ones((EPISODES, count), bool)


class Twins(NamedTuple):
    """Episodes, and the same episodes from starts in which `what` was replaced."""

    what: str
    first: Episode
    second: Episode


@lru_cache(maxsize=2)
def base_of(family: Family) -> tuple[Start, Episode]:
    """Return the starts and episodes that all twins are compared with; all actors act in turn."""
    start = init(family, heldout_tasks(family))
    return start, play(family, start)


def _with(family: Family, what: str, state: State) -> Twins:
    """Play the base episodes again from `state` with the same actions and keys."""
    start, first = base_of(family)
    return Twins(what, first, play(family, start._replace(state=state), first.action))


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
