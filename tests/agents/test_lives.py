"""Several attempts at a task: an agent keeps its memory from one attempt to the next."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import rewards
from incentivize.agents import learner as lr
from incentivize.agents import networks, ppo
from incentivize.agents import rollout as ro
from incentivize.envs.episodes import refill, start_sampler
from incentivize.envs.family import outcome
from incentivize.envs.wrappers.lives import Lives
from tests.helpers import compiled
from tests.helpers.compiled import POOL
from tests.helpers.probes import Probe

KEY = jax.random.key(0)
SPARSE = rewards.make("sparse")


class Notches:
    """A network whose value is the number of steps since its memory was empty."""

    def act(self, params, observations, memories):
        return jnp.zeros((len(memories), 2)), memories.astype(jnp.float32), memories + 1

    def apply(self, params, observation, memory):
        return jnp.zeros(2), memory.astype(jnp.float32), memory + 1

    def initial_memory(self):
        return jnp.int32(0)


def test_memory_lasts_from_attempt_to_attempt_and_not_from_life_to_life():
    """Attempts have two steps, lives have three attempts."""
    config = ro.ActorConfig(Lives(Probe(steps=2), 3), Notches(), SPARSE)
    draw = start_sampler(config.family, POOL)

    @jax.jit
    def rollout_of(key):
        actors = ro.init(config, draw, key, 2, 14)
        actors = actors._replace(bank=refill(actors.bank, draw, key))
        return ro.collect(config, (), actors, key, 14, compiled.HYPER)[1]

    rollout = jax.device_get(rollout_of(KEY))
    for env in (0, 1):
        assert rollout.value[:, env].tolist() == [step % 6 for step in range(14)]
        assert rollout.reset_before[:, env].tolist() == [step % 6 == 0 for step in range(14)]
        assert rollout.terminated_after[:, env].tolist() == [step % 6 == 5 for step in range(14)]
        assert rollout.reward[:, env].tolist() == [
            step % 2 for step in range(14)
        ]  # every attempt succeeds, and is paid
        assert rollout.observation.context[:, env, -3].tolist() == [step % 6 // 2 for step in range(14)]


@dataclass(frozen=True)
class Secret(Probe):
    """A task with a secret: the right one of two answers. Before the answer comes a step without a choice.

    So the first attempt is a guess that wins half the time under any policy. Its outcome reveals the answer; the next
    observation shows it, in a step that leaves nothing to do but remember it.
    """

    steps: int = 2

    @property
    def reveals_rule(self):
        return False

    def init(self, key, task):
        return super().init(key, task)._replace(seen=jnp.uint8(0))

    def observe(self, state):
        seen = super().observe(state)
        return seen._replace(action_mask=jnp.array([True, False]) | (state.step == 1))

    def step(self, state, action, key):
        asked, right = state.step == 1, action == state.task[0] % 2
        return state._replace(step=state.step + jnp.uint8(1)), outcome(asked & right, asked & ~right)


@pytest.mark.parametrize(("memory", "expected"), [("none", 0.5), ("gru", 1.0)])
def test_only_an_agent_with_a_memory_learns_from_its_first_attempt(memory, expected):
    family = Lives(Secret(), 2)
    network = networks.make("mlp", family, width=16, memory=memory)
    setup = lr.Setup(family, network, ppo.PPO, SPARSE, num_envs=64, steps=8, epochs=4, minibatches=2)
    hyper = compiled.hyper(learning_rate=5e-3, gamma=0.9, entropy_coef=0.01)
    state = compiled.init(setup, POOL, np.uint32(0))
    state, _ = compiled.train(setup, state, hyper, POOL, np.int32(150))
    tasks = np.array([[digit, 0] for digit in range(4)], np.uint8)  # either answer twice
    counts = compiled.evaluate_network(family, network, state.params, tasks, KEY, 250)
    first, second = (np.asarray(counts.by_attempt).sum(0) / 1000).tolist()
    assert first == pytest.approx(0.5, abs=0.05)
    assert second == pytest.approx(expected, abs=0.05)
