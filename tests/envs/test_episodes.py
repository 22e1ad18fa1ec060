from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from incentivize import envs
from incentivize.envs import episodes as ep
from incentivize.envs.pool_audit import PoolClaim, tasks_outside_pool
from incentivize.envs.tasks import make_pool

FAMILY = envs.make("errands", attributes=2, values=4)
NUM_ENVS, STEPS = 32, 40


def rollout(family, key, pool):
    """Random actions; all that happened, the starts that were taken, and the bank."""
    draw = ep.start_sampler(family, pool)
    key_begin, key_bank, key_steps = jax.random.split(key, 3)
    episodes = ep.init(draw, key_begin, NUM_ENVS)
    bank = ep.refill(ep.empty_bank(draw, NUM_ENVS * STEPS), draw, key_bank)
    actions = jax.random.randint(key_steps, (STEPS, NUM_ENVS), 0, family.num_actions)

    def step(carry, now):
        episodes, bank = carry
        episodes, bank, result = ep.step(family, episodes, now, jax.random.split(key_steps, NUM_ENVS), bank)
        return (episodes, bank), (episodes, result)

    (_, after), history = jax.lax.scan(step, (episodes, bank), actions)
    return episodes, bank, after, actions, history


@jax.jit
def rollouts(keys, pool):
    """Return a `rollout` for every key."""
    return jax.vmap(lambda key: rollout(FAMILY, key, pool))(keys)


def at(tree, place):
    return jax.tree.map(lambda leaf: leaf[place], tree)


def test_bank_reset_equals_naive_reset_given_the_same_states():
    played = at(jax.device_get(rollouts(jax.random.split(jax.random.key(0), 20), make_pool(None))), 0)
    start, bank, after, actions, (states, results) = played
    step, key = jax.jit(jax.vmap(FAMILY.step, (0, 0, None))), jax.random.key(0)
    lives, elapsed, cursor = start.state, [0] * NUM_ENVS, 0
    for t in range(STEPS):
        lives, outcome = jax.tree.map(np.array, step(lives, actions[t], key))
        chex.assert_trees_all_equal(at(results.final, t), lives)
        for n in range(NUM_ENVS):
            elapsed[n] += 1
            terminated = bool(outcome.succeeded[n] | outcome.failed[n])
            truncated = elapsed[n] == FAMILY.horizon and not terminated
            assert (bool(results.terminated[t, n]), bool(results.truncated[t, n])) == (terminated, truncated)
            if terminated or truncated:
                for leaf, fresh in zip(lives, bank.states, strict=True):
                    leaf[n] = fresh[cursor]
                elapsed[n], cursor = 0, cursor + 1
        chex.assert_trees_all_equal(at(states.state, t), lives)
        assert states.elapsed[t].tolist() == elapsed
    assert cursor == int(after.cursor) > NUM_ENVS


def test_bank_reset_equals_naive_reset_in_distribution():
    """What fresh states look like does not depend on how they came: tasks, positions, distances."""
    pool = make_pool(5)
    *_, (states, results) = jax.device_get(rollouts(jax.random.split(jax.random.key(1), 20), pool))
    states, fresh = states.state, results.terminated | results.truncated
    count = int(fresh.sum())
    draw = jax.jit(lambda key: jax.vmap(ep.start_sampler(FAMILY, pool))(jax.random.split(key, count)))
    naive = jax.device_get(draw(jax.random.key(2)))
    for read in (
        lambda s: s.task @ np.array([4, 1]),
        lambda s: s.agent,
        lambda s: s.targets[..., 0],
        lambda s: s.cells[..., 0],
    ):
        values = [read(states)[fresh], read(naive)]
        columns = np.unique(np.concatenate(values))
        table = [[int((v == column).sum()) for column in columns] for v in values]
        assert stats.chi2_contingency(table).pvalue > 1e-3


NEAR = ep.NearSuccess(jnp.float32(0.5), jnp.int32(2))


@pytest.mark.parametrize("told", [{}, {"near": NEAR}, {"starts": jnp.uint32(999)}], ids=["plain", "near", "starts"])
def test_every_start_is_at_a_task_of_the_pool(told):
    """Also where the pool is not the first one, and whatever else is drawn."""
    family = envs.make("errands", attributes=5, values=8)
    claims = [PoolClaim(4), PoolClaim(64, seed=3), PoolClaim(9, first=5, split="heldout"), PoolClaim(None, seed=1)]
    keys = jax.random.split(jax.random.key(0), 2000)
    drawn = jax.jit(lambda pool: jax.vmap(ep.start_sampler(family, pool, **told))(keys).task)
    for claim in claims:
        pool = make_pool(claim.size, seed=claim.seed, split=claim.split, first=claim.first)
        tasks = np.asarray(drawn(pool))
        assert tasks_outside_pool(family.tasks, claim, tasks) == {}
        distinct = len(np.unique(tasks, axis=0))
        assert distinct == claim.size if claim.size else distinct > 800


def test_refill_replaces_used_states_only():
    draw = ep.start_sampler(FAMILY, make_pool(None))
    refill = jax.jit(lambda bank, key: ep.refill(bank, draw, key))
    bank = refill(ep.empty_bank(draw, 320), jax.random.key(0))
    assert int(bank.cursor) == 0
    assert len(np.unique(np.array(bank.states.looks).reshape(320, -1), axis=0)) > 250
    states, taken = jax.jit(ep.take)(bank, np.arange(32) < 15)
    chex.assert_trees_all_equal(*(at(jax.device_get(tree), slice(15)) for tree in (states, bank.states)))
    assert int(taken.cursor) == 15
    again = refill(taken, jax.random.key(1))
    same = (np.array(again.states.looks) == np.array(bank.states.looks)).all((1, 2))
    assert not same[:20].any()  # two pieces of ten
    assert same[20:].all()


def test_the_time_limit_truncates_and_never_terminates():
    family = envs.make("mazes", rows=3, columns=5)
    draw = ep.start_sampler(family, make_pool(1))
    episodes = jax.jit(lambda key: ep.init(draw, key, 4))(jax.random.key(0))
    corner = jnp.full(4, 0, jnp.uint8)
    episodes = episodes._replace(state=episodes.state._replace(agent=corner, goal=jnp.full(4, 14, jnp.uint8)))
    bank = jax.jit(lambda key: ep.refill(ep.empty_bank(draw, 64), draw, key))(jax.random.key(1))
    step, still = jax.jit(partial(ep.step, family)), jnp.zeros(4, int)
    for t in range(family.horizon):
        episodes, bank, result = step(episodes, still, jax.random.split(jax.random.key(t), 4), bank)
        assert not result.terminated.any()
        assert result.truncated.all() == (t == family.horizon - 1)
    assert (result.final.agent == 0).all()  # the final state is kept, beside the fresh one
    assert (episodes.elapsed == 0).all()
