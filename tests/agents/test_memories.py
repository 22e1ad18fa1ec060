"""Memories: their contents, and the equality of acting and replaying."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import pytest

from incentivize import envs, rewards
from incentivize.agents import cloning, networks, ppo
from incentivize.agents import learner as lr
from incentivize.agents import rollout as ro
from incentivize.agents.encoders import ENCODERS
from incentivize.agents.evaluate import evaluate, policy_of
from incentivize.agents.memories import MEMORIES, _recurrence_forward, recurrence
from incentivize.agents.teachers import TEACHERS
from incentivize.envs.tasks import make_pool
from tests.helpers.probes import AnyLength, Probe, Recall, seen

REMEMBERS = [name for name in MEMORIES if name != "none"]
SPARSE = rewards.make("sparse")
ERRANDS = envs.make("errands", attributes=3, values=4)
USUAL = {("relational", "none"), ("pairs", "gru"), ("transformer", "attention")}  # the others are slow, being many
CASES = [pytest.param(AnyLength(), "mlp", memory, id=f"any length-{memory}") for memory in MEMORIES]
CASES += [pytest.param(Probe(steps=1), "mlp", "gru", id="every step-gru")]
CASES += [pytest.param(Probe(pays="never", limit=30), "mlp", "gru", id="longer than a rollout-gru")]
for pair in product(ENCODERS, MEMORIES):
    CASES.append(pytest.param(ERRANDS, *pair, id="-".join(pair), marks=[] if pair in USUAL else pytest.mark.slow))


def second_rollout(setup, grain):
    """Collect the second rollout of a run, with memory from the first, with a less uniform policy than a fresh one.

    Returns the rollout, and its log-probabilities and values in a replay.
    """
    pool = make_pool(None)
    hyper = lr.Hyper(*(jnp.asarray(value, grain) for value in lr.Hyper()))
    collect = jax.jit(partial(lr.collect, setup))
    state = jax.jit(partial(lr.init, setup))(pool, jnp.uint32(0))
    state = state._replace(params=jax.tree.map(lambda leaf: (3 * leaf).astype(grain), state.params))
    first, second = jax.random.split(state.key)
    state = state._replace(actors=collect(state, pool, first, hyper)[0])
    _, rollout = collect(state, pool, second, hyper)
    logits, values = jax.jit(partial(lr.forward, setup))(state.params, rollout, state.actors[0].memory)
    return rollout, ppo.log_prob(logits, rollout), values


@pytest.mark.parametrize(("family", "kind", "memory"), CASES)
def test_the_ratio_is_exactly_one_before_the_first_gradient_step(family, kind, memory):
    """Computed in float64 and compared in float32, so that rounding does not show."""
    setup = lr.Setup(family, networks.make(kind, family, width=8, memory=memory), ppo.PPO, SPARSE, num_envs=8, steps=7)
    with jax.enable_x64(True):
        rollout, log_prob, values = second_rollout(setup, jnp.float64)
        assert rollout.log_prob.dtype == log_prob.dtype == jnp.float64
        assert jnp.std(rollout.log_prob) > 1e-3
        ratio = jnp.exp(log_prob - rollout.log_prob).astype(jnp.float32)
        assert (ratio == 1).all()
        assert (values.astype(jnp.float32) == rollout.value.astype(jnp.float32)).all()


@pytest.mark.parametrize("memory", MEMORIES)
def test_the_replay_is_the_rollout_up_to_rounding(memory):
    setup = lr.Setup(
        ERRANDS, networks.make("relational", ERRANDS, width=16, memory=memory), ppo.PPO, SPARSE, num_envs=16, steps=24
    )
    rollout, log_prob, values = second_rollout(setup, jnp.float32)
    assert float(jnp.abs(log_prob - rollout.log_prob).max()) < 2e-5
    assert float(jnp.abs(values - rollout.value).max()) < 1e-5 * float(jnp.abs(values).max())


@pytest.mark.parametrize("memory", REMEMBERS)
def test_a_marker_is_seen_within_its_episode_and_never_after(memory):
    """Two sequences of four steps differ only in the first; the third may be a reset."""
    network = networks.make("mlp", Probe(), width=16, memory=memory)
    params = jax.tree.map(lambda leaf: 3 * leaf, jax.jit(network.init)(jax.random.key(0)))
    plain, marked = (
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(seen, slots)) for slots in ((0,) * 4, (1, 0, 0, 0))
    )
    unroll = jax.jit(network.unroll)
    for reset in (True, False):
        resets = jnp.array([True, False, reset, False])
        (logits, values, left), (others, other_values, other_left) = (
            unroll(params, observations, resets, network.initial_memory()) for observations in (plain, marked)
        )
        moved = jnp.abs(logits - others).max(-1) + jnp.abs(values - other_values)
        assert (moved[:2] > 0).all()
        assert (moved[2:] == 0).all() if reset else (moved[2:] > 0).all()
    # What is left over afterwards is not seen by an episode that begins, though it differs.
    first, second = (unroll(params, plain, jnp.ones(4, bool), memory)[0] for memory in (left, other_left))
    assert (first == second).all()


@pytest.mark.parametrize("memory", REMEMBERS)
def test_acting_forgets_where_an_episode_begins(memory):
    """Different memories become equal at the start of an episode, and only there."""
    network = networks.make("mlp", Probe(), width=8, memory=memory)
    params = jax.jit(network.init)(jax.random.key(0))
    _, _, used = network.apply(params, seen(1), network.initial_memory())
    memories = jax.tree.map(lambda a, b: jnp.stack([a, b, a, b]), network.initial_memory(), used)
    resets = jnp.array([True, True, False, False])
    kept = ro.reset_memory(network, ro.ActorState(None, None, memories, resets))
    same = [jax.tree.map(lambda leaf, i=i: (leaf[i] == leaf[i + 1]).all(), kept) for i in (0, 2)]
    assert all(jax.tree.leaves(same[0]))
    assert not all(jax.tree.leaves(same[1]))


@pytest.mark.parametrize("algorithm", ["ppo", pytest.param("taught", marks=pytest.mark.slow)])
def test_only_an_agent_with_a_memory_solves_delayed_recall(algorithm):
    """The slot is gone when it is asked for: no policy without a memory wins more than half the time."""
    family, pool = Recall(), make_pool(None)
    arm = (
        {"algorithm": ppo.PPO} if algorithm == "ppo" else {"algorithm": cloning.CLONING, "teacher": TEACHERS["dagger"]}
    )
    success = {}
    for memory in MEMORIES:
        network = networks.make("mlp", family, width=16, memory=memory)
        setup = lr.Setup(family, network, reward=SPARSE, num_envs=64, steps=8, epochs=4, minibatches=2, **arm)
        hyper = lr.Hyper(learning_rate=5e-3, gamma=0.9, entropy_coef=0.01)
        state = jax.jit(partial(lr.init, setup))(pool, jnp.uint32(0))
        state, _ = jax.jit(partial(lr.train, setup))(state, hyper, pool, jnp.int32(150))
        policy = policy_of(family, network, state.params)
        counts = evaluate(
            family, policy, network.initial_memory(), jnp.zeros((20, 2), jnp.uint8), jax.random.key(1), 50
        )
        success[memory] = float(counts.successes.mean()) / 50
    assert success["none"] == pytest.approx(0.5, abs=0.06)
    assert min(success[name] for name in REMEMBERS) > 0.95


def test_attention_sees_the_last_steps_only():
    """Two blocks that look back on three steps each see four steps back and no further."""
    network = networks.make("mlp", Probe(limit=3), width=8, memory="attention")
    params = jax.jit(network.init)(jax.random.key(0))
    plain, marked = (
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(seen, slots)) for slots in ((0,) * 6, (1, *(0,) * 5))
    )
    resets = jnp.zeros(6, bool)
    logits, others = (network.unroll(params, rows, resets, network.initial_memory())[0] for rows in (plain, marked))
    moved = jnp.abs(logits - others).max(-1)
    assert (moved[:5] > 0).all()
    assert (moved[5:] == 0).all()


@pytest.mark.parametrize("resets", [0.0, 0.3, 1.0])
def test_the_derivative_of_a_gru_is_that_of_its_loop(resets):
    """Tested for all arguments, random cotangents and several rates of resets."""
    steps, sequences, width = 5, 3, 4
    keys = jax.random.split(jax.random.key(0), 6)
    shapes = (
        (steps, sequences, 3 * width),
        (width, 3 * width),
        (width,),
        (sequences, width),
        (steps, sequences, width),
    )
    inputs, kernel, bias, memory, weights = (
        jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=False)
    )
    reset_before = jax.random.bernoulli(keys[5], resets, (steps, sequences))

    def slopes(function):
        def weighed(inputs, kernel, bias, memory):
            return (function(inputs, reset_before, kernel, bias, memory) * weights).sum()

        return jax.jit(jax.value_and_grad(weighed, argnums=(0, 1, 2, 3)))(inputs, kernel, bias, memory)

    (by_hand, slopes_by_hand), (by_jax, slopes_by_jax) = (
        slopes(recurrence),
        slopes(lambda *values: _recurrence_forward(*values)[0]),
    )
    assert by_hand == by_jax
    for one, other in zip(slopes_by_hand, slopes_by_jax, strict=True):
        assert float(jnp.abs(one - other).max()) < 1e-5 * (1 + float(jnp.abs(other).max()))
    assert (float(jnp.abs(slopes_by_hand[3]).max()) == 0) == (resets == 1)
