"""PPO on gymnax's FourRooms: that of rejax, and ours with the same network and with our own."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import rejax

from benchmarks.four_rooms import PARAMS, ROOMS, FourRooms, SeparateNetworks
from incentivize import rewards
from incentivize.agents import learner as lr
from incentivize.agents import networks, ppo
from incentivize.envs.family import Family
from incentivize.envs.tasks import make_pool

SHAPE: dict[str, int] = {"num_envs": 512, "steps": 16, "epochs": 2, "minibatches": 4}
SMALL: dict[str, int] = SHAPE | {"num_envs": 64}  # for each of many agents
UPDATES, AGENTS = 10, 32  # per call; how many are trained side by side


class Training(NamedTuple):
    """A compiled training program.

    Attributes:
        begin: returns the state of new agents.
        call: from a state (donated) to the state after UPDATES updates.
        steps: environment steps of a call, over all agents.
    """

    begin: Callable[[], Any]
    call: Callable[[Any], Any]
    steps: int


def _compiled(begin: Callable[..., Any], train: Callable[[Any], Any], agents: int, shape: dict[str, int]) -> Training:
    """Compile the training of one agent, or of several vmapped; `begin` takes a seed, uint32 []."""
    if agents > 1:
        begin, train = jax.vmap(begin), jax.vmap(train)
    seeds = jnp.arange(agents, dtype=jnp.uint32) if agents > 1 else jnp.uint32(0)
    start = jax.jit(begin)
    call = jax.jit(train, donate_argnums=0).lower(jax.eval_shape(start, seeds)).compile()
    steps = UPDATES * agents * shape["num_envs"] * shape["steps"]
    return Training(partial(start, seeds), call, steps)


def ours(family: Family, network: Any, agents: int = 1, shape: dict[str, int] = SHAPE) -> Training:
    """Compile our PPO, with a new task of the family in every episode."""
    setup = lr.Setup(family, network, ppo.PPO, rewards.make("sparse"), **shape)
    hyper, pool = lr.Hyper(*map(jnp.float32, lr.Hyper())), make_pool(None)

    def train(state: lr.TrainState) -> lr.TrainState:
        return lr.train(setup, state, hyper, pool, jnp.int32(UPDATES))[0]

    return _compiled(partial(lr.init, setup, pool), train, agents, shape)


def theirs(agents: int = 1, shape: dict[str, int] = SHAPE) -> Training:
    """Compile the PPO of rejax, without its evaluations."""
    algorithm = rejax.get_algo("ppo").create(
        env=ROOMS,
        env_params=PARAMS,
        num_envs=shape["num_envs"],
        num_steps=shape["steps"],
        num_epochs=shape["epochs"],
        num_minibatches=shape["minibatches"],
        learning_rate=lr.Hyper().learning_rate,
        max_grad_norm=lr.Hyper().max_grad_norm,
        gamma=lr.Hyper().gamma,
        gae_lambda=lr.Hyper().lam,
    )

    def train(state: Any) -> Any:
        return jax.lax.fori_loop(0, UPDATES, lambda _, state: algorithm.train_iteration(state), state)

    return _compiled(lambda seed: algorithm.init_state(jax.random.key(seed)), train, agents, shape)


def learners() -> dict[str, Callable[[], Training]]:
    """Return all training programs by name; those that share a name except for the project do the same work."""
    rooms = FourRooms()
    return {
        "ours: two networks of 64 x 64": partial(ours, rooms, SeparateNetworks()),
        "rejax: two networks of 64 x 64": theirs,
        "ours: 32 agents of 64 environments": partial(ours, rooms, SeparateNetworks(), AGENTS, SMALL),
        "rejax: 32 agents of 64 environments": partial(theirs, AGENTS, SMALL),
        "ours: table and 64": partial(ours, rooms, networks.make("mlp", rooms)),
        "ours: table and 64, GRU of 64": partial(ours, rooms, networks.make("mlp", rooms, memory="gru")),
    }
