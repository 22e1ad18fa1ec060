"""Gymnasium's own checks, and that the bridge plays exactly what the functions play."""

from functools import partial

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import Autoreset, HumanRendering, RecordEpisodeStatistics

from incentivize import envs
from incentivize.envs import gym
from incentivize.envs.render import to_image, to_text
from incentivize.envs.tasks import make_pool
from tests.helpers.compiled import family_method

WRONG_SEEDS = (-1, 1.5, "0", True, [1])
WRONG_TASKS = (-1, 2**60, [1, 2], [16] * 10, "x", "1", 1.0, True, float("nan"), [1.0] * 10, [True] * 10, [1, [2]], {})
IDS = [f"incentivize:incentivize/{entry.attr}-v0" for entry in envs.FAMILIES.values()]


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
    state = jax.jit(lambda: family.init(key_instance, family.tasks.sample(key_task, pool)))()
    observe, step = (family_method(family, method) for method in ("observe", "step"))
    observation, _ = env.reset(seed=seed)
    for t in range(1, family.horizon + 1):
        seen = observe(state)
        expected = [np.array(part).reshape(-1) for part in (seen.context, seen.entities, seen.entity_mask)]
        assert (observation == np.concatenate(expected)).all()
        action = env.action_space.sample()
        key, key_step = jax.random.split(key)
        state, outcome = step(state, jnp.int32(action), key_step)
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
        assert env.episode is not None
        assert (env.episode.state.task == env.family.tasks.heldout(5)).all()


def test_a_pool_of_one_plays_one_task_and_a_fresh_one_many():
    for size, count in ((1, 1), (None, 20)):
        env = gymnasium.make("incentivize:incentivize/Errands-v0", split="heldout", pool_size=size).unwrapped
        tasks = set()
        for _ in range(20):
            env.reset()
            tasks.add(tuple(np.array(env.episode.state.task).tolist()))
        assert len(tasks) == count
        assert {env.family.tasks.locate(np.array(task))[0] for task in tasks} == {"heldout"}


def test_the_expert_wins_through_the_door():
    env = gym.FamilyEnv("programs")
    env.reset(seed=0)
    for turn in range(7):
        action = int(np.argmax(family_method(env.family, "expert")(env.episode.state)))
        _, reward, terminated, _, info = env.step(action)
        assert (reward, terminated, info["succeeded"]) == (float(turn == 6),) + (turn == 6,) * 2


def played_to_its_end(env, seed=0):
    """An environment after its expert's last step; what that paid."""
    family = env.family
    best = jax.jit(partial(family.expert, kind="informed" if family.reveals_rule else "fair"))
    env.reset(seed=seed)
    ended = False
    while not ended:
        _, reward, terminated, truncated, _ = env.step(int(np.argmax(best(env.episode.state))))
        ended = terminated or truncated
    return reward


@pytest.mark.parametrize(
    ("name", "knobs"),
    [("errands", {}), ("errands", {"chain": 2}), ("puzzles", {}), ("programs", {"life": 2}), ("errands", {"life": 2})],
)
def test_after_the_end_nothing_is_paid_before_a_reset(name, knobs):
    env = gym.FamilyEnv(name, render_mode="ansi", **knobs)
    assert played_to_its_end(env) == 1
    seen, picture = env.action_masks(), env.render()
    for action in [*range(env.family.num_actions), 99]:
        with pytest.raises(gymnasium.error.ResetNeeded, match=r"step: the episode has ended\. Call reset first"):
            env.step(action)
    assert (env.action_masks() == seen).all()
    assert env.render() == picture
    env.reset(seed=0)
    env.step(0)


def test_after_the_time_is_up_nothing_is_played_before_a_reset():
    env = gym.FamilyEnv("mazes")
    env.reset(seed=0)
    flags = [env.step(0)[2:4] for _ in range(env.family.horizon)]
    assert flags[-1] == (False, True)
    with pytest.raises(gymnasium.error.ResetNeeded, match="has ended"):
        env.step(0)


def test_gymnasiums_wrappers_reset_what_has_ended():
    env = Autoreset(RecordEpisodeStatistics(gymnasium.make(IDS[1], max_episode_steps=4)))
    env.action_space.seed(0)
    env.reset(seed=0)
    ends = sum(any(env.step(env.action_space.sample())[2:4]) for _ in range(40))
    assert ends >= 8


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
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"render: no episode has begun\. Call reset first"):
        env.render()
    env.reset(seed=1)
    assert env.episode is not None
    assert (env.render() == to_image(env.family.render(env.episode.state))).all()
    text = gym.FamilyEnv(name, render_mode="ansi")
    text.reset(seed=1)
    assert text.render() == to_text(env.family.render(env.episode.state), colour=True)


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
        ({"split": "test"}, "split = 'test': expected one of training"),
        ({"pool_size": 0}, "pool_size = 0: expected 1 to"),
        ({"valeus": 3}, "valeus: errands has no such knob"),
        ({"render_mode": "human"}, "render_mode = 'human': expected one of rgb_array, ansi"),
        *(({name: [1]}, f"{name} = .*: expected one of ") for name in ("split", "render_mode", "control", "family")),
        *(({"pool_size": value}, "pool_size = .*: expected an integer") for value in (4.5, "4", True, float("nan"))),
        *(({"pool_seed": value}, "pool_seed = .*: expected an integer from 0 to") for value in WRONG_SEEDS),
        *(({"pool_seed": value}, "pool_seed = ") for value in (None, 2**32)),
        *(({"life": value}, "life = .*: expected an integer") for value in (2.0, "2", True, None)),
        *(({"values": value}, "values = .*: expected an integer") for value in (8.0, "8", True, None)),
        ({"max_episode_steps": 3}, "max_episode_steps: errands has no such knob"),
    ):
        with pytest.raises(ValueError, match=text):
            gym.FamilyEnv(**{"family": "errands"} | arguments)
    env = gym.FamilyEnv("errands")
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    for task in WRONG_TASKS:
        with pytest.raises(ValueError, match=r"task = .*: expected a number below .*, or digits below"):
            env.reset(options={"task": task})
    for options in ({"tsk": 1}, {"reset_mask": np.array([True])}, {"task": 1, "seed": 2}, [], "task", 0):
        with pytest.raises(ValueError, match=r"options = .*'task'"):
            env.reset(options=options)
    for seed in WRONG_SEEDS:
        with pytest.raises(ValueError, match=r"seed = .*: expected an integer of at least 0"):
            env.reset(seed=seed)
    assert env.episode is None
    env.reset()
    for action in (4, -1, 1.0, float("nan"), [0], None):
        with pytest.raises(gymnasium.error.InvalidAction, match=r"action = .*: expected an integer from 0 to 3\.$"):
            env.step(action)


def test_integers_of_numpy_are_taken_wherever_integers_are():
    plain = gym.FamilyEnv("errands", pool_size=4, pool_seed=3, life=2, values=8)
    numpy = {"pool_size": np.int64(4), "pool_seed": np.uint32(3), "life": np.int8(2), "values": np.int64(8)}
    env = gym.FamilyEnv("errands", **numpy)
    assert env.family == plain.family
    shown = (each.reset(seed=seed(5), options={"task": seed(2)})[0] for each, seed in ((plain, int), (env, np.int64)))
    assert np.array_equal(*shown)


def test_a_refused_reset_leaves_the_episode_as_it_is():
    env, twin = gym.FamilyEnv("errands"), gym.FamilyEnv("errands")
    env.reset(seed=0)
    twin.reset(seed=0)
    with pytest.raises(ValueError, match="task = "):
        env.reset(seed=9, options={"task": -1})
    assert (env.step(0)[0] == twin.step(0)[0]).all()
    assert (env.reset()[0] == twin.reset()[0]).all()


def test_digits_of_numpy_are_digits_where_nothing_is_compiled():
    """As with JAX_DISABLE_JIT=1, where NumPy's arrays come through as they are."""
    for family in (envs.make("errands"), envs.make("puzzles", pairs="apart")):
        begun = partial(gym.init, family, make_pool(4), np.uint32(1), family.tasks.heldout(3))
        assert jax.eval_shape(begun)[1].reward.shape == ()
