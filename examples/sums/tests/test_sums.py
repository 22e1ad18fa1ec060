"""The whole contract in one line, and what is this family's own."""

import jax
import jax.numpy as jnp
import pytest
from incentivize_sums.reward import stakes

from incentivize import envs
from incentivize.envs.contract import CHECKS
from incentivize.envs.family import outcome
from incentivize.rewards import Transition


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_family_keeps_the_contract(check):
    """Check one clause of the contract that every family keeps."""
    check(envs.make("sums"))


def test_three_and_four_are_two_modulo_five():
    """Compare the expert's action with a sum that was worked out by hand."""
    family = envs.make("sums")
    state = family.init(jax.random.key(0), jnp.array([3] * 6, jnp.uint8))._replace(add=jnp.uint8(4))
    assert family.expert(state).argmax() == 2


@pytest.mark.parametrize(("failed", "paid"), [(True, -1.0), (False, 0.0)])
def test_only_a_failure_costs(failed, paid):
    """Compare what the reward pays for a failure, and for a success."""
    ended = outcome(jnp.bool_(not failed), jnp.bool_(failed))
    move = Transition(None, jnp.int32(0), None, ended, jnp.int32(0), jax.random.key(0))
    assert stakes(envs.make("sums"), move, None) == paid
