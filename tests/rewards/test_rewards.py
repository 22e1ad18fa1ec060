import jax
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
        paid = reward(None, jnp.int32(0), None, outcome(succeeded, failed, cost), jnp.int32(t), jax.random.key(0))
        assert float(paid) == expected
        assert paid.dtype == jnp.float32


def test_an_unknown_reward_is_refused():
    with pytest.raises(ValueError, match="reward='spares': want one of random, sparse"):
        rewards.make("spares")


def test_random_pays_the_same_for_everything():
    keys = jax.random.split(jax.random.key(0), 20_000)
    won, lost = (
        jax.vmap(lambda key, end=end: rewards.make("random")(None, jnp.int32(0), None, end, jnp.int32(0), key))(keys)
        for end in (outcome(True), outcome(False, True, 0.5))
    )
    assert (won == lost).all()
    assert won.dtype == jnp.float32
    assert set(won.tolist()) == {-1.0, 0.0, 1.0}
    assert abs(float(won.mean())) < 0.01  # four standard errors
    assert abs(float(jnp.abs(won).mean()) - 0.1) < 0.01
