import jax.numpy as jnp
import pytest

import rewards
from envs.family import outcome


@pytest.mark.parametrize(
    ("succeeded", "failed", "cost", "expected"), [(True, False, 0, 1), (False, True, 0, 0), (False, False, 0.25, -0.25)]
)
def test_sparse_pays_success_and_charges_costs_only(succeeded, failed, cost, expected):
    reward = rewards.make("sparse")
    for t in (0, 9):
        paid = reward(None, jnp.int32(0), None, outcome(succeeded, failed, cost), jnp.int32(t))
        assert float(paid) == expected
        assert paid.dtype == jnp.float32


def test_an_unknown_reward_is_refused():
    with pytest.raises(ValueError, match="reward='spares': want one of sparse"):
        rewards.make("spares")
