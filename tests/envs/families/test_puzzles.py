from itertools import permutations, product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize.envs.contract.players import alone
from incentivize.envs.families.puzzles import FAR, ORDERS, Puzzles, PuzzlesState, _moved, _packed, _unpacked, moves_of

SOLVED = tuple(range(6))
compiled_moves = jax.jit(moves_of)


def distances(moves):
    """Moves to the solved arrangement from every arrangement that can be solved, by breadth-first search backwards."""
    moves = [tuple(map(int, move)) for move in moves]
    found, layer = {SOLVED: 0}, [SOLVED]
    while layer:
        following = []
        for pieces, move in product(layer, moves):
            before = [0] * 6
            for place, source in enumerate(move):  # the arrangement that the move turns into `pieces`
                before[source] = pieces[place]
            if tuple(before) not in found:
                found[tuple(before)] = found[pieces] + 1
                following.append(tuple(before))
        layer = following
    return found


def test_orders_are_all_permutations_and_the_first_moves_nothing():
    assert {tuple(order) for order in ORDERS.tolist()} == set(permutations(range(6)))
    assert tuple(ORDERS[0]) == SOLVED
    assert (np.array(compiled_moves(jnp.array([0, 718], jnp.uint16))) == ORDERS[[1, 719]]).all()


def test_moving_packed_arrangements_is_taking_from_places():
    orders = jnp.array(ORDERS)
    words = _packed(orders)
    assert (_unpacked(words) == orders).all()
    after = jax.jit(lambda words: _unpacked(_moved(words[:, None], words[::7])))(words)
    assert (np.array(after) == ORDERS[:, ORDERS[::7]]).all()


@pytest.mark.parametrize("scramble", [2, 3, 4, 5])
def test_distances_and_experts_are_exact(scramble):
    """From every arrangement from which an episode can still be won."""
    family = Puzzles(scramble=scramble)
    task = jnp.array(family.tasks.train(1))
    found = distances(np.array(compiled_moves(task)))
    near = [pieces for pieces, steps in found.items() if steps < family.horizon][-300:]
    tasks = np.tile(task, (len(near), 1))
    states = PuzzlesState(tasks, tasks, np.array(near, np.uint8))
    steps = np.array(jax.jit(jax.vmap(family.distance))(states))
    assert steps.tolist() == [found[pieces] for pieces in near]
    policies = np.array(jax.jit(jax.vmap(family.expert))(states))
    moves = np.array(compiled_moves(task))
    for pieces, policy in zip(near, policies, strict=True):
        after = [found.get(tuple(np.array(pieces)[move].tolist()), FAR) for move in moves]
        if found[pieces]:
            best = np.array(after) == min(after)
            assert policy == pytest.approx(best / best.sum())


@pytest.mark.parametrize("scramble", [1, 3, 5])
def test_starts_are_as_far_as_they_say(scramble):
    family = Puzzles(scramble=scramble)
    start = jax.jit(jax.vmap(family.init, (0, None)))
    for index in range(3):
        task = jnp.array(family.tasks.heldout(index))
        found = distances(np.array(compiled_moves(task)))
        states = start(jax.random.split(jax.random.key(0), 50), task)
        assert {found[tuple(pieces)] for pieces in np.array(states.pieces).tolist()} == {scramble}


def test_starts_are_the_farthest_where_none_is_as_far_as_asked():
    family, short = Puzzles(moves=8, scramble=5), 0
    start = jax.jit(jax.vmap(family.init, in_axes=(0, None)))
    for index in range(12):
        task = jnp.array(family.tasks.heldout(index))
        found = distances(np.array(compiled_moves(task)))
        states = start(jax.random.split(jax.random.key(index), 20), task)
        expected = min(5, max(found.values()))
        assert {found[tuple(pieces)] for pieces in np.array(states.pieces).tolist()} == {expected}
        short += expected < 5
    assert short


def test_nearly_every_task_has_so_many_instances():
    for family in (Puzzles(), Puzzles(scramble=4), Puzzles(scramble=5), Puzzles(moves=8)):
        counts = []
        for index in range(20):
            found = distances(np.array(compiled_moves(jnp.array(family.tasks.heldout(index)))))
            counts.append(list(found.values()).count(family.scramble))
        assert sum(count < family.instances for count in counts) <= 1
        assert family.instances > 1


def test_moves_that_are_all_alike_still_give_a_puzzle():
    family = Puzzles()
    state = alone(family, "init")(
        jax.random.key(0), jnp.full(5, ORDERS.tolist().index([1, 0, 2, 3, 4, 5]) - 1, jnp.uint16)
    )
    assert int(alone(family, "distance")(state)) == 1


def test_entities_show_where_moves_lead_and_what_they_solve():
    family = Puzzles()
    state = alone(family, "init")(jax.random.key(0), jnp.array(family.tasks.train(0)))
    for action, entity in enumerate(np.array(alone(family, "observe")(state).entities)):
        assert entity[0] == action
        after, _ = alone(family, "step")(state, jnp.int32(action), jax.random.key(0))
        assert entity[1:7].tolist() == after.pieces.tolist()
        solved, outcome = alone(family, "step")(
            state._replace(pieces=jnp.array(entity[7:])), jnp.int32(action), jax.random.key(0)
        )
        assert bool(outcome.succeeded)
        assert solved.pieces.tolist() == list(SOLVED)


def test_a_puzzle_is_described_by_cycles():
    numbers = [ORDERS.tolist().index(order) - 1 for order in ([1, 0, 2, 3, 4, 5], [1, 2, 0, 4, 3, 5])]
    assert Puzzles(moves=2).describe(numbers).endswith("with the moves (12), (123)(45)")
