"""Random rollouts of many environments, which compare families with each other and with other projects."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from incentivize import envs
from incentivize.envs import episodes as ep
from incentivize.envs.tasks import make_pool

NUM_ENVS, STEPS, ROLLOUTS = 1024, 32, 8  # a call makes ROLLOUTS x STEPS steps in each environment


class BatchedEnv(NamedTuple):
    """N environments side by side that reset themselves, of any project.

    Attributes:
        num_actions: the number of actions.
        fresh: function from a key and N to N freshly reset environments.
        begin: function from freshly reset environments to the carry of a rollout.
        prepare: function from a carry and a key to a carry, every STEPS steps; the identity in most projects.
        step: function from a carry, actions int32 [N] and keys [N] to the carry after a step.
        observe: function from a carry to observations, leaves [N, ...].
    """

    num_actions: int
    fresh: Callable[[jax.Array, int], Any]
    begin: Callable[[Any], Any]
    prepare: Callable[[Any, jax.Array], Any]
    step: Callable[[Any, jax.Array, jax.Array], Any]
    observe: Callable[[Any], Any]


class RolloutProgram(NamedTuple):
    """A compiled program of random rollouts.

    Attributes:
        begin: function from a key to the first carry.
        call: function from a carry (donated) and a key to the next carry and a checksum, int32 [].
        steps: environment steps of a call, over all environments.
    """

    begin: Callable[[jax.Array], Any]
    call: Callable[[Any, jax.Array], tuple[Any, jax.Array]]
    steps: int


def batched_env(name: str) -> BatchedEnv:
    """Batch a family: every environment has a task of its own, and a new one after every reset."""
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
    """Compile random rollouts of environments.

    Random actions and keys are drawn before a rollout. A call returns a checksum over all observations, so that none is
    compiled away.
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
    """Return a call without arguments, which continues where the previous call ended and returns a checksum."""
    carry, key = program.begin(jax.random.key(0)), jax.random.key(1)

    def call() -> jax.Array:
        nonlocal carry, key
        key, key_call = jax.random.split(key)
        carry, total = program.call(carry, key_call)
        return total

    return call


def bits(tree: Any) -> Any:
    """Reinterpret float32 leaves as uint32, bit by bit; other leaves stay as they are."""

    def integer(leaf: jax.Array) -> jax.Array:
        floating = jnp.issubdtype(leaf.dtype, jnp.floating)
        return jax.lax.bitcast_convert_type(leaf, jnp.uint32) if floating else leaf

    return jax.tree.map(integer, tree)


def checksum(sums: Any, observation: Any) -> Any:
    """Fold observations into checksums, leaves [N, ...] each.

    Folding is elementwise, so that reading an observation costs what its bytes cost. A sum over all of them at every
    step took longer than most steps.
    """
    return jax.tree.map(jnp.bitwise_xor, sums, bits(observation))
