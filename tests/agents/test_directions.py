"""Gradients point towards rewarded actions and towards labels, at every shape."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from incentivize import rewards
from incentivize.agents import cloning, networks, ppo
from incentivize.agents import learner as lr
from incentivize.agents.rollout import Rollout
from incentivize.agents.teachers import TEACHERS
from incentivize.envs.family import outcome
from incentivize.envs.tasks import make_pool
from tests.helpers.probes import Probe

POOL = make_pool(None)


@dataclass(frozen=True)
class Bandit(Probe):
    """A bandit of one step and `arms` actions: the last succeeds, all others fail."""

    arms: int = 2

    @property
    def num_actions(self):
        return self.arms

    def observe(self, state):
        return super().observe(state)._replace(action_mask=jnp.ones(self.arms, bool))

    def step(self, state, action, key):
        good = action == self.arms - 1
        return state._replace(step=state.step + jnp.uint8(1)), outcome(good, ~good)

    def expert(self, state, kind="informed"):
        return jax.nn.one_hot(self.arms - 1, self.arms)


def rollout_of(steps, num_envs, arms):
    """Return random logits, and a rollout of one-step episodes in which only the last action is rewarded."""
    rng = np.random.default_rng(arms)
    logits = rng.normal(size=(steps, num_envs, arms)).astype(np.float32)
    action = rng.integers(arms, size=(steps, num_envs))
    action[0, 0], action[-1, -1] = arms - 1, 0  # some are paid, and some are not
    zeros, ends = np.zeros((steps, num_envs), np.float32), np.ones((steps, num_envs), bool)
    log_prob = np.take_along_axis(log_softmax(logits, axis=-1), action[..., None], -1)[..., 0]
    reward, labels = (action == arms - 1).astype(np.float32), np.zeros((steps, num_envs, arms), np.float32)
    labels[..., -1] = 1
    parts = (action, log_prob, zeros, zeros, reward, ends, ends, ~ends, reward == 1, labels)
    return logits, Rollout((), *map(jax.device_put, parts))


SHAPES = [  # steps, environments, actions
    *((16, num_envs, 4) for num_envs in (1, 2, 4, 7, 8, 16, 128)),
    *((16, 8, arms) for arms in (2, 3, 5, 6, 16)),
    (1, 4, 5),
    (32, 2, 4),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_losses_fall_towards_what_is_paid_and_towards_labels(shape):
    """At every step rewarded actions and labels become likelier, other actions less likely."""
    logits, rollout = rollout_of(*shape)
    hyper = lr.Hyper(entropy_coef=0.0)

    @jax.jit
    def slopes(logits):
        targets = ppo.compute_advantages(rollout, hyper)
        losses = ((ppo.loss, targets), (cloning.loss, ()), (cloning.loss_with_values, targets))
        return [
            jax.grad(
                lambda logits, loss=loss, targets=targets: loss(logits, rollout.value, rollout, targets, hyper)[0]
            )(logits)
            for loss, targets in losses
        ]

    incentivized, *taught = map(np.asarray, slopes(logits))
    of_taken = np.take_along_axis(incentivized, np.asarray(rollout.action)[..., None], -1)[..., 0]
    assert (np.sign(-of_taken) == np.where(rollout.reward == 1, 1, -1)).all()
    for slope in taught:
        assert (slope[..., -1] < 0).all()
        assert (slope[..., :-1] > 0).all()


UPDATES = [  # environments, minibatches, actions, network, memory
    (1, 1, 5, "mlp", "none"),
    (4, 4, 3, "relational", "none"),
    (16, 1, 5, "mlp", "gru"),
    (64, 4, 7, "pairs", "none"),
]


@pytest.mark.parametrize("teacher", [None, pytest.param("dagger", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("num_envs", "minibatches", "arms", "kind", "memory"),
    [pytest.param(*UPDATES[0], marks=pytest.mark.slow), *UPDATES[1:]],  # an mlp is also in the third
)
def test_the_first_update_makes_the_right_action_likelier(num_envs, minibatches, arms, kind, memory, teacher):
    """Tested on the mean over seeds: a single rollout of few environments is too noisy."""
    bandit = Bandit(arms=arms)
    network = networks.make(kind, bandit, width=8, memory=memory)
    arm = {"algorithm": cloning.CLONING, "teacher": TEACHERS[teacher]} if teacher else {"algorithm": ppo.PPO}
    sizes = {"num_envs": num_envs, "steps": 16, "epochs": 1, "minibatches": minibatches}
    setup = lr.Setup(bandit, network, reward=rewards.make("sparse"), **sizes, **arm)
    hyper = lr.Hyper(learning_rate=1e-3, entropy_coef=0.0, value_coef=0.0)
    observation = bandit.observe(bandit.init(jax.random.key(0), jnp.zeros(2, jnp.uint8)))

    def right(params):
        return jax.nn.log_softmax(network.apply(params, observation, network.initial_memory())[0])[-1]

    @jax.jit
    @jax.vmap
    def gained(seed):
        state = lr.init(setup, POOL, seed, hyper)
        after, _ = lr.update(setup, state, hyper, POOL)
        return right(after.params) - right(state.params)

    assert float(gained(jnp.arange(24, dtype=jnp.uint32)).mean()) > 0
