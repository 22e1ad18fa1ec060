"""The log-likelihood of the expert's actions is known for policies that follow the expert by a known share."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs
from incentivize.agents.likelihood import MIN_LOG_PROBABILITY, expert_log_likelihood

SHARE = 0.7


def heeding(family, kind, share):
    """Return a policy that gives the expert's actions the probability `share` in total."""

    def policy(state, elapsed, memory, key):
        best = family.expert(state, kind) > 0
        mass = jnp.where(best, share / best.sum(), (1 - share) / jnp.maximum((~best).sum(), 1))
        return jnp.log(mass), memory + 1

    return policy


@partial(jax.jit, static_argnums=(0, 1))
def _likelihood(family, kind, share, tasks, key):
    return expert_log_likelihood(family, heeding(family, kind, share), jnp.int32(0), tasks, key)


def likelihood(name, kind, share, seed):
    """Return the log-likelihood of the expert's actions on 16 tasks, and the numbers of decisions."""
    family = envs.make(name)
    tasks = np.stack([family.tasks.heldout(ordinal) for ordinal in range(16)])
    return jax.device_get(_likelihood(family, kind, np.float32(share), tasks, jax.random.key(seed)))


@pytest.mark.parametrize("name", ["mazes", "puzzles"])
def test_each_decision_counts_as_much_as_the_policy_heeds_the_expert(name):
    total, decisions = likelihood(name, "informed", SHARE, seed=0)
    assert total.dtype == np.float32
    assert ((decisions >= 1) & (decisions <= envs.make(name).horizon)).all()
    np.testing.assert_allclose(total, decisions * np.log(SHARE), rtol=1e-5)


def test_where_the_rule_is_hidden_it_is_the_expert_who_knows_what_was_shown():
    fair, informed = (likelihood("codebooks", kind, 0.99, seed=0)[0].sum() for kind in ("fair", "informed"))
    assert informed < 10 * fair < 0  # one who does not probe is far from one who does


def test_it_is_the_expert_that_plays():
    """Episodes are as long as the expert's, whatever the policy."""
    for share in (0.01, 0.99):
        _, decisions = likelihood("puzzles", "informed", share, seed=1)
        assert (decisions == 2).all()


def test_what_has_no_probability_is_told_with_an_end():
    total, decisions = likelihood("puzzles", "informed", 0.0, seed=1)
    np.testing.assert_allclose(total, MIN_LOG_PROBABILITY * decisions)
