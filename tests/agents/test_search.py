"""Search at test time, on probes whose best plans are known by hand."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import pytest

from incentivize import envs
from incentivize.agents import networks
from incentivize.agents.evaluate import evaluate, policy_of
from incentivize.agents.search import search_policy
from incentivize.envs.family import outcome
from incentivize.envs.wrappers.controls import CONTROLS
from incentivize.envs.wrappers.lives import Lives
from incentivize.envs.wrappers.mixture import Mixture
from tests.helpers.probes import Probe

KEY = jax.random.key(0)
TASKS = jnp.zeros((4, 2), jnp.uint8)


class Opinion:
    """A network that returns its parameters: the logits at an episode's first step, later 0; the value at every step.

    It does not mask illegal actions.
    """

    def apply(self, params, observation, memory):
        logits, value = params
        return jnp.where(observation.context[1] == 0, jnp.array(logits), 0.0), jnp.asarray(value), memory + 1

    def initial_memory(self):
        return jnp.int32(0)


@dataclass(frozen=True)
class Choice(Probe):
    """A probe decided by the first action: 1 succeeds if 1 follows; 0 is wrong, though steps after it succeed.

    Attributes:
        astray: effect of 0. "fails": it fails at once, and all steps after it would succeed. "late": it leads to
            success after two more steps, whatever they are.
    """

    astray: str = "fails"

    def step(self, state, action, key):
        first = state.step == 0
        seen = jnp.where(first, action, state.seen).astype(jnp.uint8)  # the choice
        after = state._replace(seen=seen, step=state.step + jnp.uint8(1))
        right = (seen == 1) & ~first & (action == 1)
        later = (seen == 0) & (state.step >= (1 if self.astray == "fails" else 2))
        wrong = (first & (action == 0)) if self.astray == "fails" else False
        return after, outcome(right | later, wrong | ((seen == 1) & ~first & (action == 0)))


@dataclass(frozen=True)
class Barred(Probe):
    """A probe whose successful action is illegal."""

    def observe(self, state):
        return super().observe(state)._replace(action_mask=jnp.array([True, False]))


@dataclass(frozen=True)
class Luck(Probe):
    """A probe that succeeds half the time, whatever the action."""

    def step(self, state, action, key):
        won = jax.random.bernoulli(key)
        return state, outcome(won, ~won)


def thinker(family, simulations, **own):
    """Return a function that searches with an opinion: (logits, value, elapsed) -> (logits [A], memory)."""

    @jax.jit
    def think(opinion, elapsed):
        policy = search_policy(family, Opinion(), opinion, simulations, gamma=0.9, **own)
        return policy(family.init(KEY, TASKS[0]), elapsed, jnp.int32(0), KEY)

    return lambda logits, value=0.0, elapsed=0: think((jnp.array(logits), jnp.float32(value)), jnp.int32(elapsed))


def played(family, instances, policy, memory):
    return jax.jit(lambda key: evaluate(family, policy, memory, TASKS, key, instances))(KEY)


def test_two_simulations_see_both_answers():
    """One answer is worth 1, the other 0, whatever the network's value after the end: (50 + 1 visit) x 1 in logits."""
    probe = Probe(pays="match")
    slot = int(probe.init(KEY, TASKS[0]).seen)
    logits, memory = thinker(probe, 2)((0.0, 2.0), value=1.0)
    assert float(logits[slot] - logits[1 - slot]) == pytest.approx(51 + 2 * (2 * slot - 1), abs=1e-3)
    assert int(memory) == 1  # of the step taken: simulated steps leave no memory


def test_one_simulation_that_fails_speaks_for_the_other_action():
    """The network's value is 1. The tried action is worth 0, the other the mean of value and result: 1/2."""
    probe = Probe(pays="match")
    slot = int(probe.init(KEY, TASKS[0]).seen)
    logits, _ = thinker(probe, 1)(jax.nn.one_hot(1 - slot, 2), value=1.0)
    assert float(logits[slot] - logits[1 - slot]) == pytest.approx(51 / 2 - 1, abs=1e-3)


def test_no_simulations_are_the_network_alone():
    probe, opinion = Probe(pays="match"), ((0.0, 1.0), 0.0)
    alone, none = (
        played(probe, 50, policy, jnp.int32(0))
        for policy in (policy_of(probe, Opinion(), opinion), search_policy(probe, Opinion(), opinion, 0, gamma=0.9))
    )
    assert [leaf.tolist() for leaf in none] == [leaf.tolist() for leaf in alone]


def test_an_untrained_network_wins_by_thinking():
    """Without search, sampling 1 twice takes luck; a search has seen all four sequences."""
    family = Choice()
    network = networks.make("mlp", family, width=8)
    params = jax.jit(network.init)(jax.random.key(1))
    without, with_search = (
        played(family, 25, search_policy(family, network, params, simulations, gamma=0.9), ()) for simulations in (0, 8)
    )
    assert 10 < int(without.successes.sum()) < 50
    assert with_search.successes_greedy.tolist() == with_search.successes.tolist() == [25] * 4


def test_nothing_counts_after_a_failure():
    """Were successes after the failure counted, both ways would be worth the same, and the prior would decide."""
    logits, _ = thinker(Choice(), 16)((20.0, 0.0))
    assert int(jnp.argmax(logits)) == 1


def test_nothing_counts_beyond_the_time_limit():
    """The prior's choice succeeds after three steps for sure, unless time runs out after two."""
    think = thinker(Choice(astray="late", limit=3), 16)
    assert [int(jnp.argmax(think((20.0, 0.0), elapsed=elapsed)[0])) for elapsed in (0, 1)] == [0, 1]


def test_values_are_believed_between_0_and_1_or_not_at_all():
    """One simulation of an indifferent step: logits show the values alone, and the prior if values are 0."""
    probe, prior = Probe(pays="always", steps=3), (0.0, 1.0)
    believing, doubting = thinker(probe, 1), thinker(probe, 1, values=False)
    high, one, zero, low = (believing(prior, value)[0].tolist() for value in (7.0, 1.0, 0.0, -7.0))
    assert high == one != zero == low == doubting(prior, 7.0)[0].tolist()
    assert zero == pytest.approx(jax.nn.log_softmax(jnp.array(prior)).tolist(), abs=1e-5)


@dataclass(frozen=True)
class Dawdle(Probe):
    """A probe in which action 1 succeeds and 0 does nothing."""

    def step(self, state, action, key):
        return state, outcome(action == 1)


def test_a_search_looks_beyond_an_attempt():
    """The network's value is 1 after either action. In a single attempt, success is worth 1 and no more."""
    for life, gained in ((2, 1.0), (1, 1 - 0.9)):
        logits, _ = thinker(Lives(Dawdle(), life), 2)((0.0, 0.0), value=1.0)
        assert float(logits[1] - logits[0]) == pytest.approx(51 * gained, abs=1e-3)


def test_a_search_hopes_for_one_success_in_every_attempt_and_for_no_more():
    hopes = [thinker(Lives(Probe(steps=3), 2), 1)((0.0, 1.0), value)[0].tolist() for value in (1.0, 2.0, 7.0)]
    assert hopes[0] != hopes[1] == hopes[2]


def test_illegal_actions_are_never_picked_nor_drawn():
    logits, _ = thinker(Barred(pays="action"), 8)((0.0, 5.0))
    assert logits.tolist() == [0.0, -jnp.inf]


def test_luck_in_the_mind_is_not_luck_in_the_world():
    policy = search_policy(Luck(), Opinion(), ((0.0, 0.0), 0.0), 4, gamma=0.9)
    counts = played(Luck(), 250, policy, jnp.int32(0))
    assert float(counts.successes.mean()) / 250 == pytest.approx(0.5, abs=0.05)


def test_a_search_is_refused_where_it_would_tell_the_rule():
    def refused(family, why):
        search_policy(family, Opinion(), (), 0, gamma=0.9)  # without simulations nothing is revealed
        with pytest.raises(
            ValueError, match=f"^simulations = 4: a search with the true model of .* would reveal {why}.*Set it to 0"
        ):
            search_policy(family, Opinion(), (), 4, gamma=0.9)

    errands = envs.make("errands")
    refused(envs.make("codebooks"), "the rule")
    refused(envs.make("codebooks", "disjoint"), "the rule")
    refused(envs.make("codebooks", life=2), "the rule")
    refused(envs.make("errands", "shuffled", life=2), "the true task")
    refused(Lives(envs.make("errands", "shuffled"), 2), "the true task")
    for name, why in (("blind", "the rule"), ("shuffled", "the true task")):
        refused(envs.make("errands", name), why)
        refused(CONTROLS["duplicated"](envs.make("errands", name)), why)
        refused(Mixture((errands, envs.make("errands", name))).members[1], why)
    for name in ("duplicated", "leak"):
        search_policy(envs.make("errands", name, life=2), Opinion(), (), 4, gamma=0.9)
    with pytest.raises(ValueError, match="simulations = -1: must be at least 0"):
        search_policy(errands, Opinion(), (), -1, gamma=0.9)
