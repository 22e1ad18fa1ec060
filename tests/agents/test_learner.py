from dataclasses import replace
from functools import cache, partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import rewards
from incentivize.agents import cloning, networks, ppo
from incentivize.agents import learner as lr
from incentivize.agents import rollout as ro
from incentivize.agents.teachers import TEACHERS
from incentivize.envs.tasks import make_pool
from incentivize.envs.wrappers.mixture import Mixture
from tests.helpers import compiled
from tests.helpers.compiled import POOL
from tests.helpers.probes import AnyLength, Corridor, Probe, seen


def small_setup(algorithm=ppo.PPO, **options):
    family = Corridor()
    network = networks.make("mlp", family, width=8)
    return lr.Setup(family, network, algorithm, rewards.make("sparse"), **({"num_envs": 16, "steps": 24} | options))


def taught(teacher="dagger", **options):
    """Return the setup of a taught arm."""
    return small_setup(algorithm=cloning.CLONING, teacher=TEACHERS[teacher], **options)


def rewarded():
    """Return the setup of an incentivized arm whose every hyperparameter takes effect."""
    return replace(small_setup(), reward=rewards.make("sparse+hunger+shaped+taste"))


@cache
def programs(setup):
    """Return `init` and `train` of a setup, compiled once for all tests, and a list that grows with every trace."""
    traces = []

    def init(*args):
        traces.append("init")
        return lr.init(setup, *args)

    def train(*args):
        traces.append("train")
        return lr.train(setup, *args)

    return jax.jit(init), jax.jit(train), traces


@cache
def collected(setup):
    """Return a fresh run and its first rollout, as numpy arrays; setups that differ in their teachers begin alike."""
    state = compiled.init(replace(setup, teacher=None, algorithm=ppo.PPO), POOL, np.uint32(0))
    rollout = compiled.collect(setup, state, POOL, state.key, compiled.HYPER)[1]
    return state, jax.device_get(rollout)


@partial(jax.jit, static_argnums=0)
def skewed_rollout(setup, pool, seed, hyper):
    """Return the first rollout of a policy that prefers the second of two actions."""
    state = lr.init(setup, pool, seed)
    heads = state.params["heads"]["params"]
    skewed = heads["policy"] | {"bias": jnp.array([0.0, 1.5])}
    params = state.params | {"heads": {"params": heads | {"policy": skewed}}}
    return lr.collect(setup, state._replace(params=params), pool, state.key, hyper)[1]


def test_actions_are_drawn_from_the_policy_they_are_weighed_by():
    """Actions are as frequent as their recorded probability."""
    probe = Probe(pays="always")
    setup = lr.Setup(
        probe, networks.make("mlp", probe, width=8), ppo.PPO, rewards.make("sparse"), num_envs=512, steps=40
    )
    rollout = jax.device_get(skewed_rollout(setup, POOL, np.uint32(0), compiled.HYPER))
    expected = float(np.exp(rollout.log_prob[rollout.action == 1]).mean())
    assert expected == pytest.approx(1 / (1 + np.exp(-1.5)), abs=1e-3)
    assert float((rollout.action == 1).mean()) == pytest.approx(expected, abs=0.01)


def test_gae_equals_a_loop():
    rng = np.random.default_rng(0)
    steps, gamma, lam = 50, 0.9, 0.8
    reward, value, following = rng.normal(size=(3, steps))
    terminated = rng.random(steps) < 0.1
    truncated = ~terminated & (rng.random(steps) < 0.1)
    next_value = np.where(terminated, 0, following)
    expected, later = np.zeros(steps), 0.0
    for t in reversed(range(steps)):
        delta = reward[t] + gamma * next_value[t] - value[t]
        later = delta + gamma * lam * later * (not (terminated[t] or truncated[t]))
        expected[t] = later
    advantages = jax.jit(ppo.gae)(*map(jnp.float32, (reward, value, next_value)), terminated | truncated, gamma, lam)
    np.testing.assert_allclose(advantages, expected, atol=1e-5)


def test_advantages_of_a_rollout_equal_a_loop():
    _, rollout = collected(small_setup())
    assert rollout.truncated_after.any()
    assert rollout.terminated_after.any()
    targets = jax.device_get(jax.jit(ppo.compute_advantages)(rollout, compiled.hyper(gamma=0.9, lam=0.8)))
    reward, value, following = (np.array(x) for x in (rollout.reward, rollout.value, rollout.next_value))
    ended = np.array(rollout.terminated_after | rollout.truncated_after)
    later = np.zeros(reward.shape[1])
    for t in reversed(range(len(reward))):
        later = reward[t] + 0.9 * following[t] - value[t] + 0.9 * 0.8 * later * ~ended[t]
        np.testing.assert_allclose(targets.advantage[t], later, atol=1e-5)
        np.testing.assert_allclose(targets.target[t], later + value[t], atol=1e-5)


def test_next_values_follow_termination_truncation_and_time():
    setup = small_setup()
    state, rollout = collected(setup)
    assert rollout.truncated_after.any()
    assert rollout.terminated_after.any()
    assert (rollout.next_value[rollout.terminated_after] == 0).all()
    running = ~(rollout.terminated_after | rollout.truncated_after)[:-1]
    assert (rollout.next_value[:-1] == rollout.value[1:])[running].all()
    # A probe that pays never shows the same from its third step on: so are the values of final observations.
    same = Probe(pays="never", limit=3)
    setup = lr.Setup(same, networks.make("mlp", same, width=8), ppo.PPO, rewards.make("sparse"), num_envs=4, steps=10)
    state, rollout = collected(setup)
    for t, n in zip(*np.nonzero(np.array(rollout.truncated_after)), strict=True):
        assert int(rollout.observation.context[t, n, 1]) == 2
        slot = int(rollout.observation.context[t, n, 0])
        expected = compiled.apply(setup.network, state.params, seen(slot, 2), ())[1]
        assert float(rollout.next_value[t, n]) == pytest.approx(float(expected), abs=1e-5)
    assert int(rollout.truncated_after.sum()) == 4 * 3


def test_the_expert_acts_in_behaviour_cloning_and_the_student_in_dagger():
    """`test_frozen_demonstrations_are_so_many_and_always_the_same` says as much of demonstrations."""
    for teacher, rate in (("bc", 1.0), ("dagger", 0.6)):
        _, rollout = collected(taught(teacher))
        ended = rollout.terminated_after | rollout.truncated_after
        success = float(rollout.succeeded.sum() / ended.sum())
        assert success == 1 if rate == 1 else success < rate
        assert rollout.labels.shape == (24, 16, 2)
        assert np.allclose(rollout.labels.sum(-1), 1)


def test_the_cloning_loss_is_the_cross_entropy_against_the_labels():
    _, rollout = collected(taught())
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(2, 24, 16, 2))
    labels = np.where(labels > 0, labels, 0) + np.eye(2)[0]
    labels /= labels.sum(-1, keepdims=True)
    rollout = rollout._replace(labels=labels)
    loss, _ = jax.jit(cloning.loss)(logits, np.zeros((24, 16), np.float32), rollout, (), compiled.HYPER)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    assert float(loss) == pytest.approx(-(labels * log_probs).sum(-1).mean(), rel=1e-5)


@pytest.mark.parametrize(
    "setup", [rewarded(), taught(), taught("demonstrations")], ids=["ppo", "dagger", "demonstrations"]
)
def test_one_compilation_for_all_pools_seeds_and_rates(setup):
    begin, train, traces = programs(setup)
    traces.clear()
    losses = []
    for pool, seed, rate, updates in [
        (make_pool(1), 0, 1e-3, 1),
        (make_pool(20, seed=4), 1, 1e-2, 2),
        (make_pool(1, split="heldout", first=3), 2, 1e-4, 1),
        (make_pool(None), 3, 1e-3, 3),
    ]:
        hyper = compiled.hyper(learning_rate=rate)
        _, metrics = train(begin(pool, np.uint32(seed), hyper), hyper, pool, np.int32(updates))
        losses.append(float(metrics["loss"]))
    assert len(set(losses)) == 4
    assert len(traces) == len(set(traces))


def setup_for(knob):
    """Return a setup in which the hyperparameter `knob` takes effect."""
    if knob in ("noise", "demonstrations"):
        return taught("dagger" if knob == "noise" else "demonstrations")
    return rewarded()


PLAIN = {"learning_rate": 1e-2, "clip": 0.05, "max_grad_norm": 0.05, "weight_decay": 0.1, "noise": 0.5}
PLAIN |= {"taste_steps": 1e3, "entropy_coef": 0.1, "entropy_coef_final": 0.01, "entropy_steps": 1e3}
PLAIN |= {"demonstrations": 8.0}


@cache
def parameters_after(setup, halved=None):
    """Return the parameters after two updates: effects of schedules, and of starting states, show in the second."""
    own = PLAIN if halved is None else PLAIN | {halved: getattr(lr.Hyper(**PLAIN), halved) * 0.5}
    begin, train, _ = programs(setup)
    hyper = compiled.hyper(**own)
    state, _ = train(begin(POOL, np.uint32(0), hyper), hyper, POOL, np.int32(2))
    return jax.tree.leaves(jax.device_get(state.params))


@pytest.mark.parametrize("knob", lr.Hyper._fields)
def test_every_hyperparameter_does_something(knob):
    setup = setup_for(knob)
    parameters = parameters_after(setup), parameters_after(setup, knob)
    assert any((a != b).any() for a, b in zip(*parameters, strict=True))


def test_training_in_pieces_equals_training_at_once():
    begin, train, _ = programs(rewarded())
    hyper = compiled.HYPER
    start = begin(POOL, np.uint32(0), hyper)
    once, _ = train(start, hyper, POOL, np.int32(5))
    first, _ = train(start, hyper, POOL, np.int32(2))
    pieces, _ = train(first, hyper, POOL, np.int32(3))
    chex.assert_trees_all_equal(once.params, pieces.params)
    assert (jax.random.key_data(once.key) == jax.random.key_data(pieces.key)).all()


def test_runs_side_by_side_equal_runs_alone():
    setup, hyper = rewarded(), compiled.HYPER
    begin, train, _ = programs(setup)
    pools = [make_pool(3), make_pool(None)]
    fresh = [begin(pool, np.uint32(seed), hyper) for seed, pool in enumerate(pools)]

    @jax.jit
    def side_by_side(pools, states, updates):
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *zip(states, pools, strict=True))
        return jax.vmap(lambda state, pool: lr.train(setup, state, hyper, pool, updates)[0].params)(*stacked)

    together = jax.device_get(side_by_side(pools, fresh, np.int32(2)))
    for lane, pool in enumerate(pools):
        alone, _ = train(fresh[lane], hyper, pool, np.int32(2))
        agent = jax.tree.map(lambda leaf, lane=lane: leaf[lane], together)
        chex.assert_trees_all_close(agent, alone.params, atol=1e-5)


def test_a_mixture_has_equal_shares_and_collects_every_family_as_if_alone():
    mixture = Mixture((Corridor(), AnyLength()))
    network = networks.make("mlp", mixture, width=8)
    setup = lr.Setup(mixture, network, ppo.PPO, rewards.make("sparse"), num_envs=8, steps=12)
    state, rollout = collected(setup)
    assert (rollout.observation.context[..., 0] == np.repeat(np.arange(2), 4)).all()

    @jax.jit
    def alone(state, pool, hyper):
        rollouts = []
        for config, actors, key in zip(setup.actor_configs, state.actors, jax.random.split(state.key), strict=True):
            key_bank, key_rollout = jax.random.split(key)
            bank = lr.refill(actors.bank, lr.start_sampler(config.family, pool), key_bank)
            own = ro.collect(config, state.params, actors._replace(bank=bank), key_rollout, 12, hyper)[1]
            rollouts.append((own.observation, own.succeeded))
        return rollouts

    for number, own in enumerate(jax.device_get(alone(state, POOL, compiled.HYPER))):
        share = rollout.observation, rollout.succeeded
        share = jax.tree.map(lambda leaf, number=number: leaf[:, 4 * number : 4 * number + 4], share)
        chex.assert_trees_all_equal(share, own)
    three = Mixture((Corridor(), AnyLength(), Probe(pays="match")))
    with pytest.raises(ValueError, match=r"num_envs = 10: must be a multiple of 3 families\. Round it up"):
        lr.Setup(three, network, ppo.PPO, rewards.make("sparse"), num_envs=10)
