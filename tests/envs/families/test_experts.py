"""Experts against plain search, on tasks held out and at every knob that the families document."""

import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs
from incentivize.envs.contract.players import EPISODES, FAIR, INFORMED, RANDOM, heldout_tasks, init, play
from tests.helpers.solvers import Episode, solve

FEW, MANY = 100, 2000  # instances

USUAL = [
    ("codebooks", {}),
    ("codebooks", {"mixed": True, "study": 4, "exam": 4}),
    ("codebooks", {"variant": "try", "study": 3}),
    ("codebooks", {"life": 2}),
    ("errands", {}),
    ("errands", {"chain": 2}),
    ("mazes", {}),
    ("mazes", {"rows": 5, "columns": 7, "goal_in_task": False, "room": 9}),
    ("programs", {}),
    ("programs", {"silent": True, "room": 9}),
    ("puzzles", {}),
    ("puzzles", {"scramble": 4}),
    ("sequences", {}),
    ("sequences", {"order": 1, "tokens": 7, "room": 9, "runs": 2}),
]
OTHERS = [
    ("errands", {"attributes": 3, "values": 4, "size": 4, "objects": 3}),
    ("puzzles", {"scramble": 3}),
    ("codebooks", {"study": 1, "price": 0}),
    ("codebooks", {"study": 8, "cues": 6, "exam": 6}),
    ("codebooks", {"pairs": "apart"}),
    ("codebooks", {"mixed": True}),
    ("codebooks", {"variant": "try", "study": 1}),
    ("codebooks", {"variant": "try", "study": 8, "mixed": True}),
    ("codebooks", {"variant": "try", "study": 2, "life": 4}),
    ("errands", {"objects": 2}),
    ("errands", {"objects": 3}),
    ("errands", {"objects": 3, "chain": 3}),
    ("errands", {"objects": 2, "chain": 2}),
    ("errands", {"chain": 4}),
    ("errands", {"size": 4}),
    ("errands", {"size": 11}),
    ("errands", {"size": 4, "chain": 2}),
    ("errands", {"pairs": "together"}),
    ("errands", {"attributes": 2, "values": 4}),
    ("errands", {"attributes": 3, "values": 4, "life": 3}),
    ("errands", {"attributes": 5, "values": 8}),
    ("mazes", {"rows": 3, "columns": 3}),
    ("mazes", {"rows": 3, "columns": 11}),
    ("mazes", {"rows": 6, "columns": 6, "room": 8, "pairs": "apart"}),
    ("mazes", {"rows": 7, "columns": 8, "goal_in_task": False}),
    ("mazes", {"rows": 8, "columns": 8}),
    ("mazes", {"rows": 9, "columns": 9}),
    ("mazes", {"rows": 11, "columns": 11, "goal_in_task": False}),
    ("programs", {"length": 1, "modulus": 2}),
    ("programs", {"length": 9}),
    ("programs", {"length": 9, "modulus": 16, "room": 32}),
    ("programs", {"modulus": 5}),
    ("programs", {"silent": True}),
    ("puzzles", {"pairs": "apart"}),
    *(("puzzles", {"moves": moves, "scramble": 2}) for moves in (2, 3, 4, 6, 7, 8)),
    *(("puzzles", {"moves": moves, "scramble": scramble}) for scramble in (1, 3, 4, 5) for moves in (2, 5, 8)),
    ("sequences", {"order": 3, "asked": 4}),
    ("sequences", {"tokens": 7, "room": 7, "runs": 5}),
    ("sequences", {"tokens": 15, "runs": 12, "length": 9, "asked": 1}),
    ("sequences", {"tokens": 16, "order": 1, "runs": 1, "length": 5, "asked": 1}),
    ("sequences", {"order": 1, "life": 2}),
    ("sequences", {"runs": 1, "asked": 1}),
]
EVERY = [*USUAL, *(knobs for knobs in OTHERS if knobs not in USUAL)]


def label(knobs):
    return "-".join((knobs[0], *(f"{name}={value}" for name, value in knobs[1].items())))


def walks(family, batch):
    """Play episodes of held-out tasks: a share of steps is random, and one of the experts chooses the others."""
    rng, shape = np.random.default_rng(batch), (EPISODES, family.horizon)
    wander = np.array([1.0, 0.5, 0.2, 0.0])[np.arange(EPISODES) % 4, None]
    actors = np.where(rng.random(shape) < wander, RANDOM, rng.choice([INFORMED, FAIR], shape))
    start = init(family, heldout_tasks(family, batch), batch)
    return play(family, start._replace(actor=jnp.array(actors, jnp.int32)))


def policy(best, count):
    """Probabilities of sets of actions, as likely each, float [T, count]."""
    found = np.zeros((len(best), count))
    for row, actions in zip(found, best, strict=True):
        row[list(actions)] = 1 / len(actions)
    return found


def disagreements(name, knobs, count):
    """The states along walks from so many instances in which expert or distance is not what plain search finds."""
    family, wrong = envs.make(name, **knobs), []
    for batch in range(-(-count // EPISODES)):
        walk = walks(family, batch)
        state, seen = walk.state, walk.seen
        task = state.now.task if family.attempts > 1 else state.task
        rows = (seen.context, seen.entities, seen.entity_mask, walk.action, task)
        for lane in range(min(EPISODES, count - batch * EPISODES)):
            until = int(walk.running[lane].sum())
            *best, expected = solve(family, Episode(*(leaf[lane, :until] for leaf in rows)))
            assert len(expected) == until > 0
            expected, found = np.array(expected), walk.distance[lane, :until]
            same = found == expected
            for expert, actions in zip((walk.informed, walk.fair), best, strict=True):
                same &= np.abs(expert[lane, :until] - policy(actions, family.num_actions)).max(1) < 1e-6
            if name == "puzzles":  # of what is lost it is only said that it is
                left = family.horizon - np.arange(until)
                same = np.where(expected > left, found > left, same)
            wrong += [(batch, lane, int(step)) for step in np.flatnonzero(~same)]
    return wrong


@pytest.mark.parametrize("knobs", USUAL, ids=label)
def test_experts_agree_with_plain_search(knobs):
    assert disagreements(*knobs, FEW) == []


@pytest.mark.slow
@pytest.mark.parametrize("knobs", EVERY, ids=label)
def test_experts_agree_with_plain_search_at_every_knob(knobs):
    assert disagreements(*knobs, MANY) == []
