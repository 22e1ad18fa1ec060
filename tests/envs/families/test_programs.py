import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize.envs.contract.players import alone
from incentivize.envs.families.programs import Programs, results

RULES = [
    lambda a, b: a + 1,
    lambda a, b: -a,
    lambda a, b: b,
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    max,
    lambda a, b: b - a + 1,
]


def trace(task, first):
    """What a program writes and leaves, by an interpreter in plain Python."""
    registers, written = list(map(int, first)), []
    for operation, target, source in np.array(task).reshape(-1, 3):
        registers[target] = RULES[operation](registers[target], registers[source]) % 3
        written.append(registers[target])
    return written, registers


def start(family, index):
    return alone(family, "init")(jax.random.key(index), jnp.array(family.tasks.train(index)))


def play(family, state, answers):
    """Outcomes of giving these answers in turn."""
    outcomes = []
    for answer in answers:
        state, outcome = alone(family, "step")(state, jnp.int32(answer), jax.random.key(0))
        outcomes.append((bool(outcome.succeeded), bool(outcome.failed)))
    return outcomes, state


def test_operations_are_what_they_are_called():
    for operation, rule in enumerate(RULES):
        for a in range(3):
            for b in range(3):
                assert results(3)[operation, a, b] == rule(a, b) % 3


@pytest.mark.parametrize("index", range(5))
def test_programs_are_carried_out(index):
    family = Programs(length=5)
    state = start(family, index)
    written, last = trace(state.task, state.first)
    assert state.answers.tolist() == written
    outcomes, after = play(family, state, written)
    assert outcomes == [(False, False)] * 4 + [(True, False)]
    assert after.registers.tolist() == last
    assert start(Programs(length=5, silent=True), index).answers.tolist() == last


def test_a_wrong_number_fails_where_nothing_overwrites_it_and_is_mended_where_something_does():
    family = Programs(length=3)
    task = jnp.array([0, 0, 0, 2, 1, 2, 0, 0, 0], jnp.uint8)  # x = x+1; y = z; x = x+1
    state = alone(family, "init")(jax.random.key(0), task)
    right = state.answers.tolist()
    wrong = [(answer + 1) % 3 for answer in right]
    mended, _ = play(family, state, [wrong[0], right[1], right[2]])
    assert mended == [(False, False), (False, False), (True, False)]
    assert play(family, state, [right[0], wrong[1]])[0] == [(False, False), (False, True)]
    assert play(family, state, [right[0], right[1], wrong[2]])[0][-1] == (False, True)


def test_the_page_is_turned_to_the_next_instruction_and_padded():
    family = Programs(length=4, room=6)
    state = start(family, 0)
    page = np.array(state.shown).reshape(4, 3) + np.array([1, 0, 0])
    for at in range(4):
        context = np.array(alone(family, "observe")(state._replace(at=jnp.uint8(at))).context)
        assert context[0] == 4 - at
        assert context[1:4].tolist() == state.first.tolist()
        assert (context[7:].reshape(6, 3)[:4] == np.roll(page, -at, axis=0)).all()
        assert (context[7:].reshape(6, 3)[4:] == 0).all()


def test_silent_programs_keep_the_registers_to_themselves():
    family = Programs(length=4, silent=True)
    state = start(family, 1)
    _, after = play(family, state, state.answers.tolist()[:2])
    assert (after.registers == state.first).all()


def test_a_start_near_the_end_has_done_what_came_before():
    family = Programs(length=5)
    task = jnp.array(family.tasks.train(3))
    for seed in range(8):
        state = alone(family, "start_near")(jax.random.key(seed), task, jnp.int32(3))
        done = int(state.at)
        _, expected = trace(task[: 3 * done], state.first)
        assert state.registers.tolist() == expected


def test_a_program_is_described_in_words():
    assert Programs(length=2).describe([3, 0, 1, 6, 2, 0]) == "x = x+y; z = max(z,x)"
