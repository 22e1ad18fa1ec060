"""Thinking at test time: tree search with the family as its own model, guided by a trained network.

Gumbel MuZero (Danihelka et al. 2022) and not MuZero's own search (Schrittwieser et al. 2020): few simulations are the
question here, and it improves on the network's policy at any number of them, where the other can fall behind it with
fewer simulations than actions. The model is exact: the family's own step instead of a learnt one.
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

# The paper's sigma(Q) = (50 + most visits) x 1 x Q. It normalises Q by the least and the greatest found; here Q lies
# between 0 and 1 by itself, and stretching small differences would make much of a poor value function's noise.
SIGMA = partial(mctx.qtransform_completed_by_mix_value, value_scale=1.0, maxvisit_init=50.0, rescale_values=False)


class Node(NamedTuple):
    """Where a line of play has led."""

    state: State
    elapsed: jax.Array  # int32 []: steps taken in the episode
    memory: Memory  # after this state was observed


def search_policy(
    family: Family,
    network: Network,
    params: Params,
    simulations: int,
    *,
    gamma: float | jax.Array,
    values: bool = True,
) -> Policy:
    """The policy of a network that tries `simulations` steps in its mind before each that it takes.

    A simulation is one step of the model and one evaluation of the network, counted also where the line of play ended
    before. (The network's look at the present comes on top, as it does without search.) The incentive is the sparse
    one: 1 on success, and nothing after an end or beyond the time limit. Where the dynamics are random, a step is drawn
    once per node, so that plans may count on luck.

    Args:
        family: the dynamics, and the model of them.
        network: gives the prior and the value.
        params: of the network.
        simulations: model steps per decision, static; 0 is the network alone.
        gamma: discount per step.
        values: whether the network's value is believed (between 0 and the number of attempts, as far as successes go).
            A network that was only taught actions has none: its search counts successes it has seen.

    Returns:
        A policy whose logits are the logarithms of the search's action weights: the paper's improved policy,
        softmax(prior + sigma(completed Q)), with -inf for illegal actions. A drawn action is a draw from it, the greedy
        one its mode. (mctx itself plays only what it tried: with a single simulation the network's favourite, however
        badly that ends.)

    Raises:
        ValueError: where the model would tell what the agent is not shown.
    """
    _check(family, simulations)
    if not simulations:
        return policy_of(family, network, params)
    look, imagine = _model(family, network, params, gamma, values)

    def policy(state: State, elapsed: jax.Array, memory: Memory, key: jax.Array) -> tuple[jax.Array, Memory]:
        root = look(state, elapsed, memory)
        batch = jax.tree.map(lambda leaf: leaf[None], (root, ~family.observe(state).action_mask))  # a batch of one
        found = mctx.gumbel_muzero_policy(
            (), key, batch[0], imagine, simulations, batch[1], qtransform=SIGMA, gumbel_scale=0.0
        )
        return jnp.log(jnp.asarray(found.action_weights)[0]), root.embedding.memory

    return policy


def _model(
    family: Family, network: Network, params: Params, gamma: float | jax.Array, values: bool
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What is thought of a state (unbatched), and of an action in a node (as mctx asks for it: in a batch of one)."""
    # Type checkers see no fields in these.
    root_of, step_of = cast(Any, mctx.RootFnOutput), cast(Any, mctx.RecurrentFnOutput)

    def look(state: State, elapsed: jax.Array, memory: Memory) -> Any:
        logits, value, memory = network.apply(params, family.observe(state), memory)
        value = jnp.clip(value, 0.0, family.attempts) if values else jnp.zeros_like(value)
        return root_of(prior_logits=logits, value=value, embedding=Node(state, elapsed, memory))

    def imagine(action: jax.Array, node: Node, key: jax.Array) -> tuple[Any, Node]:
        state, outcome = family.step(node.state, action, key)
        after = look(state, node.elapsed + 1, node.memory)
        terminated, truncated = ends(family, outcome, node.elapsed + 1)
        reward, discount = outcome.succeeded.astype(jnp.float32), jnp.where(terminated | truncated, 0.0, gamma)
        step = step_of(reward=reward, discount=discount, prior_logits=after.prior_logits, value=after.value)
        return step, after.embedding

    return look, lambda _, key, action, node: jax.vmap(imagine, in_axes=(0, 0, None))(action, node, key)


def _check(family: Family, simulations: int) -> None:
    """Refuse what cannot be searched, or must not."""
    if simulations < 0:
        raise ValueError(f"simulations={simulations}: want 0 or more")
    if not simulations:
        return
    layers: list[Family] = [family]
    while isinstance(layer := layers[-1], Wrapper):
        layers.append(layer.family)
    asked = f"simulations={simulations}: a search with the true model of {type(layers[-1]).__name__} would tell"
    if not family.reveals_rule:
        raise ValueError(f"{asked} the rule, which is hidden here; want 0")
    if any(isinstance(layer, Shuffled) for layer in layers):
        raise ValueError(f"{asked} the true task, where another's description is shown; want 0")
