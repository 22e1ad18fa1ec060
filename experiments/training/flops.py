"""Floating-point operations of a decision, as the compiler counts them."""

from functools import lru_cache

import jax
import jax.numpy as jnp

from incentivize.agents.networks import Network
from incentivize.envs.family import Observation


@lru_cache
def forward_flops(network: Network) -> int:
    """Count the floating-point operations of one forward pass over one observation.

    The count is XLA's, before optimisation: a table look-up counts as the matrix product it is written as.
    """
    spec = network.spec
    observation = Observation(
        context=jnp.zeros(len(spec.context), jnp.uint8),
        entities=jnp.zeros((spec.num_entities, len(spec.entity)), jnp.uint8),
        entity_mask=jnp.ones(spec.num_entities, bool),
        action_mask=jnp.ones(network.num_actions, bool),
    )
    params = network.shapes()
    cost = jax.jit(network.apply).lower(params, observation, network.initial_memory()).cost_analysis()
    return round((cost or {}).get("flops", 0))
