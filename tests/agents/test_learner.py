from dataclasses import replace
from functools import lru_cache, partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs, rewards
from incentivize.agents import cloning, networks, ppo
from incentivize.agents import learner as lr
from incentivize.agents import rollout as ro
from incentivize.agents.teachers import TEACHERS
from incentivize.envs.tasks import make_pool
from incentivize.envs.wrappers.mixture import Mixture
from tests.helpers.probes import Probe, seen

POOL = make_pool(None)


def small_setup(name="errands", kind="relational", algorithm=ppo.PPO, **options):
    knobs = {"errands": {"attributes": 3, "values": 4}, "mazes": {"rows": 3, "columns": 5}}[name]
    family = envs.make(name, **knobs)
    network = networks.make(kind, family, width=16)
    return lr.Setup(family, network, algorithm, rewards.make("sparse"), **({"num_envs": 16, "steps": 24} | options))


def taught(teacher="dagger", **options):
    """Return the setup of a taught arm."""
    return small_setup(algorithm=cloning.CLONING, teacher=TEACHERS[teacher], **options)


@lru_cache
def programs(setup):
    """Return `init` and `update` of a setup, compiled once for all tests."""
    return jax.jit(partial(lr.init, setup)), jax.jit(partial(lr.update, setup))


def collected(setup, seed=0):
    """Return a fresh run and its first rollout."""

    @jax.jit
    def program():
        state = lr.init(setup, POOL, jnp.uint32(seed))
        return state, lr.collect(setup, state, POOL, state.key, lr.Hyper())[1]

    return program()


def test_actions_are_drawn_from_the_policy_they_are_weighed_by():
    """Actions are as frequent as their recorded probability."""
    probe = Probe(pays="always")
    setup = lr.Setup(
        probe, networks.make("mlp", probe, width=8), ppo.PPO, rewards.make("sparse"), num_envs=512, steps=40
    )
    state = lr.init(setup, POOL, jnp.uint32(0))
    heads = state.params["heads"]["params"]
    skewed = heads["policy"] | {"bias": jnp.array([0.0, 1.5])}
    params = state.params | {"heads": {"params": heads | {"policy": skewed}}}
    rollout = jax.jit(lambda state: lr.collect(setup, state, POOL, state.key, lr.Hyper())[1])(
        state._replace(params=params)
    )
    expected = float(jnp.exp(rollout.log_prob[rollout.action == 1]).mean())
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
    _, rollout = collected(small_setup("mazes", "mlp"))
    assert rollout.truncated_after.any()
    assert rollout.terminated_after.any()
    targets = ppo.compute_advantages(rollout, lr.Hyper(gamma=0.9, lam=0.8))
    reward, value, following = (np.array(x) for x in (rollout.reward, rollout.value, rollout.next_value))
    ended = np.array(rollout.terminated_after | rollout.truncated_after)
    later = np.zeros(reward.shape[1])
    for t in reversed(range(len(reward))):
        later = reward[t] + 0.9 * following[t] - value[t] + 0.9 * 0.8 * later * ~ended[t]
        np.testing.assert_allclose(targets.advantage[t], later, atol=1e-5)
        np.testing.assert_allclose(targets.target[t], later + value[t], atol=1e-5)


def test_next_values_follow_termination_truncation_and_time():
    setup = small_setup("mazes", "mlp", num_envs=64)
    state, rollout = collected(setup)
    assert rollout.truncated_after.any()
    assert rollout.terminated_after.any()
    assert (rollout.next_value[rollout.terminated_after] == 0).all()
    running = ~(rollout.terminated_after | rollout.truncated_after)[:-1]
    assert (rollout.next_value[:-1] == rollout.value[1:])[running].all()
    # A walk into a wall leaves the final observation as the last one was: so does its value.
    same = Probe(pays="never", limit=3)
    setup = lr.Setup(same, networks.make("mlp", same, width=8), ppo.PPO, rewards.make("sparse"), num_envs=4, steps=10)
    state, rollout = collected(setup)
    for t, n in zip(*np.nonzero(np.array(rollout.truncated_after)), strict=True):
        assert int(rollout.observation.context[t, n, 1]) == 2
        slot = int(rollout.observation.context[t, n, 0])
        expected = setup.network.apply(state.params, seen(slot, 2), ())[1]
        assert float(rollout.next_value[t, n]) == pytest.approx(float(expected), abs=1e-5)
    assert int(rollout.truncated_after.sum()) == 4 * 3


def test_the_expert_acts_in_behaviour_cloning_and_the_student_in_dagger():
    for teacher, rate in (("bc", 1.0), ("demonstrations", 1.0), ("dagger", 0.6)):
        _, rollout = collected(taught(teacher, kind="mlp"))
        ended = rollout.terminated_after | rollout.truncated_after
        success = float(rollout.succeeded.sum() / ended.sum())
        assert success == 1 if rate == 1 else success < rate
        assert rollout.labels.shape == (24, 16, 4)
        assert jnp.allclose(rollout.labels.sum(-1), 1)


def test_the_cloning_loss_is_the_cross_entropy_against_the_labels():
    _, rollout = collected(taught(kind="mlp"))
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(2, 24, 16, 4))
    labels = np.where(labels > 0, labels, 0) + np.eye(4)[0]
    labels /= labels.sum(-1, keepdims=True)
    loss, _ = cloning.loss(jnp.array(logits), jnp.zeros((24, 16)), rollout._replace(labels=labels), (), lr.Hyper())
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    assert float(loss) == pytest.approx(-(labels * log_probs).sum(-1).mean(), rel=1e-5)


@pytest.mark.parametrize(
    "setup", [small_setup(), taught(), taught("demonstrations")], ids=["ppo", "dagger", "demonstrations"]
)
def test_one_compilation_for_all_pools_seeds_and_rates(setup):
    chex.clear_trace_counter()
    begin = jax.jit(chex.assert_max_traces(lambda *args: lr.init(setup, *args), n=1))
    train = jax.jit(chex.assert_max_traces(lambda *args: lr.train(setup, *args), n=1))
    losses = []
    for pool, seed, rate, updates in [
        (make_pool(1), 0, 1e-3, 1),
        (make_pool(20, seed=4), 1, 1e-2, 2),
        (make_pool(1, split="heldout", first=3), 2, 1e-4, 1),
        (make_pool(None), 3, 1e-3, 3),
    ]:
        hyper = lr.Hyper(*map(jnp.float32, lr.Hyper(learning_rate=rate)))
        _, metrics = train(begin(pool, jnp.uint32(seed)), hyper, pool, jnp.int32(updates))
        losses.append(float(metrics["loss"]))
    assert len(set(losses)) == 4


def setup_for(knob):
    """Return a setup in which the hyperparameter `knob` takes effect."""
    if knob in ("noise", "demonstrations"):
        return taught("dagger" if knob == "noise" else "demonstrations", minibatches=2)
    setup = small_setup(minibatches=2)
    return replace(setup, reward=rewards.make("sparse+hunger+shaped+taste"))


@pytest.mark.parametrize("knob", lr.Hyper._fields)
def test_every_hyperparameter_does_something(knob):
    begin, update = programs(setup_for(knob))
    plain = lr.Hyper(learning_rate=1e-2, clip=0.05, max_grad_norm=0.05, weight_decay=0.1, noise=0.5, taste_steps=1e3)
    plain = plain._replace(entropy_coef=0.1, entropy_coef_final=0.01, entropy_steps=1e3, demonstrations=8.0)
    parameters = []
    for hyper in (plain, plain._replace(**{knob: getattr(plain, knob) * 0.5})):
        hyper = lr.Hyper(*map(jnp.float32, hyper))
        state = begin(POOL, jnp.uint32(0), hyper)
        for _ in range(2):  # what is scheduled, or draws starting states, shows in the second
            state, _ = update(state, hyper, POOL)
        parameters.append(jax.tree.leaves(state.params))
    assert any((a != b).any() for a, b in zip(*parameters, strict=True))


def test_training_in_pieces_equals_training_at_once():
    setup = small_setup()
    train = jax.jit(partial(lr.train, setup))
    start = jax.jit(partial(lr.init, setup))(POOL, jnp.uint32(0))
    once, _ = train(start, lr.Hyper(), POOL, jnp.int32(5))
    first, _ = train(start, lr.Hyper(), POOL, jnp.int32(2))
    pieces, _ = train(first, lr.Hyper(), POOL, jnp.int32(3))
    chex.assert_trees_all_equal(once.params, pieces.params)
    assert (jax.random.key_data(once.key) == jax.random.key_data(pieces.key)).all()


def test_runs_side_by_side_equal_runs_alone():
    setup = small_setup()
    train = partial(lr.train, setup)
    pools = [make_pool(3), make_pool(None)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *pools)
    seeds = jnp.arange(2, dtype=jnp.uint32)
    state = jax.jit(jax.vmap(partial(lr.init, setup)))(stacked, seeds)
    together, _ = jax.jit(jax.vmap(train, in_axes=(0, None, 0, None)))(state, lr.Hyper(), stacked, jnp.int32(2))
    for lane, pool in enumerate(pools):
        start = jax.jit(partial(lr.init, setup))(pool, seeds[lane])
        alone, _ = jax.jit(train)(start, lr.Hyper(), pool, jnp.int32(2))
        agent = jax.tree.map(lambda leaf, lane=lane: leaf[lane], together.params)
        chex.assert_trees_all_close(agent, alone.params, atol=1e-5)


def test_a_mixture_has_equal_shares_and_collects_every_family_as_if_alone():
    mixture = Mixture((envs.make("errands", attributes=3, values=4), envs.make("puzzles"), Probe(pays="match")))
    network = networks.make("relational", mixture, width=16)
    setup = lr.Setup(mixture, network, ppo.PPO, rewards.make("sparse"), num_envs=12, steps=12)
    state, rollout = collected(setup)
    assert (rollout.observation.context[..., 0] == jnp.repeat(jnp.arange(3), 4)).all()
    for number, config in enumerate(setup.actor_configs):
        key_bank, key_rollout = jax.random.split(jax.random.split(state.key, 3)[number])

        @jax.jit
        def alone(state, config=config, number=number, key_bank=key_bank, key_rollout=key_rollout):
            actors = state.actors[number]
            bank = lr.refill(actors.bank, lr.start_sampler(config.family, POOL), key_bank)
            return ro.collect(config, state.params, actors._replace(bank=bank), key_rollout, 12, lr.Hyper())[1]

        share = jax.tree.map(lambda leaf, number=number: leaf[:, 4 * number : 4 * number + 4], rollout)
        chex.assert_trees_all_equal(share.observation, alone(state).observation)
        chex.assert_trees_all_equal(share.succeeded, alone(state).succeeded)
    with pytest.raises(ValueError, match=r"num_envs = 10: must be a multiple of 3 families\. Round it up"):
        lr.Setup(mixture, network, ppo.PPO, rewards.make("sparse"), num_envs=10)
