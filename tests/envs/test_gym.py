"""Gymnasium's own checks, and that the bridge plays exactly what the functions play."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import HumanRendering

import envs
from envs import gym
from envs.render import to_image, to_text
from envs.tasks import make_pool

IDS = [f"envs:incentivize/{entry.attr}-v0" for entry in envs.FAMILIES.values()]


@pytest.mark.parametrize("name", IDS)
def test_gymnasium_finds_nothing_to_object_to(name):
    env = gymnasium.make(name, pool_size=8)
    check_env(env.unwrapped)
    assert env.observation_space.dtype == np.uint8
    observation, info = env.reset(seed=3)
    observation[:] = 0  # a copy of its own
    assert info["action_mask"].dtype == np.int8


@pytest.mark.parametrize("name", ["errands", "codebooks"])
def test_a_trajectory_through_the_bridge_is_the_functional_one(name):
    family = envs.make(name)
    env = gym.FamilyEnv(name, split="heldout", pool_size=4, pool_seed=1)
    env.action_space.seed(0)
    seed = 11
    pool = make_pool(4, seed=1, split="heldout")
    word = np.uint32(np.random.Generator(np.random.PCG64(seed)).integers(2**32))
    key_start, key = jax.random.split(jax.random.key(word))
    key_task, key_instance = jax.random.split(key_start)
    state = family.init(key_instance, family.tasks.sample(key_task, pool))
    observation, _ = env.reset(seed=seed)
    for t in range(1, family.horizon + 1):
        seen = family.observe(state)
        expected = [np.array(part).reshape(-1) for part in (seen.context, seen.entities, seen.entity_mask)]
        assert (observation == np.concatenate(expected)).all()
        action = env.action_space.sample()
        key, key_step = jax.random.split(key)
        state, outcome = family.step(state, jnp.int32(action), key_step)
        observation, reward, terminated, truncated, info = env.step(action)
        assert reward == float(outcome.succeeded - outcome.cost)
        assert terminated == bool(outcome.succeeded | outcome.failed)
        assert truncated == (t == family.horizon and not terminated)
        assert info["succeeded"] == bool(outcome.succeeded)
        if terminated or truncated:
            break


@pytest.mark.parametrize("given", [lambda tasks: 5, lambda tasks: tasks.heldout(5)], ids=["number", "digits"])
def test_a_given_task_is_played(given):
    env = gym.FamilyEnv("mazes", split="heldout")
    for seed in range(3):
        env.reset(seed=seed, options={"task": given(env.family.tasks)})
        assert env.life is not None
        assert (env.life.state.task == env.family.tasks.heldout(5)).all()


def test_a_pool_of_one_plays_one_task_and_a_fresh_one_many():
    for size, count in ((1, 1), (None, 20)):
        env = gymnasium.make("envs:incentivize/Errands-v0", split="heldout", pool_size=size).unwrapped
        tasks = set()
        for _ in range(20):
            env.reset()
            tasks.add(tuple(np.array(env.life.state.task).tolist()))
        assert len(tasks) == count
        assert {env.family.tasks.locate(np.array(task))[0] for task in tasks} == {"heldout"}


def test_the_expert_wins_through_the_door():
    env = gym.FamilyEnv("programs")
    env.reset(seed=0)
    for turn in range(7):
        _, reward, terminated, _, info = env.step(int(jnp.argmax(env.family.expert(env.life.state))))
        assert (reward, terminated, info["succeeded"]) == (float(turn == 6),) + (turn == 6,) * 2


def test_the_legal_actions_are_where_maskable_trainers_look():
    env = gym.FamilyEnv("programs")
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.action_masks()
    _, info = env.reset(seed=0)
    masks = env.action_masks()
    assert masks.dtype == bool
    assert (masks == info["action_mask"]).all()


@pytest.mark.parametrize("name", envs.names())
def test_it_is_drawn_as_the_family_draws_it(name):
    env = gym.FamilyEnv(name, render_mode="rgb_array")
    with pytest.raises(gymnasium.error.ResetNeeded, match="before render"):
        env.render()
    env.reset(seed=1)
    assert env.life is not None
    assert (env.render() == to_image(env.family.render(env.life.state))).all()
    text = gym.FamilyEnv(name, render_mode="ansi")
    text.reset(seed=1)
    assert text.render() == to_text(env.family.render(env.life.state), colour=True)


def test_without_a_render_mode_nothing_is_drawn_and_that_is_said():
    env = gym.FamilyEnv("mazes")
    env.reset()
    with pytest.warns(UserWarning, match="render_mode='rgb_array' or 'ansi'"):
        assert env.render() is None


@pytest.mark.parametrize("name", IDS)
def test_a_person_can_play_through_gymnasium(name):
    """What `gymnasium.utils.play` and `HumanRendering` ask for; they themselves need pygame."""
    env = HumanRendering(gymnasium.make(name, render_mode="rgb_array"))
    assert env.render_mode == "human"
    keys = env.unwrapped.get_keys_to_action()
    assert sorted(keys.values()) == list(range(env.action_space.n))
    assert {len(key) for key in keys} == {1}
    assert all(isinstance(code, int) for key in keys for code in key)


def test_a_window_opens(monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = HumanRendering(gymnasium.make(IDS[0], render_mode="rgb_array"))
    env.reset()
    env.close()


def test_nonsense_is_refused():
    for arguments, text in (
        ({"split": "test"}, "split='test': want one of training"),
        ({"pool_size": 0}, "pool_size=0: want 1 to"),
        ({"valeus": 3}, "valeus: no knob of errands"),
        ({"render_mode": "human"}, "render_mode='human': want one of rgb_array, ansi"),
    ):
        with pytest.raises(ValueError, match=text):
            gym.FamilyEnv("errands", **arguments)
    env = gym.FamilyEnv("errands")
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    for task in (-1, 2**60, [1, 2], [16] * 10, "x"):
        with pytest.raises((ValueError, IndexError), match=r"task=|index="):
            env.reset(options={"task": task})
    env.reset()
    for action in (4, -1, 1.0, float("nan"), [0], None):
        with pytest.raises(gymnasium.error.InvalidAction, match=r"action=.*: want 0 to 3$"):
            env.step(action)
