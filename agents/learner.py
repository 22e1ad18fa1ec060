"""Learners: the one training loop that both arms share. An arm is an `Algorithm`: what it derives from a rollout, and
its loss. Rollout, minibatches, optimiser and evaluation are the same code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax

from agents import rollout as ro
from agents.networks import Network, Params
from agents.rollout import Acting, Actors, Rollout
from envs.episodes import draw_from, refill
from envs.family import Family
from envs.mixture import Mixture
from envs.tasks import Pool
from rewards import Reward


class Hyper(NamedTuple):
    """Hyperparameters that change no shape: traced, so that any of them can be swept in one program. float32 []."""

    learning_rate: Any = 1e-3
    gamma: Any = 0.95  # discount
    lam: Any = 0.9  # of the generalised advantage estimate
    clip: Any = 0.2  # PPO's range of the probability ratio
    entropy: Any = 0.01  # weight of the entropy bonus
    value: Any = 0.5  # weight of the value loss
    max_grad_norm: Any = 0.5  # gradients are scaled down to this global norm


Targets = Any
Metrics = dict[str, jax.Array]
Tree = TypeVar("Tree")


@dataclass(frozen=True)
class Algorithm:
    """What sets one arm apart; everything static.

    Attributes:
        name: as in the rows.
        teacher: whose labels are used and who acts: "dagger" labels the student's own states, "bc" the expert's.
        prepare: from a rollout to what the loss needs besides, leaves [T, N, ...].
        loss: from (logits [B..., A], values [B...], rollout, targets, hyper) to a scalar and metrics.
    """

    name: str
    teacher: Literal["dagger", "bc"] | None
    prepare: Callable[[Rollout, Hyper], Targets]
    loss: Callable[[jax.Array, jax.Array, Rollout, Targets, Hyper], tuple[jax.Array, Metrics]]


@dataclass(frozen=True)
class Setup:
    """All that fixes the shapes and the code of a training run: one `Setup`, one compilation."""

    family: Family | Mixture
    network: Network
    algorithm: Algorithm
    reward: Reward
    num_envs: int = 512
    steps: int = 16
    epochs: int = 2
    minibatches: int = 4

    def __post_init__(self) -> None:
        if self.num_envs % len(self.family.members):
            raise ValueError(f"num_envs={self.num_envs}: want a multiple of the {len(self.family.members)} families")

    @property
    def actings(self) -> tuple[Acting, ...]:
        """How rollouts are collected, family by family."""
        behaviour = "expert" if self.algorithm.teacher == "bc" else "student"
        labels = self.algorithm.teacher is not None
        return tuple(Acting(one, self.network, self.reward, behaviour, labels) for one in self.family.members)

    @property
    def steps_per_update(self) -> int:
        """Environment steps per update."""
        return self.num_envs * self.steps


class TrainState(NamedTuple):
    """Everything a run has to remember."""

    params: Params
    optimiser: optax.OptState
    actors: tuple[Actors, ...]  # family by family, each with an equal share of the environments
    key: jax.Array


def _optimiser(hyper: Hyper) -> optax.GradientTransformation:
    """Adam after clipping the global norm; epsilon 1e-5 as in PPO's reference implementation."""
    return optax.chain(
        optax.clip_by_global_norm(hyper.max_grad_norm),
        optax.scale_by_adam(eps=1e-5),
        optax.scale_by_learning_rate(hyper.learning_rate),
    )


def begin(setup: Setup, pool: Pool, seed: jax.Array) -> TrainState:
    """A fresh run."""
    key_params, key_actors, key = jax.random.split(jax.random.key(seed), 3)
    params = setup.network.init(key_params)
    keys = jax.random.split(key_actors, len(setup.actings))
    share = setup.num_envs // len(setup.actings)
    actors = tuple(
        ro.begin(acting, draw_from(acting.family, pool), key_family, share, setup.steps)
        for acting, key_family in zip(setup.actings, keys, strict=True)
    )
    return TrainState(params, _optimiser(Hyper()).init(params), actors, key)


def loss(setup: Setup, params: Params, batch: tuple[Rollout, Targets, Any], hyper: Hyper) -> tuple[jax.Array, Metrics]:
    """The algorithm's loss on a batch of whole sequences (rollout leaves [T, B, ...], memory leaves [B, ...])."""
    rollout, targets, memory = batch
    unroll = jax.vmap(setup.network.unroll, in_axes=(None, 1, 1, 0), out_axes=(1, 1, 0))
    logits, values, _ = unroll(params, rollout.observation, rollout.reset_before, memory)
    return setup.algorithm.loss(logits, values, rollout, targets, hyper)


def collect(setup: Setup, state: TrainState, pool: Pool, key: jax.Array) -> tuple[tuple[Actors, ...], Rollout]:
    """A rollout of every family, side by side along the environments. Consumes `key`."""
    found = []
    for acting, actors, key_family in zip(
        setup.actings, state.actors, jax.random.split(key, len(setup.actings)), strict=True
    ):
        key_bank, key_rollout = jax.random.split(key_family)
        bank = refill(actors.bank, draw_from(acting.family, pool), key_bank)
        found.append(ro.collect(acting, state.params, actors._replace(bank=bank), key_rollout, setup.steps))
    actors, rollouts = zip(*found, strict=True)
    return actors, side_by_side(rollouts, axis=1)


def side_by_side(trees: Sequence[Tree], axis: int) -> Tree:
    """The environments of several families as those of one, along `axis`."""
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis), *trees)


def update(setup: Setup, state: TrainState, hyper: Hyper, pool: Pool) -> tuple[TrainState, Metrics]:
    """One rollout, and epochs of minibatches over it: each a share of the environments, whole in time."""
    key, key_rollout, key_epochs = jax.random.split(state.key, 3)
    memory = side_by_side([actors.memory for actors in state.actors], axis=0)
    actors, rollout = collect(setup, state, pool, key_rollout)
    targets = setup.algorithm.prepare(rollout, hyper)
    optimiser = _optimiser(hyper)

    def minibatch(carry, envs):
        params, optimiser_state = carry
        batch = jax.tree.map(lambda leaf: leaf[:, envs], (rollout, targets))
        batch = (*batch, jax.tree.map(lambda leaf: leaf[envs], memory))
        grads, metrics = jax.grad(partial(loss, setup), has_aux=True)(params, batch, hyper)
        updates, optimiser_state = optimiser.update(grads, optimiser_state)
        metrics["grad_norm"] = optax.tree.norm(grads)
        return (optax.apply_updates(params, updates), optimiser_state), metrics

    def epoch(carry, key):
        envs = jax.random.permutation(key, setup.num_envs).reshape(setup.minibatches, -1)
        return jax.lax.scan(minibatch, carry, envs)

    keys = jax.random.split(key_epochs, setup.epochs)
    (params, optimiser_state), metrics = jax.lax.scan(epoch, (state.params, state.optimiser), keys)
    metrics = {name: value.mean() for name, value in metrics.items()}
    ended = rollout.terminated_after | rollout.truncated_after
    metrics["episodes"] = ended.sum(dtype=jnp.float32)
    metrics["successes"] = rollout.succeeded.sum(dtype=jnp.float32)
    return TrainState(params, optimiser_state, actors, key), metrics


def train(setup: Setup, state: TrainState, hyper: Hyper, pool: Pool, updates: jax.Array) -> tuple[TrainState, Metrics]:
    """`updates` (int [], traced, at least 1) updates in one program; metrics are means, counts are sums."""
    shapes = jax.eval_shape(partial(update, setup), state, hyper, pool)[1]
    zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)

    def body(_, carry):
        state, total = carry
        state, metrics = update(setup, state, hyper, pool)
        return state, jax.tree.map(jnp.add, total, metrics)

    state, total = jax.lax.fori_loop(0, updates, body, (state, zeros))
    counts = {"episodes", "successes"}
    return state, {name: value if name in counts else value / updates for name, value in total.items()}
