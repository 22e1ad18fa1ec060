"""Learners: the one training loop that both arms share. An arm is an `Algorithm`: what it derives from a rollout, and
its loss. Rollout, minibatches, optimiser and evaluation are the same code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from incentivize.agents import rollout as ro
from incentivize.agents.hyper import Hyper
from incentivize.agents.memories import Memory
from incentivize.agents.networks import Network, Params
from incentivize.agents.rollout import ActorConfig, ActorState, Rollout
from incentivize.agents.sharding import shard
from incentivize.agents.teachers import Teacher
from incentivize.envs.episodes import NearSuccess, StartSampler, refill, start_sampler
from incentivize.envs.family import Family, Playable
from incentivize.envs.tasks import Pool
from incentivize.rewards import Incentive
from incentivize.rewards.taste import share

Targets = Any
Metrics = dict[str, jax.Array]
Tree = TypeVar("Tree")


@dataclass(frozen=True)
class Algorithm:
    """What sets one arm apart; everything static.

    Attributes:
        name: as in the rows.
        prepare: from a rollout to what the loss needs besides, leaves [T, N, ...].
        loss: from (logits [B..., A], values [B...], rollout, targets, hyper) to a scalar and metrics.
    """

    name: str
    compute_targets: Callable[[Rollout, Hyper], Targets]
    loss: Callable[[jax.Array, jax.Array, Rollout, Targets, Hyper], tuple[jax.Array, Metrics]]


@dataclass(frozen=True)
class Setup:
    """All that fixes the shapes and the code of a training run: one `Setup`, one compilation."""

    family: Playable
    network: Network
    algorithm: Algorithm
    reward: Incentive
    teacher: Teacher | None = None
    num_envs: int = 512
    steps: int = 16
    epochs: int = 2
    minibatches: int = 4
    mesh: Mesh | None = None  # devices that the environments are divided among; None: one device has them all

    def __post_init__(self) -> None:
        if self.mesh is not None and (self.num_envs // self.minibatches) % self.mesh.size:
            each = self.num_envs // self.minibatches
            raise ValueError(f"a minibatch has {each} environments: want a multiple of {self.mesh.size} devices")
        if self.num_envs % len(self.family.members):
            raise ValueError(f"num_envs={self.num_envs}: want a multiple of the {len(self.family.members)} families")

    @property
    def actor_configs(self) -> tuple[ActorConfig, ...]:
        """How rollouts are collected, family by family."""
        return tuple(ActorConfig(one, self.network, self.reward, self.teacher) for one in self.family.members)

    @property
    def steps_per_update(self) -> int:
        """Environment steps per update."""
        return self.num_envs * self.steps


class TrainState(NamedTuple):
    """Everything a run has to remember."""

    params: Params
    optimiser: optax.OptState
    actors: tuple[ActorState, ...]  # family by family, each with an equal share of the environments
    updates: jax.Array  # int32 []: done so far; stays at its largest value, where every schedule is over
    key: jax.Array


def _optimiser(hyper: Hyper) -> optax.GradientTransformation:
    """Adam after clipping the global norm; epsilon 1e-5 as in PPO's reference implementation."""
    return optax.chain(
        optax.clip_by_global_norm(hyper.max_grad_norm),
        optax.scale_by_adam(eps=1e-5),
        optax.add_decayed_weights(hyper.weight_decay),
        optax.scale_by_learning_rate(hyper.learning_rate),
    )


def _draw(setup: Setup, acting: ActorConfig, pool: Pool, hyper: Hyper, steps: jax.Array) -> StartSampler:
    """Where episodes begin after so many environment steps."""
    frozen = setup.teacher is not None and setup.teacher.frozen
    return start_samplers(acting.family, pool, hyper, steps, tastes=setup.reward.tastes, frozen=frozen)


def start_samplers(
    family: Family, pool: Pool, hyper: Hyper, steps: jax.Array, *, tastes: bool, frozen: bool
) -> StartSampler:
    """Draw every start that any training has.

    Args:
        family: of the starts.
        pool: the tasks.
        hyper: how many starts are near success, and how near; how many demonstrations there are.
        steps: environment steps so far, float32 [].
        tastes: whether some starts are near success.
        frozen: whether there are only so many starts as there are demonstrations.
    """
    near = NearSuccess(share(hyper, steps), jnp.asarray(hyper.near, jnp.int32)) if tastes else None
    return start_sampler(family, pool, near, jnp.asarray(hyper.demonstrations, jnp.uint32) if frozen else None)


def init(setup: Setup, pool: Pool, seed: jax.Array, hyper: Hyper | None = None) -> TrainState:
    """A fresh run. `hyper` counts only where it says how episodes begin."""
    hyper = Hyper() if hyper is None else hyper
    key_params, key_actors, key = jax.random.split(jax.random.key(seed), 3)
    params = setup.network.init(key_params)
    keys = jax.random.split(key_actors, len(setup.actor_configs))
    each = setup.num_envs // len(setup.actor_configs)
    actors = tuple(
        ro.init(acting, _draw(setup, acting, pool, hyper, jnp.float32(0)), key_family, each, setup.steps)
        for acting, key_family in zip(setup.actor_configs, keys, strict=True)
    )
    return TrainState(params, _optimiser(hyper).init(params), shard(setup.mesh, actors), jnp.int32(0), key)


def forward(setup: Setup, params: Params, rollout: Rollout, memory: Memory) -> tuple[jax.Array, jax.Array]:
    """Logits [T, B, A] and values [T, B] of whole sequences (rollout leaves [T, B, ...], memory leaves [B, ...])."""
    seen, reset_before = jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), (rollout.observation, rollout.reset_before))
    logits, values, _ = setup.network.sequences(params, seen, reset_before, memory)
    return logits.swapaxes(0, 1), values.swapaxes(0, 1)


def loss(setup: Setup, params: Params, batch: tuple[Rollout, Targets, Any], hyper: Hyper) -> tuple[jax.Array, Metrics]:
    """The algorithm's loss on a batch of whole sequences."""
    rollout, targets, memory = batch
    return setup.algorithm.loss(*forward(setup, params, rollout, memory), rollout, targets, hyper)


def collect(
    setup: Setup, state: TrainState, pool: Pool, key: jax.Array, hyper: Hyper
) -> tuple[tuple[ActorState, ...], Rollout]:
    """A rollout of every family, side by side along the environments. Consumes `key`."""
    found = []
    steps = state.updates.astype(jnp.float32) * setup.steps_per_update
    for acting, actors, key_family in zip(
        setup.actor_configs, state.actors, jax.random.split(key, len(setup.actor_configs)), strict=True
    ):
        key_bank, key_rollout = jax.random.split(key_family)
        bank = refill(actors.bank, _draw(setup, acting, pool, hyper, steps), key_bank)
        actors = actors._replace(bank=bank)
        found.append(ro.collect(acting, state.params, actors, key_rollout, setup.steps, hyper))
    actors, rollouts = zip(*found, strict=True)
    return shard(setup.mesh, actors), shard(setup.mesh, side_by_side(rollouts, axis=1), axis=1)


def side_by_side(trees: Sequence[Tree], axis: int) -> Tree:
    """The environments of several families as those of one, along `axis`."""
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis), *trees)


def _part(setup: Setup, batch: Any, envs: jax.Array) -> Any:
    """Of (rollout, targets, memory), the sequences of some environments."""
    rollout, targets, memory = batch
    sequences = jax.tree.map(lambda leaf: leaf[:, envs], (rollout, targets))
    memory = jax.tree.map(lambda leaf: leaf[envs], memory)
    return *shard(setup.mesh, sequences, axis=1), shard(setup.mesh, memory)


def update(setup: Setup, state: TrainState, hyper: Hyper, pool: Pool) -> tuple[TrainState, Metrics]:
    """One rollout, and epochs of minibatches over it: each a share of the environments, whole in time."""
    key, key_rollout, key_epochs = jax.random.split(state.key, 3)
    now = hyper.at(state.updates.astype(jnp.float32) * setup.steps_per_update)
    memory = side_by_side([actors.memory for actors in state.actors], axis=0)
    actors, rollout = collect(setup, state, pool, key_rollout, now)
    optimiser = _optimiser(now)
    keys = jax.random.split(key_epochs, setup.epochs)
    orders = jax.vmap(jax.random.permutation, in_axes=(0, None))(keys, setup.num_envs)
    batch = (rollout, setup.algorithm.compute_targets(rollout, now), memory)

    def minibatch(carry, envs):
        params, optimiser_state = carry
        grads, metrics = jax.grad(partial(loss, setup), has_aux=True)(params, _part(setup, batch, envs), now)
        updates, optimiser_state = optimiser.update(grads, optimiser_state, params)
        metrics["grad_norm"] = optax.tree.norm(grads)
        return (optax.apply_updates(params, updates), optimiser_state), metrics

    orders = orders.reshape(setup.epochs * setup.minibatches, -1)
    (params, optimiser_state), metrics = jax.lax.scan(minibatch, (state.params, state.optimiser), orders)
    metrics = {name: value.mean() for name, value in metrics.items()}
    ended = rollout.terminated_after | rollout.truncated_after
    metrics["episodes"] = ended.sum(dtype=jnp.float32)
    metrics["successes"] = rollout.succeeded.sum(dtype=jnp.float32)
    done = jnp.minimum(state.updates, jnp.iinfo(jnp.int32).max - 1) + 1
    return TrainState(params, optimiser_state, actors, done, key), metrics


def train(setup: Setup, state: TrainState, hyper: Hyper, pool: Pool, updates: jax.Array) -> tuple[TrainState, Metrics]:
    """`updates` (int [], traced, at least 1) updates in one program.

    Metrics are means, counts are sums, and the parameters' norm is of the end: if all are numbers, so are all
    losses, gradients and parameters.
    """
    once = jax.jit(partial(update, setup))  # so that it is traced once, for its shapes and for the loop
    shapes = jax.eval_shape(once, state, hyper, pool)[1]
    zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)

    def body(_, carry):
        state, total = carry
        state, metrics = once(state, hyper, pool)
        return state, jax.tree.map(jnp.add, total, metrics)

    state, total = jax.lax.fori_loop(0, updates, body, (state, zeros))
    counts = {"episodes", "successes"}
    means = {name: value if name in counts else value / updates for name, value in total.items()}
    return state, means | {"params_norm": optax.tree.norm(state.params)}
