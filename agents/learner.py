"""Learners: the training loop that both arms share. An arm is an `Algorithm`: targets computed from a rollout, and a
loss. Rollouts, minibatches, optimiser and evaluation are the same code.
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
from incentivize.agents.hyperparameters import Hyper
from incentivize.agents.memories import Memory
from incentivize.agents.networks import Network, Params
from incentivize.agents.rollout import ActorConfig, ActorState, Rollout
from incentivize.agents.sharding import shard
from incentivize.agents.teachers import Teacher
from incentivize.envs.episodes import NearSuccess, StartSampler, refill, start_sampler
from incentivize.envs.family import Family, Playable
from incentivize.envs.tasks import Pool
from incentivize.rewards import Incentive
from incentivize.rewards.taste import near_share

Targets = Any
Metrics = dict[str, jax.Array]
Tree = TypeVar("Tree")


@dataclass(frozen=True)
class Algorithm:
    """A learner arm, incentivized or taught: all that differs between arms; static under `jit`.

    Shapes: T steps of N environments per rollout, of B environments per minibatch; A actions.

    Attributes:
        name: "ppo" or "cloning", as in the rows of results.
        compute_targets: function from a rollout, leaves [T, N, ...], and hyperparameters to the targets that the loss
            needs beside the rollout, leaves [T, N, ...]. Called once per rollout.
        loss: function from logits (float32 [T, B, A]), values (float32 [T, B]), rollout and targets (leaves
            [T, B, ...]) and hyperparameters to the loss, float32 [], and metrics by name, float32 [] each.
    """

    name: str
    compute_targets: Callable[[Rollout, Hyper], Targets]
    loss: Callable[[jax.Array, jax.Array, Rollout, Targets, Hyper], tuple[jax.Array, Metrics]]


@dataclass(frozen=True)
class Setup:
    """The static part of training: all that fixes shapes and code. One `Setup` is one compilation.

    Attributes:
        family: the task family, or a mixture of families with equal shares of the environments.
        network: the policy and the value function.
        algorithm: the learner arm.
        reward: the incentive that pays for steps.
        teacher: the source of labels of a taught arm. None: no labels.
        num_envs: N, environments stepped in parallel; a multiple of the number of families and of `minibatches`.
        steps: T, steps of each environment per update.
        epochs: passes over each rollout.
        minibatches: gradient steps per pass, each on N / minibatches environments, whole in time.
        mesh: devices that divide the environments among them. None: one device has all of them.

    Raises:
        ValueError: if the environments cannot be divided evenly among families or devices.
    """

    family: Playable
    network: Network
    algorithm: Algorithm
    reward: Incentive
    teacher: Teacher | None = None
    num_envs: int = 512
    steps: int = 16
    epochs: int = 2
    minibatches: int = 4
    mesh: Mesh | None = None

    def __post_init__(self) -> None:
        families, minibatch = len(self.family.members), self.num_envs // self.minibatches
        if self.mesh is not None and minibatch % self.mesh.size:
            raise ValueError(
                f"num_envs / minibatches = {minibatch}: must be a multiple of {self.mesh.size} devices. "
                "Change num_envs, minibatches or the number of devices."
            )
        if self.num_envs % families:
            raise ValueError(f"num_envs = {self.num_envs}: must be a multiple of {families} families. Round it up.")

    @property
    def actor_configs(self) -> tuple[ActorConfig, ...]:
        """The configuration of rollouts, family by family."""
        return tuple(ActorConfig(member, self.network, self.reward, self.teacher) for member in self.family.members)

    @property
    def steps_per_update(self) -> int:
        """Environment steps per update."""
        return self.num_envs * self.steps


class TrainState(NamedTuple):
    """The state of training: all that the next update needs, and all that a checkpoint saves.

    Attributes:
        params: the network's parameters, float32 leaves.
        optimiser: the state of Adam and of gradient clipping.
        actors: the environments family by family, N / families each, leaves [N / families, ...].
        updates: updates done so far, int32 []; stays at its largest value, where every schedule is over.
        key: the key of the updates to come.
    """

    params: Params
    optimiser: optax.OptState
    actors: tuple[ActorState, ...]
    updates: jax.Array
    key: jax.Array


class Batch(NamedTuple):
    """Whole sequences of B environments, which a loss is computed on.

    Attributes:
        rollout: T steps of B environments, leaves [T, B, ...].
        targets: the algorithm's targets, leaves [T, B, ...].
        memory: the network's memories before the first step, leaves [B, ...].
    """

    rollout: Rollout
    targets: Targets
    memory: Memory


def _optimiser(hyper: Hyper) -> optax.GradientTransformation:
    """Return Adam with global-norm clipping before it; epsilon 1e-5 as in PPO's reference implementation."""
    return optax.chain(
        optax.clip_by_global_norm(hyper.max_grad_norm),
        optax.scale_by_adam(eps=1e-5),
        optax.add_decayed_weights(hyper.weight_decay),
        optax.scale_by_learning_rate(hyper.learning_rate),
    )


def _start_sampler(config: ActorConfig, pool: Pool, hyper: Hyper, steps: jax.Array) -> StartSampler:
    """Return the sampler of starting states after `steps` (float32 []) environment steps."""
    frozen = config.teacher is not None and config.teacher.frozen
    return training_start_sampler(config.family, pool, hyper, steps, tastes=config.reward.tastes, frozen=frozen)


def training_start_sampler(
    family: Family, pool: Pool, hyper: Hyper, steps: jax.Array, *, tastes: bool, frozen: bool
) -> StartSampler:
    """Return the sampler of the starting states of training, unbatched.

    Args:
        family: the family of the starting states.
        pool: the training tasks.
        hyper: hyperparameters, float32 [] each; `taste`, `taste_steps`, `near` and `demonstrations` are used.
        steps: environment steps so far, float32 [].
        tastes: whether a share of the episodes begins near success.
        frozen: whether there are only as many starting states as `hyper.demonstrations`.
    """
    near = NearSuccess(near_share(hyper, steps), jnp.asarray(hyper.near, jnp.int32)) if tastes else None
    return start_sampler(family, pool, near, jnp.asarray(hyper.demonstrations, jnp.uint32) if frozen else None)


def init(setup: Setup, pool: Pool, seed: jax.Array, hyper: Hyper | None = None) -> TrainState:
    """Start training with fresh parameters and environments.

    Args:
        setup: the static part of training.
        pool: the training tasks.
        seed: seed of all random numbers of training, uint32 [].
        hyper: hyperparameters, float32 [] each; only those that decide how episodes begin are used. None: the defaults.

    Returns:
        The state before the first update.
    """
    hyper = Hyper() if hyper is None else hyper
    key_params, key_actors, key = jax.random.split(jax.random.key(seed), 3)
    params = setup.network.init(key_params)
    keys = jax.random.split(key_actors, len(setup.actor_configs))
    envs_per_family = setup.num_envs // len(setup.actor_configs)
    actors = tuple(
        ro.init(config, _start_sampler(config, pool, hyper, jnp.float32(0)), key_family, envs_per_family, setup.steps)
        for config, key_family in zip(setup.actor_configs, keys, strict=True)
    )
    return TrainState(params, _optimiser(hyper).init(params), shard(setup.mesh, actors), jnp.int32(0), key)


def forward(setup: Setup, params: Params, rollout: Rollout, memory: Memory) -> tuple[jax.Array, jax.Array]:
    """Apply the network to the observations of whole sequences.

    Args:
        setup: gives the network.
        params: the network's parameters.
        rollout: T steps of B environments, leaves [T, B, ...].
        memory: the network's memories before the first step, leaves [B, ...].

    Returns:
        Logits, float32 [T, B, A], and values, float32 [T, B].
    """
    steps = rollout.observation, rollout.reset_before
    observations, reset_before = jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), steps)
    logits, values, _ = setup.network.sequences(params, observations, reset_before, memory)
    return logits.swapaxes(0, 1), values.swapaxes(0, 1)


def loss(setup: Setup, params: Params, batch: Batch, hyper: Hyper) -> tuple[jax.Array, Metrics]:
    """Compute the algorithm's loss on whole sequences of B environments.

    Args:
        setup: gives the network and the algorithm.
        params: the network's parameters, with respect to which the loss is differentiated.
        batch: T steps of B environments, leaves [T, B, ...], and memories, leaves [B, ...].
        hyper: hyperparameters, float32 [] each, with schedules applied.

    Returns:
        The loss, float32 [], and metrics by name, float32 [] each.
    """
    logits, values = forward(setup, params, batch.rollout, batch.memory)
    return setup.algorithm.loss(logits, values, batch.rollout, batch.targets, hyper)


def collect(
    setup: Setup, state: TrainState, pool: Pool, key: jax.Array, hyper: Hyper
) -> tuple[tuple[ActorState, ...], Rollout]:
    """Collect a rollout of T steps from the N environments of all families.

    Args:
        setup: the static part of training.
        state: gives the parameters, the environments and the number of updates done.
        pool: the training tasks.
        key: a key for starting states and the rollout; consumed.
        hyper: hyperparameters, float32 [] each, with schedules applied.

    Returns:
        The environments after the rollout, family by family, leaves [N / families, ...]; and the rollout, leaves
        [T, N, ...], with the families side by side in order.
    """
    collected = []
    steps = state.updates.astype(jnp.float32) * setup.steps_per_update
    keys = jax.random.split(key, len(setup.actor_configs))
    for config, actors, key_family in zip(setup.actor_configs, state.actors, keys, strict=True):
        key_bank, key_rollout = jax.random.split(key_family)
        bank = refill(actors.bank, _start_sampler(config, pool, hyper, steps), key_bank)
        actors = actors._replace(bank=bank)
        collected.append(ro.collect(config, state.params, actors, key_rollout, setup.steps, hyper))
    actors, rollouts = zip(*collected, strict=True)
    return shard(setup.mesh, actors), shard(setup.mesh, side_by_side(rollouts, axis=1), axis=1)


def side_by_side(trees: Sequence[Tree], axis: int) -> Tree:
    """Concatenate trees of equal structure along `axis`, the axis of environments."""
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis), *trees)


def _minibatch(setup: Setup, batch: Batch, envs: jax.Array) -> Batch:
    """Return the sequences of the environments with indices `envs`, integers [B]."""
    sequences = jax.tree.map(lambda leaf: leaf[:, envs], (batch.rollout, batch.targets))
    memory = jax.tree.map(lambda leaf: leaf[envs], batch.memory)
    rollout, targets = shard(setup.mesh, sequences, axis=1)
    return Batch(rollout, targets, shard(setup.mesh, memory))


def update(setup: Setup, state: TrainState, hyper: Hyper, pool: Pool) -> tuple[TrainState, Metrics]:
    """Collect one rollout and take `epochs` x `minibatches` gradient steps on it.

    A minibatch has N / minibatches environments, whole in time.

    Args:
        setup: the static part of training.
        state: the state before the update.
        hyper: hyperparameters, float32 [] each, before schedules.
        pool: the training tasks.

    Returns:
        The state after the update, and metrics by name, float32 [] each. "episodes" and "successes" count those that
        ended in the rollout; all others are means over the gradient steps.
    """
    key, key_rollout, key_epochs = jax.random.split(state.key, 3)
    current = hyper.at(state.updates.astype(jnp.float32) * setup.steps_per_update)
    memory = side_by_side([actors.memory for actors in state.actors], axis=0)
    actors, rollout = collect(setup, state, pool, key_rollout, current)
    optimiser = _optimiser(current)
    keys = jax.random.split(key_epochs, setup.epochs)
    orders = jax.vmap(jax.random.permutation, in_axes=(0, None))(keys, setup.num_envs)
    batch = Batch(rollout, setup.algorithm.compute_targets(rollout, current), memory)

    def gradient_step(carry, envs):
        params, optimiser_state = carry
        grads, metrics = jax.grad(partial(loss, setup), has_aux=True)(params, _minibatch(setup, batch, envs), current)
        updates, optimiser_state = optimiser.update(grads, optimiser_state, params)
        metrics["grad_norm"] = optax.tree.norm(grads)
        return (optax.apply_updates(params, updates), optimiser_state), metrics

    orders = orders.reshape(setup.epochs * setup.minibatches, -1)
    (params, optimiser_state), metrics = jax.lax.scan(gradient_step, (state.params, state.optimiser), orders)
    metrics = {name: value.mean() for name, value in metrics.items()}
    ended = rollout.terminated_after | rollout.truncated_after
    metrics["episodes"] = ended.sum(dtype=jnp.float32)
    metrics["successes"] = rollout.succeeded.sum(dtype=jnp.float32)
    updates_done = jnp.minimum(state.updates, jnp.iinfo(jnp.int32).max - 1) + 1
    return TrainState(params, optimiser_state, actors, updates_done, key), metrics


def train(setup: Setup, state: TrainState, hyper: Hyper, pool: Pool, updates: jax.Array) -> tuple[TrainState, Metrics]:
    """Run several updates in one program.

    Args:
        setup: the static part of training.
        state: the state before the first update.
        hyper: hyperparameters, float32 [] each, before schedules.
        pool: the training tasks.
        updates: number of updates, at least 1, int32 [], traced.

    Returns:
        The state after the last update, and metrics by name, float32 [] each: means over the updates, but sums for
        "episodes" and "successes", and the final norm for "params_norm". If no metric is NaN, then no loss, gradient
        or parameter is.
    """
    update_once = jax.jit(partial(update, setup))  # traced once, for its shapes and for the loop
    shapes = jax.eval_shape(update_once, state, hyper, pool)[1]
    zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)

    def body(_, carry):
        state, total = carry
        state, metrics = update_once(state, hyper, pool)
        return state, jax.tree.map(jnp.add, total, metrics)

    state, total = jax.lax.fori_loop(0, updates, body, (state, zeros))
    counts = {"episodes", "successes"}
    means = {name: value if name in counts else value / updates for name, value in total.items()}
    return state, means | {"params_norm": optax.tree.norm(state.params)}
