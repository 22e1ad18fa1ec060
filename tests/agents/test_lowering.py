"""Every family and learner lowers for accelerators, as far as a machine without one can tell."""

import jax
import jax.numpy as jnp
import pytest
from jax import export

from incentivize import envs, rewards
from incentivize.agents import cloning, learner, networks, ppo
from incentivize.agents.evaluate import evaluate
from incentivize.agents.search import search_policy
from incentivize.agents.teachers import TEACHERS
from incentivize.envs.tasks import make_pool

PLATFORMS = ("cuda", "tpu")
LEARNERS = {
    "incentivized": (ppo.PPO, None, "sparse+hunger+taste"),
    "taught": (cloning.CLONING, "dagger", "sparse"),
    "taught first": (cloning.CLONING_WITH_VALUES, "fair-dagger", "sparse"),
}


@pytest.mark.slow
@pytest.mark.parametrize("who", LEARNERS)
@pytest.mark.parametrize("name", envs.names())
def test_training_and_evaluation_lower_for_gpu_and_tpu(name, who):
    """Export a whole run: initialisation, updates, evaluation. The exported program is not executed."""
    family, (algorithm, teacher, reward) = envs.make(name), LEARNERS[who]
    network = networks.make("pairs", family, width=16, memory="gru")
    labeller = TEACHERS[teacher] if teacher else None
    setup = learner.Setup(family, network, algorithm, rewards.make(reward), labeller, num_envs=16, steps=8)
    hyper = learner.Hyper(*map(jnp.float32, learner.Hyper()))

    def run(pool, seed, hyper, key):
        state, metrics = learner.train(setup, learner.init(setup, pool, seed, hyper), hyper, pool, jnp.int32(2))
        tasks = family.tasks.member(make_pool(8, split="heldout"), jnp.uint32(0))[None]
        thinks = 2 if family.reveals_rule else 0
        policy = search_policy(family, network, state.params, thinks, gamma=hyper.gamma, values=True)
        return metrics, evaluate(family, policy, network.initial_memory(), tasks, key, instances=2)

    exported = export.export(jax.jit(run), platforms=PLATFORMS)(
        make_pool(None), jnp.uint32(0), hyper, jax.random.key(0)
    )
    assert exported.platforms == PLATFORMS
    assert len(exported.mlir_module_serialized) > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("kind", networks.ENCODERS)
@pytest.mark.parametrize("memory", networks.MEMORIES)
def test_networks_lower_for_gpu_and_tpu(kind, memory):
    network = networks.make(kind, envs.make("puzzles"), width=8, memory=memory)

    def loss(params, observations):
        logits, values, _ = network.unroll(params, observations, jnp.zeros(4, bool), network.initial_memory())
        return logits.max() + values.sum()

    params = jax.eval_shape(network.init, jax.random.key(0))
    family = envs.make("puzzles")
    state = jax.eval_shape(family.init, jax.random.key(0), jnp.zeros(len(family.tasks.radices), family.tasks.dtype))
    observation = jax.eval_shape(family.observe, state)
    observations = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((4, *leaf.shape), leaf.dtype), observation)
    exported = export.export(jax.jit(jax.grad(loss)), platforms=PLATFORMS)(params, observations)
    assert exported.platforms == PLATFORMS
