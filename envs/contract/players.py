"""Players: compiled episodes of a family, from given starts and by given actors, and the solver that keeps their ends.

Every check of a family plays by these few programs.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.family import Family, Observation, Outcome, State
from incentivize.envs.tasks import Pool, TaskSpace, make_pool
from incentivize.envs.wrappers.base import Wrapper

EPISODES = 256  # episodes played at once: one shape, and so one compilation, for all checks of a family
RANDOM, INFORMED, FAIR = 0, 1, 2  # the actors of episodes
BATCHES = 16  # batches of EPISODES: at most so many to find a digit's effect, and all to measure the fair expert

PLAYED = ("observe", "blind", "scripted", "expert", "step", "distance", "horizon")
"""Methods and properties of a family that `play` uses: wrappers that pass them on share its program."""

SOLVED = ("expert", "step", "distance", "attempt", "attempts", "horizon")
"""Methods and properties of a family that `solve` uses."""


class Alike(NamedTuple):
    """Whether the agent would observe the same if the state had another `task` or another `shown`."""

    with_other_task: jax.Array  # bool
    with_other_shown: jax.Array  # bool
    blinded_with_other_shown: jax.Array  # bool: of the blinded observation


class Episode(NamedTuple):
    """The steps of an episode, leaves [horizon, ...]."""

    state: State  # before the step
    after: State  # after the step
    seen: Observation
    blinded: Observation
    alike: Alike  # False if this was not asked for
    scripted: tuple[jax.Array, jax.Array]  # float32 [S, A] each: policies of the seen and of the blinded observation
    informed: jax.Array  # float32 [A]: probabilities of the informed expert
    fair: jax.Array  # float32 [A]: probabilities of the fair expert
    distance: jax.Array  # int32 []: the informed expert's steps to success
    action: jax.Array  # int32 []
    outcome: Outcome
    outcome_with_other_shown: Outcome  # the outcome of the same step if the agent had been shown another rule
    running: jax.Array  # bool: no step before this one ended the episode


class Start(NamedTuple):
    """The beginning of an episode, its actors and the key of its actions."""

    state: State
    other_task: jax.Array  # digits [D]: `state.task` of another task, different in every digit
    other_shown: jax.Array  # digits [D]: `state.shown` of the other task
    actor: jax.Array  # int32 [horizon]: RANDOM, INFORMED or FAIR at every step
    key: jax.Array


@lru_cache
def alone(family: Family, method: str) -> Callable[..., Any]:
    """Return a method of a family under `jit`; cached, so that all programs that call it trace it once.

    A wrapper that passes the method on shares it with its family.
    """
    if _passes_on(family, method):
        return alone(family.family, method)
    return jax.jit(getattr(family, method), static_argnames="kind" if method == "expert" else ())


def _passes_on(family: Family, *names: str) -> TypeGuard[Wrapper]:
    """Return whether a family is a wrapper that overrides none of the named methods and properties."""
    return isinstance(family, Wrapper) and all(getattr(type(family), name) is getattr(Wrapper, name) for name in names)


def _stacked(*trees: Any) -> Any:
    """Stack the leaves of trees along a new first axis: what is mapped over it is traced and compiled once."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _alike(family: Family, seen: Observation, others: tuple[State, State]) -> Alike:
    """Compare an observation with those of the state with another `task`, and of the state with another `shown`."""
    with_task, with_shown = (_row(_mapped(family, "observe")(_stacked(*others)), row) for row in range(2))
    blinded, blinded_with_shown = (_row(_mapped(family, "blind")(_stacked(seen, with_shown)), row) for row in range(2))
    return Alike(_same(seen, with_task), _same(seen, with_shown), _same(blinded, blinded_with_shown))


def _same(first: Any, second: Any) -> jax.Array:
    """Return whether two trees have equal leaves, bool []."""
    same = jax.tree.map(lambda a, b: (a == b).all(), first, second)
    return jnp.stack(jax.tree.leaves(same)).all()


def _row(tree: Any, number: int) -> Any:
    """Return one row of every leaf of a tree."""
    return jax.tree.map(lambda leaf: leaf[number], tree)


@lru_cache
def _player(family: Family) -> Callable[[Start, jax.Array, np.bool_], Episode]:
    """Compile the play of EPISODES episodes: from starts, given actions and whether to find out `Episode.alike`.

    The actor chooses where the action (int32 [EPISODES, horizon]) is below 0.
    """
    if _passes_on(family, *PLAYED):
        return _player(family.family)
    expert, mapped = alone(family, "expert"), partial(_mapped, family)

    def step(start: Start, compare: jax.Array, carry: Any, inputs: Any) -> Any:
        (state, running), (given, actor, key) = carry, inputs
        key_act, key_step = jax.random.split(key)
        shown_another = state._replace(shown=start.other_shown)
        seen = alone(family, "observe")(state)
        blinded = alone(family, "blind")(seen)
        others = state._replace(task=start.other_task), shown_another
        alike = jax.lax.cond(compare, partial(_alike, family), lambda *_: Alike(*[jnp.bool_(False)] * 3), seen, others)
        scripted = mapped("scripted")(_stacked(seen, blinded))
        informed, fair = expert(state, kind="informed"), expert(state, kind="fair")
        policy = jnp.stack([seen.action_mask.astype(jnp.float32), informed, fair])[actor]
        action = jnp.where(given < 0, jax.random.categorical(key_act, jnp.log(policy)), given).astype(jnp.int32)
        stepped = mapped("step", (0, None, None))(_stacked(state, shown_another), action, key_step)
        (after, outcome), (_, other_outcome) = (_row(stepped, row) for row in range(2))
        recorded = Episode(
            state=state,
            after=after,
            seen=seen,
            blinded=blinded,
            alike=alike,
            scripted=(scripted[0], scripted[1]),
            informed=informed,
            fair=fair,
            distance=alone(family, "distance")(state),
            action=action,
            outcome=outcome,
            outcome_with_other_shown=other_outcome,
            running=running,
        )
        return (after, running & ~outcome.ends_episode), recorded

    def play(start: Start, actions: jax.Array, compare: jax.Array) -> Episode:
        inputs = actions, start.actor, jax.random.split(start.key, family.horizon)
        return jax.lax.scan(partial(step, start, compare), (start.state, jnp.bool_(True)), inputs)[1]

    return jax.jit(jax.vmap(play, (0, 0, None)))


def _mapped(family: Family, method: str, axes: Any = 0) -> Callable[..., Any]:
    """Return a batched method of a family."""
    return jax.vmap(alone(family, method), axes)


class Solved(NamedTuple):
    """The ends of episodes that an expert plays, leaves [EPISODES]."""

    distance: jax.Array  # int32: steps to success from the start, as `distance` says
    steps: jax.Array  # int32: steps to the first success, or the horizon
    solved: jax.Array  # bool: there was a success
    failed: jax.Array  # bool: a failure came before it
    won: jax.Array  # bool: the last attempt of the episode succeeded


@lru_cache
def _solver(family: Family) -> Callable[[State, jax.Array, np.int32, np.bool_], Solved]:
    """Compile EPISODES episodes of an expert.

    They are a function of starts, a key, the steps after which episodes are left, and whether the expert is the fair
    one. No more than the ends of episodes are kept: this takes a fraction of the time of `play`.
    """
    if _passes_on(family, *SOLVED):
        return _solver(family.family)
    informed, fair = (jax.vmap(partial(alone(family, "expert"), kind=kind)) for kind in ("informed", "fair"))

    def step(keys: jax.Array, is_fair: jax.Array, carry: Any) -> Any:
        number, states, running, solved = carry
        key_act, key_step = jax.random.split(keys[number])
        action = jax.random.categorical(key_act, jnp.log(jax.lax.cond(is_fair, fair, informed, states)))
        last = jax.vmap(family.attempt)(states) == family.attempts - 1
        states, outcome = _mapped(family, "step")(states, action, jax.random.split(key_step, EPISODES))
        solved = solved._replace(
            steps=solved.steps + ~solved.solved,
            failed=solved.failed | (outcome.failed & ~solved.solved),
            solved=solved.solved | outcome.succeeded,
            won=solved.won | (outcome.succeeded & running & last),
        )
        return number + 1, states, running & ~outcome.ends_episode, solved

    def goes_on(most: jax.Array, carry: Any) -> jax.Array:
        number, _, running, solved = carry
        return (number < most) & (running | ~solved.solved).any()

    def solve(states: State, key: jax.Array, most: jax.Array, is_fair: jax.Array) -> Solved:
        all_false, keys = jnp.zeros(EPISODES, bool), jax.random.split(key, family.horizon)
        distance = _mapped(family, "distance")(states)
        solved = Solved(distance, jnp.zeros(EPISODES, jnp.int32), all_false, all_false, all_false)
        begin = jnp.int32(0), states, ~all_false, solved
        return jax.lax.while_loop(partial(goes_on, most), partial(step, keys, is_fair), begin)[3]

    return jax.jit(solve)


def solve(family: Family, batches: int, kind: Literal["informed", "fair"]) -> Solved:
    """Let an expert play EPISODES held-out instances for each of so many batches; return NumPy arrays [instances]."""
    count, ends = batches * EPISODES, []
    for batch in range(batches):
        key_init, key = jax.random.split(jax.random.key(batch))
        tasks = heldout_tasks(family, batch, count)
        states = _starter(family)(jax.random.split(key_init, EPISODES), jnp.asarray(tasks))
        ends.append(_solver(family)(states, key, np.int32(family.horizon), np.bool_(kind == "fair")))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *ends)


def distances(family: Family, states: State) -> np.ndarray:
    """Return `distance` of EPISODES states, int32 [EPISODES], by the program of `solve`."""
    return np.asarray(_solver(family)(states, jax.random.key(0), np.int32(0), np.bool_(False)).distance)


@lru_cache
def _starter(family: Family) -> Callable[[jax.Array, jax.Array], State]:
    """Compile a batched `init`; a wrapper that passes it on shares it with its family."""
    if _passes_on(family, "init"):
        return _starter(family.family)
    return jax.jit(_mapped(family, "init"))


def draw_starts(family: Family, key: jax.Array, task: jax.Array, count: int) -> State:
    """Draw so many starting states of one task (digits [D])."""
    return _drawer(alone(family, "init"), count)(key, task)


@lru_cache
def _drawer(init: Callable[..., State], count: int) -> Callable[[jax.Array, jax.Array], State]:
    """Compile so many calls of `init` with a task, each with a key of its own."""
    return jax.jit(lambda key, task: jax.vmap(init, (0, None))(jax.random.split(key, count), task))


def heldout_tasks(family: Family, batch: int = 0, most: int = BATCHES * EPISODES) -> np.ndarray:
    """Return EPISODES held-out tasks of the first `most`, another block for every batch, digits [EPISODES, D]."""
    return _heldout_tasks(family.tasks, batch, min(most, family.tasks.split_size("heldout"))).copy()


@lru_cache
def _heldout_tasks(tasks: TaskSpace, batch: int, count: int) -> np.ndarray:
    """Return EPISODES of the first `count` held-out tasks, digits [EPISODES, D]."""
    slots = (np.arange(EPISODES, dtype=np.uint32) + np.uint32(batch * EPISODES)) % np.uint32(count)
    return np.asarray(members_of(tasks)(_heldout_pool(count), jnp.asarray(slots)))


@lru_cache
def _heldout_pool(count: int) -> Pool:
    """Return the pool of the first `count` held-out tasks, of NumPy."""
    return jax.device_get(make_pool(count, split="heldout"))


@lru_cache
def members_of(tasks: TaskSpace) -> Callable[[Any, jax.Array], jax.Array]:
    """Compile a function of a pool and slots (uint32 [n]) that returns the pool's tasks, digits [n, D]."""
    return jax.jit(jax.vmap(tasks.member, (None, 0)))


def init(family: Family, tasks: np.ndarray, batch: int = 0, actor: int | None = None) -> Start:
    """Start EPISODES episodes of given tasks (digits [EPISODES, D]), with all actors in turn if none is named."""
    key_init, key = jax.random.split(jax.random.key(batch))
    actors = np.arange(EPISODES) % 3 if actor is None else np.full(EPISODES, actor)
    actors = jnp.array(np.repeat(actors[:, None], family.horizon, axis=1), jnp.int32)
    others = other_digits(family, tasks, np.ones(tasks.shape, bool), batch)
    keys = jax.random.split(key_init, EPISODES)
    states, twins = (_starter(family)(keys, jnp.asarray(digits)) for digits in (tasks, others))
    return Start(states, twins.task, twins.shown, actors, jax.random.split(key, EPISODES))


def play(family: Family, start: Start, actions: Any = None, compare: bool = False) -> Episode:
    """Play episodes; return NumPy arrays [EPISODES, horizon, ...].

    Args:
        family: the family to be played.
        start: the starts of EPISODES episodes.
        actions: int32 [EPISODES, horizon]: actions to take; below 0, the actor chooses. None: the actors choose all.
        compare: whether to find out `Episode.alike`, which takes time.
    """
    given = np.full((EPISODES, family.horizon), -1, np.int32) if actions is None else actions
    return as_numpy(_player(family)(start, jnp.asarray(given), np.bool_(compare)))


def as_numpy(tree: Any) -> Any:
    """Return a tree with NumPy arrays as leaves, keys as their data."""
    return jax.tree.map(lambda leaf: np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf), tree)


def is_key(leaf: Any) -> bool:
    """Return whether a leaf of a state holds random keys, a dtype that NumPy lacks."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def equal(first: Any, second: Any) -> np.ndarray:
    """Compare two trees of leaves [EPISODES, horizon, ...] step by step: bool [EPISODES, horizon]."""
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    same = [(a == b).reshape(*a.shape[:2], -1).all(-1) for a, b in pairs]
    return np.logical_and.reduce(same)


def other_digits(family: Family, tasks: np.ndarray, changed: np.ndarray, seed: int) -> np.ndarray:
    """Replace the digits marked in `changed` (bool [EPISODES, D]) of tasks by other values, drawn at random."""
    radices = np.array(family.tasks.radices, np.int64)
    shift = np.random.default_rng(seed).integers(1, np.maximum(radices, 2), tasks.shape)
    return np.where(changed, (tasks + shift) % radices, tasks).astype(tasks.dtype)
