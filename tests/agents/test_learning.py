"""Both arms on probe environments whose values are known by hand."""

import jax
import numpy as np
import pytest

from incentivize import rewards
from incentivize.agents import cloning, networks, ppo
from incentivize.agents import learner as lr
from incentivize.agents.encoders import ENCODERS
from incentivize.agents.teachers import TEACHERS
from incentivize.envs.wrappers.mixture import Mixture
from tests.helpers import compiled
from tests.helpers.compiled import POOL
from tests.helpers.probes import Probe, Ruled, seen

PROBE = Ruled()
HYPER = compiled.hyper(learning_rate=3e-3, gamma=0.5, entropy_coef=0.001)


def arm(teacher):
    """Return the options of an arm: PPO, or cloning of the teacher."""
    return {"algorithm": cloning.CLONING, "teacher": TEACHERS[teacher]} if teacher else {"algorithm": ppo.PPO}


def trained(pool, teacher=None, kind="mlp", updates=60, reward="sparse"):
    network = networks.make(kind, PROBE, width=16)
    sizes = {"num_envs": 32, "steps": 8, "epochs": 4, "minibatches": 2}
    setup = lr.Setup(PROBE, network, reward=rewards.make(reward), **sizes, **arm(teacher))
    state = compiled.init(setup, pool, np.uint32(0))
    state, metrics = compiled.train(setup, state, HYPER, pool, np.int32(updates))
    memory = network.initial_memory()
    return lambda slot, step=0: compiled.apply(network, state.params, seen(slot, step), memory)[:2], metrics


def chances(logits):
    """Return the probabilities of actions."""
    weights = np.exp(np.asarray(logits) - np.max(logits))
    return weights / weights.sum()


@pytest.mark.parametrize("kind", ENCODERS)
def test_ppo_learns_a_constant_value(kind):
    apply, _ = trained(PROBE.pool(pays="always"), None, kind)
    assert [float(apply(slot)[1]) for slot in (0, 1)] == pytest.approx([1, 1], abs=0.1)


def test_ppo_learns_a_value_that_depends_on_what_is_seen():
    apply, _ = trained(PROBE.pool(pays="seen"))
    assert [float(apply(slot)[1]) for slot in (0, 1)] == pytest.approx([0, 1], abs=0.05)


def test_ppo_discounts_a_delayed_reward():
    apply, _ = trained(PROBE.pool(pays="always", steps=2))
    assert [float(apply(1, step)[1]) for step in (0, 1)] == pytest.approx([0.5, 1], abs=0.05)


def test_ppo_bootstraps_when_time_runs_out():
    """An endless toll of 1 is worth -1 / (1 - gamma) = -2; without bootstrapping it would be -1.25 on average."""
    apply, _ = trained(PROBE.pool("toll"), updates=400)
    assert [float(apply(slot)[1]) for slot in (0, 1)] == pytest.approx([-2, -2], abs=0.15)


ARMS = [
    pytest.param(pays, teacher, kind, marks=() if pays == "match" and usual else pytest.mark.slow)
    for pays in ("match", "action")
    for teacher in (None, "dagger", "bc")
    for kind in ENCODERS
    for usual in (kind == "mlp" or teacher is None,)
]


@pytest.mark.parametrize(("pays", "teacher", "kind"), ARMS)
def test_every_arm_finds_the_right_action(pays, teacher, kind):
    apply, metrics = trained(PROBE.pool(pays), teacher, kind)
    for slot in (0, 1):
        right = 1 if pays == "action" else slot
        assert chances(apply(slot)[0])[right] > 0.95
    assert float(metrics["successes"] / metrics["episodes"]) > 0.8


def test_a_random_reward_teaches_nothing():
    _, metrics = trained(PROBE.pool(pays="match"), reward="random", updates=120)
    assert 0.35 < float(metrics["successes"] / metrics["episodes"]) < 0.65


@pytest.mark.parametrize("teacher", [None, pytest.param("dagger", marks=pytest.mark.slow)])  # learns alone above
def test_one_agent_learns_every_family_of_a_mixture(teacher):
    probes = Mixture((Probe(pays="match"), Probe(pays="action")), permuted=2)
    network = networks.make("mlp", probes, width=16)
    sizes = {"num_envs": 32, "steps": 8, "epochs": 4, "minibatches": 2}
    setup = lr.Setup(probes, network, reward=rewards.make("sparse"), **sizes, **arm(teacher))
    state = compiled.init(setup, POOL, np.uint32(0))
    state, _ = compiled.train(setup, state, HYPER, POOL, np.int32(100))
    tasks = np.zeros((20, 2), np.uint8)
    for member in probes.members:
        counts = compiled.evaluate_network(member, network, state.params, tasks, jax.random.key(1), 10)
        assert int(counts.successes.sum()) > 180


def test_soft_labels_are_matched():
    apply, _ = trained(PROBE.pool(pays="always"), "dagger")
    assert chances(apply(1)[0])[0] == pytest.approx(0.5, abs=0.05)
