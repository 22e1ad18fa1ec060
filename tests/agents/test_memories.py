"""Memories: their contents, and the equality of acting and replaying."""

from dataclasses import replace
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs, rewards
from incentivize.agents import cloning, networks, ppo
from incentivize.agents import learner as lr
from incentivize.agents import rollout as ro
from incentivize.agents.encoders import ENCODERS
from incentivize.agents.memories import MEMORIES, _recurrence_forward, recurrence
from incentivize.agents.teachers import TEACHERS
from tests.helpers import compiled
from tests.helpers.compiled import POOL
from tests.helpers.probes import AnyLength, Corridor, Probe, Recall, seen

REMEMBERS = [name for name in MEMORIES if name != "none"]
SPARSE = rewards.make("sparse")
ERRANDS = envs.make("errands", attributes=3, values=4)
CASES = [pytest.param(AnyLength(), "mlp", memory, id=f"any length-{memory}") for memory in MEMORIES]
CASES += [
    pytest.param(Corridor(), kind, memory, id=f"entities-{kind}-{memory}")
    for kind, memory in (("relational", "none"), ("pairs", "gru"), ("transformer", "none"))
]
# "any length-gru" has resets at every step, and none in a rollout; the cases above have every encoder and every memory.
CASES += [pytest.param(Probe(steps=1), "mlp", "gru", id="every step-gru", marks=pytest.mark.slow)]
LONG = Probe(pays="never", limit=30)
CASES += [pytest.param(LONG, "mlp", "gru", id="longer than a rollout-gru", marks=pytest.mark.slow)]
for pair in product(ENCODERS, MEMORIES):
    CASES.append(pytest.param(ERRANDS, *pair, id="-".join(pair), marks=pytest.mark.slow))


def setup_of(family, kind, memory):
    """Return the setup of a small network with a memory."""
    return lr.Setup(family, networks.make(kind, family, width=8, memory=memory), ppo.PPO, SPARSE, num_envs=16, steps=24)


def second_rollout(setup, grain, steps):
    """Collect the second rollout of a run, with memory from the first, with a less uniform policy than a fresh one.

    Returns the rollout, and its log-probabilities and values in a replay, all computed in the dtype `grain`.
    """
    with jax.enable_x64(False):
        state = jax.device_get(compiled.init(setup, POOL, np.uint32(0))._replace(optimiser=(), key=()))
    return jax.device_get(_second_rollout(replace(setup, steps=steps), grain, state, POOL, np.uint32(0)))


@partial(jax.jit, static_argnums=(0, 1))
def _second_rollout(setup, grain, state, pool, seed):
    hyper = lr.Hyper(*(jnp.asarray(value, grain) for value in lr.Hyper()))
    state = jax.tree.map(lambda leaf: leaf.astype(grain) if leaf.dtype == jnp.float32 else leaf, state)
    state = state._replace(params=jax.tree.map(lambda leaf: 3 * leaf, state.params))

    def turn(actors, key):
        after, rollout = lr.collect(setup, state._replace(actors=actors), pool, key, hyper)
        return after, (actors, rollout)

    _, turns = jax.lax.scan(turn, state.actors, jax.random.split(jax.random.key(seed)))
    actors, rollout = jax.tree.map(lambda leaf: leaf[1], turns)
    logits, values = lr.forward(setup, state.params, rollout, actors[0].memory)
    return rollout, ppo.log_prob(logits, rollout), values


@pytest.mark.parametrize(("family", "kind", "memory"), CASES)
def test_the_ratio_is_exactly_one_before_the_first_gradient_step(family, kind, memory):
    """Computed in float64 and compared in float32, so that rounding does not show."""
    with jax.enable_x64(True):
        rollout, log_prob, values = second_rollout(setup_of(family, kind, memory), jnp.float64, 7)
    assert rollout.log_prob.dtype == log_prob.dtype == np.float64
    assert np.std(rollout.log_prob) > 1e-3
    ratio = np.exp(log_prob - rollout.log_prob).astype(np.float32)
    assert (ratio == 1).all()
    assert (values.astype(np.float32) == rollout.value.astype(np.float32)).all()
    if family == AnyLength():
        resets = rollout.reset_before
        assert (resets[1:] & resets[:-1]).any()
        assert (~resets).all(0).any()
        assert rollout.truncated_after.any()
        assert rollout.terminated_after.any()


@pytest.mark.parametrize("memory", MEMORIES)
def test_the_replay_is_the_rollout_up_to_rounding(memory):
    rollout, log_prob, values = second_rollout(setup_of(AnyLength(), "mlp", memory), jnp.float32, 24)
    assert float(np.abs(log_prob - rollout.log_prob).max()) < 2e-5
    assert float(np.abs(values - rollout.value).max()) < 1e-5 * float(np.abs(values).max())


def sequence(*slots):
    """Return the observations of a probe that shows these slots one after the other."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *map(seen, slots))


@pytest.mark.parametrize("memory", REMEMBERS)
def test_a_marker_is_seen_within_its_episode_and_never_after(memory):
    """Two sequences of four steps differ only in the first; the third may be a reset."""
    network = networks.make("mlp", Probe(), width=16, memory=memory)
    params = jax.tree.map(lambda leaf: 3 * leaf, jax.device_get(compiled.parameters(network, jax.random.key(0))))
    plain, marked = sequence(0, 0, 0, 0), sequence(1, 0, 0, 0)
    unroll = partial(compiled.unroll, network)
    for reset in (True, False):
        resets = np.array([True, False, reset, False])
        (logits, values, left), (others, other_values, other_left) = (
            jax.device_get(unroll(params, observations, resets, network.initial_memory()))
            for observations in (plain, marked)
        )
        moved = np.abs(logits - others).max(-1) + np.abs(values - other_values)
        assert (moved[:2] > 0).all()
        assert (moved[2:] == 0).all() if reset else (moved[2:] > 0).all()
    # What is left over afterwards is not seen by an episode that begins, though it differs.
    first, second = (unroll(params, plain, np.ones(4, bool), memory)[0] for memory in (left, other_left))
    assert (np.asarray(first) == np.asarray(second)).all()


@pytest.mark.parametrize("memory", REMEMBERS)
def test_acting_forgets_where_an_episode_begins(memory):
    """Different memories become equal at the start of an episode, and only there."""
    network = networks.make("mlp", Probe(), width=16, memory=memory)
    params = compiled.parameters(network, jax.random.key(0))
    empty = jax.device_get(network.initial_memory())
    _, _, used = jax.device_get(compiled.apply(network, params, seen(1), empty))
    memories = jax.tree.map(lambda a, b: np.stack([a, b, a, b]), empty, used)
    resets = np.array([True, True, False, False])

    @jax.jit
    def forget(memories):
        return ro.reset_memory(network, ro.ActorState(None, None, memories, resets))

    kept = jax.device_get(forget(memories))
    same = [jax.tree.map(lambda leaf, i=i: (leaf[i] == leaf[i + 1]).all(), kept) for i in (0, 2)]
    assert all(jax.tree.leaves(same[0]))
    assert not all(jax.tree.leaves(same[1]))


ARMS = {"ppo": {"algorithm": ppo.PPO}, "taught": {"algorithm": cloning.CLONING, "teacher": TEACHERS["dagger"]}}
QUICKER = ("ppo", "attention")  # `test_lives` has agents with a gru and without a memory


@pytest.mark.parametrize(
    ("algorithm", "memory"),
    [pytest.param(*case, marks=() if case == QUICKER else pytest.mark.slow) for case in product(ARMS, MEMORIES)],
)
def test_only_an_agent_with_a_memory_solves_delayed_recall(algorithm, memory):
    """The slot is gone when it is asked for: no policy without a memory wins more than half the time."""
    family = Recall(steps=3)
    network = networks.make("mlp", family, width=16, memory=memory)
    sizes = {"num_envs": 64, "steps": 6, "epochs": 4, "minibatches": 2}
    setup = lr.Setup(family, network, reward=SPARSE, **sizes, **ARMS[algorithm])
    hyper = compiled.hyper(learning_rate=5e-3, gamma=0.9, entropy_coef=0.01)
    state = compiled.init(setup, POOL, np.uint32(2))
    state, _ = compiled.train(setup, state, hyper, POOL, np.int32(100))
    tasks = np.zeros((20, 2), np.uint8)
    counts = compiled.evaluate_network(family, network, state.params, tasks, jax.random.key(1), 50)
    success = float(counts.successes.mean()) / 50
    assert success == pytest.approx(0.5, abs=0.06) if memory == "none" else success > 0.95


def test_attention_sees_the_last_steps_only():
    """Two blocks that look back on three steps each see four steps back and no further."""
    network = networks.make("mlp", Probe(limit=3), width=8, memory="attention")
    params, empty = compiled.parameters(network, jax.random.key(0)), network.initial_memory()
    rows = sequence(*(0,) * 6), sequence(1, *(0,) * 5)
    plain, marked = (compiled.unroll(network, params, row, np.zeros(6, bool), empty)[0] for row in rows)
    moved = np.abs(np.asarray(plain) - np.asarray(marked)).max(-1)
    assert (moved[:5] > 0).all()
    assert (moved[5:] == 0).all()


@partial(jax.jit, static_argnums=0)
def slopes(function, inputs, kernel, bias, memory, reset_before, weights):
    """Return a weighed sum of a recurrence's states, and its derivatives."""

    def weighed(inputs, kernel, bias, memory):
        return (function(inputs, reset_before, kernel, bias, memory) * weights).sum()

    return jax.value_and_grad(weighed, argnums=(0, 1, 2, 3))(inputs, kernel, bias, memory)


def loop(*arguments):
    """Run a gated recurrent unit whose derivative is left to jax."""
    return _recurrence_forward(*arguments)[0]


@pytest.mark.parametrize("resets", [0.0, 0.3, 1.0])
def test_the_derivative_of_a_gru_is_that_of_its_loop(resets):
    """Tested for all arguments, random cotangents and several rates of resets."""
    steps, sequences, width = 5, 3, 4
    shapes = (
        (steps, sequences, 3 * width),
        (width, 3 * width),
        (width,),
        (sequences, width),
    )
    rng = np.random.default_rng(0)
    arguments = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    weights = rng.normal(size=(steps, sequences, width)).astype(np.float32)
    reset_before = rng.random((steps, sequences)) < resets
    (by_hand, slopes_by_hand), (by_jax, slopes_by_jax) = (
        jax.device_get(slopes(function, *arguments, reset_before, weights)) for function in (recurrence, loop)
    )
    assert by_hand == by_jax
    for one, other in zip(slopes_by_hand, slopes_by_jax, strict=True):
        assert float(np.abs(one - other).max()) < 1e-5 * (1 + float(np.abs(other).max()))
    assert (float(np.abs(slopes_by_hand[3]).max()) == 0) == (resets == 1)
