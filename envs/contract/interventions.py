"""Checks by intervention: replace `task`, `shown` or the instance, and compare.

Verdicts of studies rest on these properties: a fair expert that knows no more than the agent, outcomes that obey the
task, and blind agents that see nothing of it.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.contract.players import BATCHES, Episode, equal, solve
from incentivize.envs.contract.twins import (
    alike_so_far,
    base_of,
    same_task,
    with_another,
    with_other_tasks,
    with_unseen,
)
from incentivize.envs.family import Family, State

PICTURES = 3  # pairs compared for every replaced field: drawing is slow


def the_fair_expert_knows_what_was_shown(family: Family) -> None:
    """Refuse a fair expert that acts differently in two episodes in which the agent has observed the same."""
    for replaced, first, second in (*with_other_tasks(family), *with_another(family, "task")):
        alike = alike_so_far(first, second)
        same = np.isclose(first.fair, second.fair, atol=1e-6).all(-1)
        assert (same | ~alike).all(), (
            f"the fair expert changes when {replaced} is replaced and nothing else is observed: "
            "it must act on what the agent was shown (`state.shown`, as far as observations have told it)"
        )
    if family.reveals_rule:
        differences = (
            ~np.isclose(first.fair, second.fair, atol=1e-6).all(-1) & first.running & second.running
            for _, first, second in with_another(family, "shown")
        )
        assert any(changed.any() for changed in differences), (
            "the fair expert never changes when `shown` is replaced: it must read the rule from there, and not from "
            "other fields of the state"
        )
    episode, twins = same_task(family)
    for first, second in twins:
        same = np.isclose(episode.fair[first], episode.fair[second], atol=1e-6).all()
        assert same, "the fair expert does otherwise in two instances of a task that look the same so far"


def scripted_policies_ignore_the_description(family: Family) -> None:
    """Refuse scripted policies that a blinded observation changes."""
    _, base = base_of(family)
    plain, blinded = base.scripted
    same = np.isclose(plain, blinded, atol=1e-6).reshape(*base.running.shape, -1).all(-1)
    assert (same | ~base.running).all(), "a scripted policy reads what `blind` hides: it must ignore the description"


def the_fair_expert_succeeds_as_stated(family: Family) -> None:
    """Refuse a `fair_success` that is more than four standard errors from the one measured on held-out tasks."""
    won = solve(family, BATCHES, "fair").won
    measured, stated = float(np.mean(won)), family.fair_success
    error = 4 * (stated * (1 - stated) / np.size(won)) ** 0.5
    assert abs(measured - stated) <= error, (
        f"fair_success = {stated:g}: the fair expert solves {measured:.4f} of {np.size(won):,} held-out instances. "
        "Correct the expert, or state its success."
    )


def step_obeys_the_task(family: Family) -> None:
    """Refuse outcomes that change with `shown`, and steps that change `task` or `shown` themselves."""
    _, base = base_of(family)
    for field in ("task", "shown"):
        digits = getattr(base.state, field)
        assert (digits == digits[:, :1]).all(), f"a step changes `{field}` of the state"
    same = equal(base.outcome, base.outcome_with_other_shown) | ~base.running
    assert same.all(), "an outcome changes when `shown` is replaced: `step` must obey `state.task`"
    if family.reveals_rule:  # later questions of a hidden rule may depend on what was shown
        for _, first, second in with_another(family, "shown"):
            same = _same_outcomes(first, second)
            assert same, "an outcome changes when `shown` was replaced before: `step` must obey `state.task`"


def _same_outcomes(first: Episode, second: Episode) -> bool:
    """Return whether two blocks of episodes have the same outcomes to their ends."""
    same = equal(first.outcome, second.outcome) & (first.running == second.running)
    return bool((same | ~(first.running | second.running)).all())


def blind_hides_what_shown_changes(family: Family) -> None:
    """Refuse a `blind` that lets a change of `shown` through.

    If the rule is visible, this holds for every step. If it is hidden, it holds for the step that reveals the change:
    later steps differ by what was found out.
    """
    revealed = False
    for _, first, second in with_another(family, "shown"):
        running = first.running & second.running
        different = ~equal(first.seen, second.seen) & running
        revealed |= bool(different.any())
        compared = running if family.reveals_rule else _first(different)
        hidden = equal(first.blinded, second.blinded)
        assert (hidden | ~compared).all(), "`blind` leaves what tells one description, or one hidden rule, from another"
    assert revealed, "no observation ever depends on `shown`: `observe`, or what steps reveal, must read it"


def _first(flags: np.ndarray) -> np.ndarray:
    """Return flags (bool [EPISODES, horizon]) with only the first one of every episode left."""
    return flags & (np.cumsum(flags, axis=1) == 1)


def pictures_show_what_was_seen(family: Family) -> None:
    """Refuse pictures that differ where the agent has observed the same, and blind ones that change with `shown`."""
    episode, twins = same_task(family)
    for first, second in twins[:: max(len(twins) // (2 * PICTURES), 1)]:
        same = _drawn(family, _at(episode.state, *first)) == _drawn(family, _at(episode.state, *second))
        assert same, "a picture tells two instances of a task apart that look the same so far"
    for replaced, first, second in (*with_other_tasks(family), *with_another(family, "task"), *with_unseen(family)):
        for state, twin in _pairs(first, second, alike_so_far(first, second)):
            same = _drawn(family, state) == _drawn(family, twin)
            assert same, f"a picture tells what no observation has: it changes with {replaced} while those do not"
    for _, first, second in with_another(family, "shown"):
        different = ~equal(first.seen, second.seen) & first.running & second.running
        for state, twin in _pairs(first, second, _first(different)):
            same = _drawn(family, state, described=False) == _drawn(family, twin, described=False)
            assert same, "a picture without the description tells one description, or one hidden rule, from another"


def _pairs(first: Episode, second: Episode, steps: np.ndarray) -> Iterator[tuple[State, State]]:
    """Yield a few pairs of states that differ, at early and late ones of some steps (bool [EPISODES, horizon])."""
    places = np.argwhere(steps & ~equal(first.state, second.state))
    for episode, step in places[np.linspace(0, len(places) - 1, min(PICTURES, len(places))).astype(int)]:
        yield _at(first.state, episode, step), _at(second.state, episode, step)


def _at(states: State, episode: int, step: int) -> State:
    """Return the state at one step of one episode, of states [EPISODES, horizon, ...]."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[episode, step]), states)


def _drawn(family: Family, state: State, described: bool = True) -> bytes:
    """Draw a state and return the picture as bytes."""
    picture = family.render(state, described)
    return b"".join(np.ascontiguousarray(part).tobytes() for part in vars(picture).values())
