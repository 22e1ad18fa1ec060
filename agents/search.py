"""Search at test time: Gumbel MuZero with the family as its exact model, guided by a trained network.

Gumbel MuZero (Danihelka et al. 2022) improves on the network's policy with any number of simulations. MuZero's own
search (Schrittwieser et al. 2020) can fall behind it with fewer simulations than actions, and few are studied here.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import mctx

from incentivize.agents.evaluate import Policy, policy_of
from incentivize.agents.memories import Memory
from incentivize.agents.networks import Network, Params
from incentivize.envs.family import Family, State, ends
from incentivize.envs.wrappers.base import Wrapper
from incentivize.envs.wrappers.controls import Shuffled

# The paper's sigma(Q) = (50 + most visits) x 1 x Q. The paper rescales Q by its least and greatest value in the tree.
# Here Q lies between 0 and 1 without that, and rescaling small differences would amplify a poor value function's noise.
SIGMA = partial(mctx.qtransform_completed_by_mix_value, value_scale=1.0, maxvisit_init=50.0, rescale_values=False)


class Node(NamedTuple):
    """A node of the search tree: mctx's embedding.

    Attributes:
        state: the environment's state.
        elapsed: steps taken in the episode, int32 [].
        memory: the network's memory after it observed `state`.
    """

    state: State
    elapsed: jax.Array
    memory: Memory


def search_policy(
    family: Family,
    network: Network,
    params: Params,
    simulations: int,
    *,
    gamma: float | jax.Array,
    values: bool = True,
) -> Policy:
    """Return the policy that searches with `simulations` model steps before every step it takes.

    A simulation is one step of the model and one evaluation of the network. It counts even if its line of play has
    already ended. The network's evaluation of the root is not counted. The search maximises the sparse reward: 1 on
    success, nothing after an end or beyond the time limit. Random dynamics are sampled once per node, so plans may
    rely on luck.

    Args:
        family: the dynamics, and their model in the search.
        network: gives the prior and the value.
        params: the network's parameters.
        simulations: model steps per decision, static; 0 is the network alone.
        gamma: discount per step, float32 [].
        values: whether to use the network's value, clipped to the range from 0 to the number of attempts. Without it,
            as for a network that was only taught actions, the search counts only successes that it has reached.

    Returns:
        A policy whose logits are the logarithms of the search's action weights, float32 [A]: the paper's improved
        policy, softmax(prior + sigma(completed Q)), with -inf for illegal actions. Sample from it, or take its mode.
        (mctx itself picks only visited actions: with one simulation the network's favourite, however badly that ends.)

    Raises:
        ValueError: if `simulations` is negative, or the model would reveal what the agent is not shown.
    """
    _check(family, simulations)
    if not simulations:
        return policy_of(family, network, params)
    root_fn, recurrent_fn = _model(family, network, params, gamma, values)

    def policy(state: State, elapsed: jax.Array, memory: Memory, key: jax.Array) -> tuple[jax.Array, Memory]:
        root = root_fn(state, elapsed, memory)
        illegal = ~family.observe(state).action_mask
        roots, invalid_actions = jax.tree.map(lambda leaf: leaf[None], (root, illegal))  # a batch of one
        output = mctx.gumbel_muzero_policy(
            (), key, roots, recurrent_fn, simulations, invalid_actions, qtransform=SIGMA, gumbel_scale=0.0
        )
        return jnp.log(jnp.asarray(output.action_weights)[0]), root.embedding.memory

    return policy


def _model(
    family: Family, network: Network, params: Params, gamma: float | jax.Array, values: bool
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return mctx's `root_fn` for one state, unbatched, and its `recurrent_fn` for a batch of nodes."""
    # Type checkers see no fields in these.
    root_output, recurrent_output = cast(Any, mctx.RootFnOutput), cast(Any, mctx.RecurrentFnOutput)

    def root_fn(state: State, elapsed: jax.Array, memory: Memory) -> Any:
        logits, value, memory = network.apply(params, family.observe(state), memory)
        value = jnp.clip(value, 0.0, family.attempts) if values else jnp.zeros_like(value)
        return root_output(prior_logits=logits, value=value, embedding=Node(state, elapsed, memory))

    def model_step(action: jax.Array, node: Node, key: jax.Array) -> tuple[Any, Node]:
        state, outcome = family.step(node.state, action, key)
        after = root_fn(state, node.elapsed + 1, node.memory)
        terminated, truncated = ends(family, outcome, node.elapsed + 1)
        reward, discount = outcome.succeeded.astype(jnp.float32), jnp.where(terminated | truncated, 0.0, gamma)
        step = recurrent_output(reward=reward, discount=discount, prior_logits=after.prior_logits, value=after.value)
        return step, after.embedding

    def recurrent_fn(_: tuple[()], key: jax.Array, actions: jax.Array, nodes: Node) -> tuple[Any, Node]:
        return jax.vmap(model_step, in_axes=(0, 0, None))(actions, nodes, key)

    return root_fn, recurrent_fn


def _check(family: Family, simulations: int) -> None:
    """Refuse a search with a model that knows more than the agent is shown."""
    if simulations < 0:
        raise ValueError(f"simulations = {simulations}: must be at least 0. Give 0 for the network alone.")
    if not simulations:
        return
    layers: list[Family] = [family]
    while isinstance(layer := layers[-1], Wrapper):
        layers.append(layer.family)
    if not family.reveals_rule:
        secret = "the rule, which is hidden"
    elif any(isinstance(layer, Shuffled) for layer in layers):
        secret = "the true task, while another's description is shown"
    else:
        return
    model = f"a search with the true model of {type(layers[-1]).__name__}"
    raise ValueError(f"simulations = {simulations}: {model} would reveal {secret}. Set it to 0.")
