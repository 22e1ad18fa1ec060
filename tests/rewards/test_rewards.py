import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs, rewards
from incentivize.agents.hyperparameters import Hyper
from incentivize.envs.contract import starts
from incentivize.envs.episodes import NearSuccess, start_sampler
from incentivize.envs.family import outcome
from incentivize.envs.tasks import make_pool
from incentivize.rewards import Transition
from incentivize.rewards.taste import near_share
from tests.helpers.probes import Probe

KEY = jax.random.key(0)


def paid(name, ended, elapsed=0, before=None, after=None, family=None, key=KEY, **scales):
    move = Transition(before, jnp.int32(0), after, ended, jnp.int32(elapsed), key)
    return rewards.make(name).compute(family, move, Hyper(**scales))


@pytest.mark.parametrize(
    ("succeeded", "failed", "cost", "expected"), [(True, False, 0, 1), (False, True, 0, 0), (False, False, 0.25, -0.25)]
)
def test_sparse_pays_success_and_charges_costs_only(succeeded, failed, cost, expected):
    for t in (0, 9):
        reward = paid("sparse", outcome(succeeded, failed, cost), t)
        assert float(reward) == expected
        assert reward.dtype == jnp.float32


def test_unknown_and_repeated_rewards_are_refused():
    with pytest.raises(
        ValueError, match="reward = 'spares': must be one of fading, hunger, random, shaped, sparse, taste"
    ):
        rewards.make("spares")
    with pytest.raises(ValueError, match="must name every reward once"):
        rewards.make("sparse+hunger+sparse")


def test_every_reward_says_what_it_does_to_the_optimal_policy():
    for name in rewards.names():
        assert "Optimal" in rewards.describe(name)


def test_hunger_charges_every_step_and_adds_to_the_prize():
    assert float(paid("hunger", outcome(False), hunger=0.02)) == pytest.approx(-0.02)
    assert float(paid("sparse+hunger", outcome(True), hunger=0.02)) == pytest.approx(0.98)


@pytest.mark.parametrize(("elapsed", "prize"), [(0, 0.9), (4, 0.5), (9, 0.0), (20, 0.0)])
def test_a_fading_prize_shrinks_with_time_and_never_punishes(elapsed, prize):
    assert float(paid("fading", outcome(True), elapsed, hunger=0.1)) == pytest.approx(prize, abs=1e-6)
    assert float(paid("fading", outcome(False, True), elapsed, hunger=0.1)) == 0


def test_random_pays_the_same_for_everything():
    keys = jax.random.split(KEY, 20_000)
    won, lost = (
        jax.vmap(lambda key, end=end: paid("random", end, key=key))(keys)
        for end in (outcome(True), outcome(False, True, 0.5))
    )
    assert (won == lost).all()
    assert won.dtype == jnp.float32
    assert set(won.tolist()) == {-1.0, 0.0, 1.0}
    assert abs(float(won.mean())) < 0.01  # four standard errors
    assert abs(float(jnp.abs(won).mean()) - 0.1) < 0.01


class Place(NamedTuple):
    """A state that holds only its distance from success."""

    away: jax.Array


class Road(Probe):
    """A family whose states are places."""

    def distance(self, state):
        return state.away


def test_shaping_adds_up_to_what_its_start_was_worth():
    """The discounted sum is -phi(start) for every path to the end of an episode, so no policy gains by it."""
    road, gamma, rng = Road(limit=10), 0.9, np.random.default_rng(0)
    for succeeds in (True, False):
        ways = [rng.integers(1, 8, size=rng.integers(1, 9)) for _ in range(5)]
        for way in ways:
            total = 0.0
            for t, (distance, following) in enumerate(zip(way, [*way[1:], 0], strict=True)):
                last = t == len(way) - 1
                end = outcome(last and succeeds, last and not succeeds)
                places = {"before": Place(jnp.int32(distance)), "after": Place(jnp.int32(5 if last else following))}
                total += gamma**t * float(paid("shaped", end, t, family=road, gamma=gamma, shaping=2.0, **places))
            assert total == pytest.approx(2.0 * way[0] / 10, abs=1e-5)


@pytest.mark.parametrize(("steps", "expected"), [(0, 0.4), (250, 0.3), (1000, 0.0), (10**7, 0.0)])
def test_taste_falls_in_absolute_steps(steps, expected):
    assert float(near_share(Hyper(taste=0.4, taste_steps=1000.0), jnp.float32(steps))) == pytest.approx(expected)
    assert float(paid("taste", outcome(True))) == 0


@pytest.mark.parametrize("name", ["mazes", "programs"])
def test_the_share_of_episodes_begins_near_success(name):
    family, pool = envs.make(name), make_pool(None)

    def far(portion):
        draw = start_sampler(family, pool, NearSuccess(jnp.float32(portion), jnp.int32(2)))
        states = jax.vmap(draw)(jax.random.split(KEY, 2000))
        return jax.vmap(family.distance)(states) > 2

    fresh = float(jax.jit(far)(0.0).mean())
    assert float(jax.jit(far)(1.0).mean()) == 0
    assert float(jax.jit(far)(0.3).mean()) == pytest.approx(0.7 * fresh, abs=0.04)
    assert fresh > 0.5


@functools.partial(jax.jit, static_argnames=("family", "scales"))
def shaped_along_random_moves(family, scales):
    """Return what shaping pays for every step of 64 episodes of random legal moves, float32 [horizon, 64]."""

    def turn(state, key):
        legal = jnp.where(jax.vmap(family.observe)(state).action_mask, 0.0, -jnp.inf)
        action = jax.random.categorical(key, legal)
        after, ended = jax.vmap(family.step)(state, action, jax.random.split(key, 64))
        move = Transition(state, action, after, ended, jnp.zeros(64, jnp.int32), jax.random.split(key, 64))
        return after, jax.vmap(lambda move: rewards.make("shaped").compute(family, move, scales))(move)

    keys = jax.random.split(jax.random.key(1), family.horizon)
    return jax.lax.scan(turn, starts(family, 64, "training"), keys)[1]


@pytest.mark.parametrize("name", envs.names())
def test_shaping_never_pays_or_costs_more_than_the_whole_way(name):
    """Tested for random moves, too, after which the distance may be any number beyond the horizon."""
    reward = shaped_along_random_moves(envs.make(name), Hyper(shaping=0.5, gamma=1.0))
    assert (jnp.abs(reward) <= 0.5).all()
