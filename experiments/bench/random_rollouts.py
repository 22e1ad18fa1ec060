"""Random actions in many environments: the program that compares families, and families with others' environments."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from incentivize import envs
from incentivize.envs import episodes as ep
from incentivize.envs.tasks import make_pool

NUM_ENVS, STEPS, ROLLOUTS = 1024, 32, 8  # a call makes ROLLOUTS x STEPS steps of each


class BatchedEnv(NamedTuple):
    """Environments that reset themselves, N side by side, whoever wrote them.

    Attributes:
        num_actions: A.
        fresh: from a key and N to as many worlds at their start.
        begin: from those to what there is to carry from step to step.
        prepare: what is done every STEPS steps, with a key; nothing in most.
        step: from what is carried, actions int32 [N] and keys [N] to the same after a step.
        observe: what is seen of it, leaves [N, ...].
    """

    num_actions: int
    fresh: Callable[[jax.Array, int], Any]
    begin: Callable[[Any], Any]
    prepare: Callable[[Any, jax.Array], Any]
    step: Callable[[Any, jax.Array, jax.Array], Any]
    observe: Callable[[Any], Any]


class RolloutProgram(NamedTuple):
    """Compiled: the worlds at first, and a call of so many environment steps, from one call's worlds to the next's."""

    begin: Callable[[jax.Array], Any]
    call: Callable[[Any, jax.Array], tuple[Any, jax.Array]]
    steps: int


def batched_env(name: str) -> BatchedEnv:
    """A family, every environment on a task of its own, every reset on a new one."""
    family = envs.make(name)
    draw = ep.start_sampler(family, make_pool(None))

    def fresh(key: jax.Array, num_envs: int) -> ep.Episodes:
        return ep.init(draw, key, num_envs)

    def begin(episodes: ep.Episodes) -> Any:
        return episodes, ep.empty_bank(draw, len(episodes.elapsed) * STEPS)

    def prepare(carry: Any, key: jax.Array) -> Any:
        return carry[0], ep.refill(carry[1], draw, key)

    def step(carry: Any, actions: jax.Array, keys: jax.Array) -> Any:
        return ep.step(family, carry[0], actions, keys, carry[1])[:2]

    def observe(carry: Any) -> Any:
        return jax.vmap(family.observe)(carry[0].state)

    return BatchedEnv(family.num_actions, fresh, begin, prepare, step, observe)


def rollout_program(world: BatchedEnv, num_envs: int = NUM_ENVS, rollouts: int = ROLLOUTS) -> RolloutProgram:
    """The program of a world.

    What is random about actions and steps is drawn before a rollout. What is returned is `checksum` over all
    observations, so that none is compiled away.
    """

    def rollout(carry: Any, key: jax.Array) -> tuple[Any, None]:
        key_prepare, key_act, key_step = jax.random.split(key, 3)
        actions = jax.random.randint(key_act, (STEPS, num_envs), 0, world.num_actions)
        keys = jax.random.split(key_step, (STEPS, num_envs))

        def step(carry: Any, drawn: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
            worlds, sums = carry
            worlds = world.step(worlds, *drawn)
            return (worlds, checksum(sums, world.observe(worlds))), None

        return jax.lax.scan(step, (world.prepare(carry[0], key_prepare), carry[1]), (actions, keys))

    def call(worlds: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        sums = jax.tree.map(jnp.zeros_like, bits(world.observe(worlds)))
        (worlds, sums), _ = jax.lax.scan(rollout, (worlds, sums), jax.random.split(key, rollouts))
        return worlds, jnp.stack([leaf.sum(dtype=jnp.int32) for leaf in jax.tree.leaves(sums)]).sum()

    begin = jax.jit(lambda key: world.begin(world.fresh(key, num_envs)))
    worlds = jax.eval_shape(begin, jax.random.key(0))
    compiled = jax.jit(call, donate_argnums=0).lower(worlds, jax.random.key(0)).compile()
    return RolloutProgram(begin, compiled, rollouts * STEPS * num_envs)


def as_thunk(program: RolloutProgram) -> Callable[[], jax.Array]:
    """A call without arguments, which goes on from where the last one has left the worlds."""
    worlds, key = program.begin(jax.random.key(0)), jax.random.key(1)

    def call() -> jax.Array:
        nonlocal worlds, key
        key, own = jax.random.split(key)
        worlds, sums = program.call(worlds, own)
        return sums

    return call


def bits(tree: Any) -> Any:
    """The same arrays, those of floating-point numbers as the integers that stand for them."""

    def exact(leaf: jax.Array) -> jax.Array:
        floating = jnp.issubdtype(leaf.dtype, jnp.floating)
        return jax.lax.bitcast_convert_type(leaf, jnp.uint32) if floating else leaf

    return jax.tree.map(exact, tree)


def checksum(sums: Any, observation: Any) -> Any:
    """Observations [N, ...] folded into checksums of the same shapes: what every benchmark does with them.

    Folded elementwise, so that reading an observation costs what its bytes cost: adding all of them up into one number
    at every step took longer than most steps.
    """
    return jax.tree.map(jnp.bitwise_xor, sums, bits(observation))
