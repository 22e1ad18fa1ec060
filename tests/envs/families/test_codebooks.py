from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs
from incentivize.envs.contract import starts
from incentivize.envs.contract.players import alone
from incentivize.envs.families.codebooks import Codebooks
from tests.helpers.playing import success_and_cost


@pytest.mark.parametrize("variant", ["probe", "try"])
def test_who_knows_the_code_needs_no_study(variant):
    assert success_and_cost(Codebooks(variant=variant), "informed") == (1, 0)


@pytest.mark.parametrize(("study", "known"), [(1, 2), (2, 4), (3, 4)])
def test_the_fair_expert_probes_what_it_can(study, known):
    """A probe halves the possible answers: the optimum is (known / 4) per cue, at a price for every probe."""
    success, cost = success_and_cost(Codebooks(study=study), "fair")
    assert success == pytest.approx((known / 4) ** 3, abs=0.015)
    assert cost == pytest.approx(success * 0.01 * 3 * min(study, 2), abs=1e-6)  # taken off the reward, if there is one


@pytest.mark.parametrize("study", [1, 2, 3])
def test_the_fair_expert_tries_what_it_can(study):
    """Of four answers, `study` tries and the guess after them hit (study + 1) / 4 per cue."""
    success, cost = success_and_cost(Codebooks(variant="try", study=study), "fair")
    assert success == pytest.approx(((study + 1) / 4) ** 3, abs=0.015)
    assert cost == 0


def test_study_reveals_what_is_shown_and_the_exam_obeys_the_task():
    family = Codebooks(study=2)
    state = alone(family, "init")(jax.random.key(0), jnp.array(family.tasks.train(0)))
    state = state._replace(shown=(state.task + 1) % 4)
    for place in range(3):
        bits = []
        for _ in range(2):
            state, outcome = alone(family, "step")(state, jnp.int32(4), jax.random.key(0))
            assert float(outcome.cost) == 0  # a probe is paid from the prize, where there is one
            bits.append(int(alone(family, "observe")(state).context[2]) - 1)
        assert bits[0] + 2 * bits[1] == int(state.shown[state.studied[place]])
    for turn in range(3):
        observation = alone(family, "observe")(state)
        assert int(observation.context[0]) == 1
        cue = int(observation.context[1])
        assert cue == int(state.studied[state.asked[turn]])
        state, outcome = alone(family, "step")(state, jnp.int32(state.task[cue]), jax.random.key(0))
        assert (bool(outcome.succeeded), bool(outcome.failed)) == (turn == 2, False)
        assert float(outcome.cost) == pytest.approx(0.06 * (turn == 2))


def test_the_exam_has_the_order_of_study_unless_it_is_mixed():
    task = jnp.zeros(20, jnp.uint8)
    keys = jax.random.split(jax.random.key(0), 2000)
    for mixed in (False, True):
        asked = jax.jit(jax.vmap(Codebooks(mixed=mixed).init, in_axes=(0, None)))(keys, task).asked
        assert {tuple(row) for row in asked.tolist()} == (set(permutations(range(3))) if mixed else {(0, 1, 2)})
    assert success_and_cost(Codebooks(mixed=True), "fair")[0] == 1


def test_a_wrong_answer_in_the_exam_fails_and_one_in_study_does_not():
    family = Codebooks()
    state = alone(family, "init")(jax.random.key(0), jnp.array(family.tasks.train(0)))
    for _ in range(6):
        state, outcome = alone(family, "step")(state, jnp.int32(0), jax.random.key(0))
        assert not outcome.failed
        assert int(alone(family, "observe")(state).context[2]) == 0  # nothing asked, nothing found out
    wrong = (state.task[state.studied[state.asked[0]]] + 1) % 4
    assert bool(alone(family, "step")(state, wrong.astype(jnp.int32), jax.random.key(0))[1].failed)


def test_disjoint_codes_teach_nothing():
    family = envs.make("codebooks", "disjoint")
    assert success_and_cost(family, "fair")[0] == pytest.approx(1 / 64, abs=0.006)
    states = starts(family, 2000)
    assert float((states.shown == states.task).mean()) == pytest.approx(0.25, abs=0.02)
    assert len(np.unique(np.array(states.shown), axis=0)) == 2000
