from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs
from incentivize.agents import networks
from incentivize.envs.family import outcome
from incentivize.envs.wrappers.lives import Lives
from tests.helpers import compiled
from tests.helpers.probes import Probe

KEY = jax.random.key(0)
FIVE, FIFTY = np.zeros((5, 2), np.uint8), np.zeros((50, 2), np.uint8)


def evaluate(family, policy, tasks, *sizes, **more):
    """Return the counts of a policy without a memory, as numpy arrays."""
    return jax.device_get(compiled.evaluate(family, policy, (), tasks, KEY, *sizes, **more))


def right(state, elapsed, memory, key):
    """Repeat the slot, which the probe pays for."""
    return 20 * jax.nn.one_hot(state.seen, 2), memory


def test_a_perfect_and_a_perfectly_wrong_policy():
    tasks = FIVE
    counts = evaluate(Probe(pays="match"), right, tasks, 7)
    assert counts.successes_greedy.tolist() == counts.successes.tolist() == [7] * 5

    def wrong(*args):
        return -right(*args)[0], ()

    assert evaluate(Probe(pays="match"), wrong, tasks, 7).successes_greedy.tolist() == [0] * 5


def wavering(state, elapsed, memory, key):
    return jnp.array([0.0, 0.1]), memory


def test_greedy_and_sampled_differ_where_the_policy_wavers():
    counts = evaluate(Probe(pays="action"), wavering, FIFTY, 20)
    assert (counts.successes_greedy == 20).all()
    assert float(counts.successes.mean()) == pytest.approx(10.5, abs=1)


def test_only_the_first_end_counts():
    """A failure ends the episode, even if later steps would succeed."""

    def first_wrong_then_right(state, elapsed, memory, key):
        return 20 * jax.nn.one_hot(state.step, 2), memory

    counts = evaluate(Probe(pays="action"), first_wrong_then_right, FIVE, 4)
    assert counts.successes_greedy.tolist() == [0] * 5


def test_the_best_of_three_attempts():
    """Three attempts at even chances all fail once in eight times. More attempts do not change the first."""
    probe, tasks = Probe(pays="action"), FIFTY

    def even(state, elapsed, memory, key):
        return jnp.zeros(2), memory

    once, thrice = (evaluate(probe, even, tasks, 40, attempts) for attempts in (1, 3))
    assert (once.successes_best == once.successes).all()
    assert (thrice.successes == once.successes).all()
    assert (thrice.successes_greedy == once.successes_greedy).all()
    assert float(thrice.successes_best.mean()) / 40 == pytest.approx(1 - 1 / 8, abs=0.02)


@dataclass(frozen=True)
class Walk(Probe):
    """A walk: action 1 is a step ahead, 0 is none; two steps ahead succeed. At most six steps."""

    limit: int = 6

    def step(self, state, action, key):
        after = state._replace(step=state.step + action.astype(jnp.uint8))
        return after, outcome(after.step == 2)

    def distance(self, state):
        return jnp.int32(2) - state.step


def test_steps_are_counted_where_the_first_attempt_succeeded():
    def every_other(state, elapsed, memory, key):
        """Step ahead at every other step, from the second on, if the slot is 1; else never."""
        return 40 * jax.nn.one_hot(state.seen * (elapsed % 2), 2), memory

    counts = evaluate(Walk(), every_other, FIVE, 20, attempts=2)
    assert 0 < int(counts.successes.min()) < 20
    assert (counts.steps == 4 * counts.successes).all()
    assert (counts.expert_steps == 2 * counts.successes).all()


@dataclass(frozen=True)
class Somewhere(Walk):
    """A walk that begins one or two steps from success."""

    def init(self, key, task):
        return super().init(key, task)._replace(step=jax.random.bernoulli(key, 0.3).astype(jnp.uint8))


def test_attempts_of_a_life_are_counted_one_by_one_and_the_last_is_the_result():
    def right_from_the_second_on(state, elapsed, memory, key):
        slot = jnp.where(state.attempt == 0, 1 - state.now.seen, state.now.seen)
        return 20 * jax.nn.one_hot(slot, 2), memory

    family, tasks = Lives(Probe(pays="match"), 3), FIVE
    counts = evaluate(family, right_from_the_second_on, tasks, 7)
    assert counts.by_attempt.tolist() == [[0, 7, 7]] * 5
    assert counts.successes_greedy.tolist() == counts.successes.tolist() == [7] * 5
    counts = evaluate(Lives(Probe(pays="match"), 1), right_from_the_second_on, tasks, 7)
    assert counts.by_attempt.tolist() == [[0]] * 5
    assert evaluate(Probe(pays="match"), right, tasks, 7).by_attempt.tolist() == [[7]] * 5


def test_steps_are_those_of_the_last_attempt():
    """The last attempt has a start of its own, one or two steps from success."""

    def ahead(state, elapsed, memory, key):
        return jnp.array([0.0, 40.0]), memory

    counts = evaluate(Lives(Somewhere(), 3), ahead, FIVE, 20)
    assert counts.by_attempt.tolist() == [[20] * 3] * 5
    assert (counts.steps == counts.expert_steps).all()
    assert 20 < int(counts.steps.min()) <= int(counts.steps.max()) < 40


def test_what_a_policy_draws_while_thinking_is_new_at_every_step_and_in_every_episode():
    def guess(state, elapsed, memory, key):
        return 40 * jax.nn.one_hot(jax.random.bernoulli(key).astype(jnp.int32), 2), memory

    tasks = FIFTY
    one_step, two_steps = (evaluate(probe, guess, tasks, 40, 2) for probe in (Probe(pays="action"), Walk(limit=2)))
    assert float(one_step.successes.mean()) / 40 == pytest.approx(1 / 2, abs=0.03)
    assert float(one_step.successes_best.mean()) / 40 == pytest.approx(3 / 4, abs=0.03)
    assert float(two_steps.successes.mean()) / 40 == pytest.approx(1 / 4, abs=0.03)


def test_the_instances_do_not_depend_on_the_policy():
    family = envs.make("errands", attributes=3, values=4)
    network = networks.make("mlp", family, width=8)
    tasks = np.stack([family.tasks.heldout(place % 8) for place in range(20)])
    params = compiled.parameters(network, jax.random.key(1))
    first, again = (compiled.evaluate_network(family, network, params, tasks, KEY, 3) for _ in range(2))
    assert first.successes.tolist() == again.successes.tolist()
    assert 0 <= int(first.successes_greedy.min()) <= int(first.successes_greedy.max()) <= 3


def test_tasks_after_those_that_are_left_out_meet_the_instances_that_they_would_have_met():
    tasks, probe = np.zeros((6, 2), np.uint8), Probe(pays="seen")  # an instance decides alone
    whole = evaluate(probe, wavering, tasks, 50)
    part = evaluate(probe, wavering, tasks[4:], 50, 1, 4)
    assert part.successes_greedy.tolist() == whole.successes_greedy[4:].tolist()
    assert len(set(whole.successes_greedy.tolist())) > 1
