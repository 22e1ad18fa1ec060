"""The vector environment plays what a loop over environments plays, bit for bit, and says it in the same form."""

import dataclasses
from functools import partial

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from incentivize import envs
from incentivize.envs import gym_vector
from incentivize.envs.gym import FamilyEnv
from incentivize.envs.gym_vector import FamilyVectorEnv

IDS = [f"incentivize:incentivize/{entry.attr}-v0" for entry in envs.FAMILIES.values()]
KNOBS = {"errands": {}, "mazes": {"rows": 4, "columns": 4}, "codebooks": {}}
N = 3


def pair(family, mode, count=N, steps=None):
    """The native environment, and Gymnasium's loop over single ones; with a limit of steps if there is one."""
    arguments = {"split": "heldout", "pool_size": 8, "pool_seed": 1, **KNOBS[family]}

    def one():
        env = FamilyEnv(family, **arguments)
        return env if steps is None else TimeLimit(env, steps)

    ours = FamilyVectorEnv(family, count, autoreset_mode=mode, max_episode_steps=steps, **arguments)
    return ours, SyncVectorEnv([one] * count, autoreset_mode=mode)


def same(ours, theirs):
    """Equal in type, shape, dtype and every bit, however nested."""
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        return all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, tuple) or (isinstance(ours, np.ndarray) and ours.dtype.hasobject):
        return all(same(*both) for both in zip(ours, theirs, strict=True))
    return ours is None or (ours.dtype == theirs.dtype and ours.shape == theirs.shape and (ours == theirs).all())


def play(both, steps, seed=0):
    """Random actions in both, compared; where nobody resets, what ended is reset. How often either flag was set."""
    actions, flags, mode = np.random.default_rng(seed), np.zeros(2, int), both[0].metadata["autoreset_mode"]
    ended = np.zeros(both[0].num_envs, bool)
    for _ in range(steps):
        action = actions.integers(both[0].single_action_space.n, size=both[0].num_envs)
        if mode is AutoresetMode.NEXT_STEP:
            action[ended] = 99  # nobody looks at it
        ours, theirs = (env.step(action) for env in both)
        assert same(ours, theirs)
        flags += ours[2].sum(), ours[3].sum()
        ended = ours[2] | ours[3]
        if mode is AutoresetMode.DISABLED and ended.any():
            assert same(*(env.reset(options={"reset_mask": ended}) for env in both))
    return flags


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("family", KNOBS)
def test_it_plays_what_a_loop_over_environments_plays(family, mode):
    both = pair(family, mode)
    assert both[0].observation_space == both[1].observation_space
    assert both[0].action_space == both[1].action_space
    assert both[0].metadata["autoreset_mode"] is mode
    flags = np.zeros(2, int)
    some = np.array([True, False, True])
    for turn, (seed, options) in enumerate(
        (
            (4, None),
            ([9, None, 2], None),  # one goes on with its own generator
            (None, {}),
            (None, {"task": 5}),
            (7, {"reset_mask": some}),
            ([1, 2, None], {"reset_mask": some, "task": both[0].single_env.family.tasks.heldout(3)}),
        )
    ):
        assert same(*(env.reset(seed=seed, options=options and dict(options)) for env in both))
        flags += play(both, 1 + both[0].single_env.family.horizon, seed=turn)
    assert flags.min() >= (0 if family == "codebooks" else 2)  # codebooks' exams end before the time does
    assert flags.sum() >= 12


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("steps", [1, 3, 10**12])
def test_a_limit_of_steps_truncates_as_gymnasiums_own_does(mode, steps):
    both = pair("errands", mode, steps=steps)
    assert same(*(env.reset(seed=2) for env in both))
    flags = play(both, 12)
    assert flags[1] >= 12 // (steps + 1)


def test_a_limit_of_steps_comes_from_make_vec_and_from_a_spec():
    assert gymnasium.make_vec(IDS[1], num_envs=2, max_episode_steps=-1).unwrapped.max_episode_steps is None
    env = gymnasium.make_vec(IDS[1], num_envs=N, max_episode_steps=3)
    spec = gymnasium.spec(IDS[1].partition(":")[2])
    limited = dataclasses.replace(spec, max_episode_steps=3) if spec.max_episode_steps is None else spec
    for each in (env, gymnasium.make_vec(env.spec), gymnasium.make_vec(limited, num_envs=N)):
        each.reset(seed=0)
        ended = [each.step(np.zeros(N, int))[3].any() for _ in range(3)]
        assert each.unwrapped.max_episode_steps == 3
        assert ended[2]


def test_more_environments_than_pieces_agree_as_well():
    both = pair("errands", AutoresetMode.SAME_STEP, count=40)
    assert same(*(env.reset(seed=1) for env in both))
    play(both, 15)


def test_every_environment_may_have_a_task_of_its_own():
    env = pair("errands", AutoresetMode.DISABLED)[0]
    tasks = env.single_env.family.tasks

    def played():
        return np.array(env.episodes[0].state.task)

    expected = np.stack([tasks.task("heldout", index, 1) for index in (7, 0, 2**30)])
    for given in ([7, 0, 2**30], expected, list(expected)):
        env.reset(options={"task": given})
        assert (played() == expected).all()
    env.reset(options={"task": [1, 2, 3], "reset_mask": np.array([False, True, False])})
    expected[1] = tasks.task("heldout", 2, 1)
    assert (played() == expected).all()
    env.reset(options={"task": tuple(expected[0].tolist())})  # digits of one
    assert (played() == expected[0]).all()


def test_where_there_are_as_many_environments_as_digits_a_list_of_numbers_could_be_either():
    env = FamilyVectorEnv("errands", 10)
    with pytest.raises(ValueError, match=r"task = .*: ambiguous, as a task also has 10 digits"):
        env.reset(options={"task": list(range(10))})


def test_a_pool_of_one_plays_one_task_and_a_fresh_one_many():
    for size, count in ((1, 1), (None, 30)):
        env = FamilyVectorEnv("errands", N, pool_size=size, split="validation")
        played = set()
        for _ in range(10):
            env.reset()
            played |= set(map(tuple, np.array(env.episodes[0].state.task).tolist()))
        assert len(played) == count
        assert {env.single_env.family.tasks.locate(np.array(task))[0] for task in played} == {"validation"}


@pytest.mark.parametrize("name", IDS)
def test_make_vec_finds_it(name):
    env = gymnasium.make_vec(name, num_envs=2, split="heldout", pool_size=4)
    assert type(env) is FamilyVectorEnv
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert env.spec is not None
    assert gymnasium.make_vec(env.spec).num_envs == 2
    env.close()


def test_gymnasiums_wrappers_count_what_was_paid():
    env = RecordEpisodeStatistics(gymnasium.make_vec(IDS[1], num_envs=N))  # Gymnasium 1.2 miscounts SameStep
    env.reset(seed=0)
    paid, seen = np.zeros(N), 0
    env.action_space.seed(0)
    for _ in range(30):
        _, rewards, terminated, truncated, info = env.step(env.action_space.sample())
        paid += rewards
        for place in np.flatnonzero(terminated | truncated):
            assert info["episode"]["r"][place] == paid[place]
            paid[place], seen = 0, seen + 1
    assert seen >= N


def spoil(told):
    """Write into every array."""
    for part in told.values() if isinstance(told, dict) else told:
        if isinstance(part, (dict, tuple)):
            spoil(part)
        elif part is not None:
            part[...] = 1 if part.dtype != object else None


@pytest.mark.parametrize("mode", AutoresetMode)
def test_what_is_handed_out_is_the_callers_own(mode):
    both = pair("errands", mode)
    for turn in range(3):
        told = [env.reset(seed=turn) for env in both]
        assert same(*told)
        assert not np.shares_memory(told[0][1]["_action_mask"], told[0][1]["_succeeded"])
        spoil(told[0])
        for _ in range(10):
            told = [env.step(np.zeros(N, int)) for env in both]
            assert same(*told)
            ended = told[1][2] | told[1][3]
            spoil(told[0])
            if mode is AutoresetMode.DISABLED and ended.any():
                break


def test_a_last_observation_keeps_no_batch_alive():
    env = FamilyVectorEnv("errands", N, autoreset_mode="SameStep")
    env.reset(seed=0)
    for _ in range(10):
        *_, info = env.step(np.zeros(N, int))
    assert all(last.base is None for last in info["final_obs"][info["_final_obs"]])


def test_nonsense_is_refused():
    for arguments, text in (
        ({"num_envs": 0}, "num_envs = 0: expected at least 1"),
        ({"render_mode": "ansi"}, "render_mode = 'ansi': expected None"),
        *(({"num_envs": value}, "num_envs = .*: expected an integer") for value in ("4", 2.5, True, None)),
        ({"num_envs": 10**30}, "num_envs = "),
        *(
            ({"autoreset_mode": value}, "autoreset_mode = .*: expected one of NextStep, ")
            for value in ("never", None, 1, [])
        ),
        *(({"max_episode_steps": value}, "max_episode_steps = .*: expected") for value in (0, -2, 2.5, "3", True)),
        *(({"pool_size": value}, "pool_size = .*: expected an integer") for value in (4.5, "4", True)),
        ({"pool_seed": -1}, "pool_seed = -1: expected an integer from 0 to"),
        ({"life": 2.0}, "life = 2.0: expected an integer"),
        ({"values": "8"}, "values = '8': expected an integer"),
        ({"split": "test"}, "split = 'test': expected one of training"),
        ({"valeus": 3}, "valeus: errands has no such knob"),
    ):
        with pytest.raises(ValueError, match=text):
            FamilyVectorEnv("errands", **arguments)
    env = FamilyVectorEnv("errands", N)
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"step: no episode has begun\. Call reset first"):
        env.step(np.zeros(N, int))
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"reset_mask: no episode has begun\. Reset all"):
        env.reset(options={"reset_mask": np.array([True, False, False])})
    for mask in (np.zeros(N, bool), np.ones(2, bool), np.ones(N), "x", [True] * N, True, 1):
        with pytest.raises(ValueError, match="reset_mask = "):
            env.reset(options={"reset_mask": mask})
    for seed in ([1, 2], "x", 1.5):
        with pytest.raises(ValueError, match=r"seed = .*expected a number, or a list of 3"):
            env.reset(seed=seed)
    for seed in (-1, [1, -1, 2], [1, "x", 2], [1, True, 2], True, [1.0] * N, np.array([1.5] * N)):
        with pytest.raises(ValueError, match="seed = "):
            env.reset(seed=seed)
    for options in ({"tsk": 1}, {"reset_masks": None}, [], "task", 0):
        with pytest.raises(ValueError, match=r"options = .*'task'|options = .*'reset_mask'"):
            env.reset(options=options)
    wrong = (-1, 2**60, [1, 2], [16] * 10, "x", [[1, 2]] * N, [1, "x", 2], 1.0, True, float("nan"))
    for task in (*wrong, [1.0] * N, [True] * N, [1, [2], 3], [[1, [2]]] * N, [1, [2, [3]], *[4] * 8], {}, []):
        with pytest.raises(ValueError, match="task = "):
            env.reset(options={"task": task})
    assert env.episodes is None


@pytest.mark.parametrize(
    ("actions", "text"),
    [
        ([0, 4, 0], "action = 4: expected an integer from 0 to 3 for each of 3 environments"),
        ([-1, 0, 0], "action = -1"),
        ([0.0, np.nan, 0.0], "nan"),
        (0, "action = 0"),
        ([0, 0], "0, 0"),
        (None, "None"),
    ],
)
def test_actions_are_checked_before_anything_is_played(actions, text):
    env, twin = (FamilyVectorEnv("errands", N) for _ in range(2))
    env.reset(seed=0)
    twin.reset(seed=0)
    with pytest.raises(gymnasium.error.InvalidAction, match=text):
        env.step(actions)
    assert same(env.step(np.ones(N, int)), twin.step(np.ones(N, int)))


def test_nobody_steps_past_an_end_that_nobody_reset():
    env = FamilyVectorEnv("errands", N, autoreset_mode="Disabled")
    env.reset(seed=0)
    ended = np.zeros(N, bool)
    while not ended.any():
        _, _, terminated, truncated, _ = env.step(np.zeros(N, int))
        ended = terminated | truncated
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"episodes have ended in environments \[.*\]\. Reset these"):
        env.step(np.zeros(N, int))


def test_seeds_of_numpy_are_seeds():
    ours = [FamilyVectorEnv("errands", np.int64(N)) for _ in range(4)]
    shown = [
        env.reset(seed=seed)[0]
        for env, seed in zip(ours, (7, np.int64(7), np.arange(7, 7 + N), list(np.arange(7, 7 + N))), strict=True)
    ]
    assert all(np.array_equal(shown[0], other) for other in shown[1:])


def test_words_and_tasks_of_numpy_are_taken_where_nothing_is_compiled():
    """As with JAX_DISABLE_JIT=1, where NumPy's arrays come through as they are."""
    env = FamilyVectorEnv("errands", N)
    family, pool = env.single_env.family, env.single_env.pool
    blank, words = gym_vector._blank(family, N), np.arange(N, dtype=np.uint32)
    for tasks in (None, np.stack([family.tasks.heldout(place) for place in range(N)])):
        begun = partial(gym_vector.restart, family, pool, ended=np.ones(N, bool), words=words, tasks=tasks)
        assert jax.eval_shape(begun, blank)[1].reward.shape == (N,)


@pytest.mark.slow
@pytest.mark.parametrize("name", IDS)
def test_it_plays_with_jit_disabled(name):
    with jax.disable_jit():
        env = gymnasium.make_vec(name, num_envs=2, pool_size=4)
        env.reset(seed=0)
        env.step(env.action_space.sample())
        env.reset(options={"task": [1, 2]})
        env.reset(options={"reset_mask": np.array([True, False])})
        one = gymnasium.make(name)
        one.reset(seed=0, options={"task": 3})
        one.step(0)
