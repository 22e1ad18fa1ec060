"""The log-likelihood of the expert's actions is known for policies that follow the expert by a known share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs
from incentivize.agents.likelihood import MIN_LOG_PROBABILITY, expert_log_likelihood

SHARE = 0.7


def tasks_of(family, count):
    return jnp.stack([jnp.asarray(family.tasks.heldout(i)) for i in range(count)])


def heeding(family, kind, share):
    """Return a policy that gives the expert's actions the probability `share` in total."""

    def policy(state, elapsed, memory, key):
        best = family.expert(state, kind) > 0
        mass = jnp.where(best, share / best.sum(), (1 - share) / jnp.maximum((~best).sum(), 1))
        return jnp.log(mass), memory + 1

    return policy


@pytest.mark.parametrize("name", ["mazes", "puzzles"])
def test_each_decision_counts_as_much_as_the_policy_heeds_the_expert(name):
    family = envs.make(name)
    result = expert_log_likelihood(
        family, heeding(family, "informed", SHARE), jnp.int32(0), tasks_of(family, 16), jax.random.key(0)
    )
    total, decisions = map(np.array, result)
    assert total.dtype == np.float32
    assert ((decisions >= 1) & (decisions <= family.horizon)).all()
    np.testing.assert_allclose(total, decisions * np.log(SHARE), rtol=1e-5)


def test_where_the_rule_is_hidden_it_is_the_expert_who_knows_what_was_shown():
    family = envs.make("codebooks")
    tasks = tasks_of(family, 16)
    fair, informed = (
        expert_log_likelihood(family, heeding(family, kind, 0.99), jnp.int32(0), tasks, jax.random.key(0))[0].sum()
        for kind in ("fair", "informed")
    )
    assert informed < 10 * fair < 0  # one who does not probe is far from one who does


def test_it_is_the_expert_that_plays():
    """Episodes are as long as the expert's, whatever the policy."""
    family = envs.make("puzzles")
    for share in (0.01, 0.99):
        _, decisions = expert_log_likelihood(
            family, heeding(family, "informed", share), (jnp.int32(0)), tasks_of(family, 8), jax.random.key(1)
        )
        assert (np.array(decisions) == 2).all()


def test_what_has_no_probability_is_told_with_an_end():
    family = envs.make("puzzles")
    total, decisions = expert_log_likelihood(
        family, heeding(family, "informed", 0.0), jnp.int32(0), tasks_of(family, 4), jax.random.key(1)
    )
    np.testing.assert_allclose(total, MIN_LOG_PROBABILITY * np.array(decisions))
