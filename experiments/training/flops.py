"""How many floating-point operations a decision takes, as the compiler counts them."""

from functools import lru_cache

import jax
import jax.numpy as jnp

from incentivize.agents.networks import Network
from incentivize.envs.family import Observation


@lru_cache
def forward_flops(network: Network) -> int:
    """Of one forward pass over one observation.

    By XLA's own count, before it optimises: a table that integers are looked up in counts as the matrix product it is
    written as.
    """
    spec = network.spec
    observation = Observation(
        context=jnp.zeros(len(spec.context), jnp.uint8),
        entities=jnp.zeros((spec.num_entities, len(spec.entity)), jnp.uint8),
        entity_mask=jnp.ones(spec.num_entities, bool),
        action_mask=jnp.ones(network.num_actions, bool),
    )
    params = jax.eval_shape(network.init, jax.random.key(0))
    counted = jax.jit(network.apply).lower(params, observation, network.initial_memory()).cost_analysis()
    return round((counted or {}).get("flops", 0))
