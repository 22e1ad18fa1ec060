"""Several attempts at one task: what ends one, what ends a life, what is told and what is hidden."""

import functools
import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs
from incentivize.envs.family import ends, outcome
from incentivize.envs.gym import FamilyEnv
from incentivize.envs.wrappers.controls import CONTROLS, controls_of
from incentivize.envs.wrappers.lives import GOES_ON, LOST, NOTHING, TOO_LATE, WON, Lives
from tests.helpers.compiled import family_method
from tests.helpers.probes import Probe

KEY = jax.random.key(0)
TASK = jnp.zeros(2, jnp.uint8)


def lived(family, choose, steps):
    """The states and outcomes of a life, from a choice of actions by state."""
    states, outcomes = [family_method(family, "init")(KEY, TASK)], []
    for _ in range(steps):
        state, found = family_method(family, "step")(states[-1], jnp.int32(choose(states[-1])), KEY)
        states.append(state)
        outcomes.append(found)
    return states, outcomes


def told(family, states):
    """What the agent sees of attempts: which, the last action and what it brought."""
    return [tuple(family_method(family, "observe")(state).context.tolist()[-3:]) for state in states]


@dataclass(frozen=True)
class Drawn(Probe):
    """A probe that wants its slot back, at one of many steps."""

    pays: str = "match"

    def init(self, key, task):
        return super().init(key, task)._replace(step=jax.random.randint(key, (), 0, 200).astype(jnp.uint8))


def test_attempts_follow_one_another_each_from_its_own_start():
    family = Lives(Drawn(), 4)
    states, outcomes = lived(family, lambda state: state.now.seen, 4)
    steps = [int(state.now.step) for state in states[:4]]
    assert steps == states[0].starts.step.tolist()
    assert len(set(steps)) > 1
    assert [(bool(o.succeeded), bool(o.failed), bool(o.ends_episode)) for o in outcomes] == [
        *[(True, False, False)] * 3, (True, False, True)
    ]  # fmt: skip
    assert int(states[4].now.step) == steps[3] + 1  # the end is seen as it is
    actions = [int(state.now.seen) for state in states[:4]]
    assert told(family, states) == [
        (0, 0, NOTHING), (1, 1 + actions[0], WON), (2, 1 + actions[1], WON), (3, 1 + actions[2], WON),
        (3, 1 + actions[3], WON),
    ]  # fmt: skip


def test_a_failure_ends_an_attempt_and_the_last_one_a_life():
    states, outcomes = lived(Lives(Drawn(), 2), lambda state: 1 - state.now.seen, 2)
    assert [(bool(o.succeeded), bool(o.failed), bool(o.ends_episode)) for o in outcomes] == [
        (False, True, False), (False, True, True)
    ]  # fmt: skip
    assert [int(state.brought) for state in states] == [NOTHING, LOST, LOST]


def test_an_attempt_has_the_time_of_an_episode_and_a_life_ends_with_the_last():
    family = Lives(Probe(pays="never", limit=2), 2)
    states, outcomes = lived(family, lambda state: 0, 4)
    assert told(family, states) == [
        (0, 0, NOTHING),
        (0, 1, GOES_ON),
        (1, 1, TOO_LATE),
        (1, 1, GOES_ON),
        (1, 1, TOO_LATE),
    ]
    assert [bool(found.ends_episode) for found in outcomes] == [False, False, False, True]
    assert not any(bool(found.succeeded | found.failed) for found in outcomes)
    assert [int(state.now.step) for state in states] == [0, 1, 0, 1, 2]
    assert [int(state.elapsed) for state in states] == [0, 1, 0, 1, 2]
    terminated, truncated = ends(family, outcomes[-1], jnp.int32(4))
    assert (bool(terminated), bool(truncated)) == (True, False)


@dataclass(frozen=True)
class Priced(Probe):
    """Every step costs a quarter."""

    def step(self, state, action, key):
        state, found = super().step(state, action, key)
        return state, outcome(found.succeeded, found.failed, 0.25)


def test_every_attempt_is_charged_for():
    _, outcomes = lived(Lives(Priced(), 2), lambda state: 0, 2)
    assert [float(found.cost) for found in outcomes] == [0.25, 0.25]


@functools.partial(jax.jit, static_argnums=0)
def attempts_away(family, states):
    """Return the distances from success at the starts of N lives' attempts, int32 [N, attempts], and of the last."""
    away = jax.vmap(lambda state: jax.vmap(lambda now: family.distance(state._replace(now=now)))(state.starts))
    return away(states), jax.vmap(family.distance)(jax.vmap(family.last_attempt)(states))


@functools.partial(jax.jit, static_argnums=0)
def expert_lives(family, tasks):
    """Play 64 lives by the expert: steps wanted, as attempts' starts say, whether still under way, wins and steps."""

    def step(carry, key):
        states, running, won, steps = carry
        action = jnp.argmax(jax.vmap(family.expert)(states), -1)
        states, found = jax.vmap(family.step, (0, 0, None))(states, action, key)
        return (states, running & ~found.ends_episode, won + (running & found.succeeded), steps + running), None

    states = jax.vmap(family.init)(jax.random.split(KEY, 64), tasks)
    wanted = jax.vmap(family.distance)(states) + attempts_away(family, states)[0][:, 1:].sum(1)
    start = states, jnp.ones(64, bool), jnp.zeros(64, int), jnp.zeros(64, int)
    return wanted, *jax.lax.scan(step, start, jax.random.split(KEY, family.horizon))[0][1:]


@pytest.mark.parametrize(("name", "life"), [("codebooks", 3), ("errands", 3)])
def test_the_expert_wins_every_attempt_in_as_many_steps_as_their_starts_say(name, life):
    family = envs.make(name, life=life)
    tasks = np.array([family.tasks.heldout(i) for i in range(64)])
    wanted, running, won, steps = jax.device_get(expert_lives(family, tasks))
    assert not running.any()
    assert (won == life).all()
    assert (steps == wanted).all()


def test_all_attempts_begin_near_success_where_one_does():
    family = envs.make("mazes", rows=3, columns=5, life=3)
    start_near = jax.jit(jax.vmap(family.start_near, (0, None, None)))
    states = start_near(jax.random.split(KEY, 50), family.tasks.train(0), jnp.int32(2))
    away, last = jax.device_get(attempts_away(family, states))
    for attempt in range(3):
        assert set(away[:, attempt].tolist()) == {1, 2}
    assert (last <= 2).all()


def test_a_shuffled_description_is_the_same_in_every_attempt():
    family = envs.make("errands", "shuffled", life=3)
    step, observe, expert = (family_method(family, method) for method in ("step", "observe", "expert"))
    state, described = family_method(family, "init")(KEY, family.tasks.train(0)), set()
    for _ in range(family.horizon):
        assert observe(state).context.tolist()[:-3] == state.shown.tolist()
        described.add(int(state.attempt))
        state, found = step(state, np.argmax(expert(state)).astype(np.int32), KEY)
        if found.ends_episode:
            break
    assert described == {0, 1, 2}
    assert (state.shown != state.task).any()
    assert found.succeeded  # the dynamics obey the task


def test_what_was_tried_and_what_it_brought_are_masked_with_the_description():
    plain, blind = envs.make("errands", life=2), envs.make("errands", "blind", life=2)
    state = family_method(plain, "init")(KEY, plain.tasks.train(0))
    state, _ = family_method(plain, "step")(state, jnp.int32(2), KEY)
    assert told(plain, [state]) == [(0, 3, GOES_ON)]
    masked = family_method(blind, "observe")(state)
    assert masked.context.tolist() == [0] * len(plain.spec.context)
    assert (masked.entities == family_method(plain, "observe")(state).entities).all()
    assert told(blind, [state._replace(attempt=jnp.uint8(1))]) == [(1, 0, 0)]


def test_a_picture_tells_the_attempt_and_what_the_last_step_brought():
    family = envs.make("errands", life=12)
    state = jax.jit(family.init)(KEY, jnp.array(family.tasks.train(0)))
    lost = state._replace(attempt=jnp.uint8(9), tried=jnp.uint8(3), brought=jnp.uint8(LOST))

    def last_line(state, described=True):
        return "".join(family.render(state, described).characters[-1]).strip()

    assert last_line(state) == "attempt 1/12"
    assert last_line(lost) == "attempt 10/12: south - lost"
    assert last_line(lost, described=False) == "attempt 10/12"


def test_gymnasium_plays_a_life_as_one_episode():
    env = FamilyEnv("codebooks", life=2)
    env.reset(seed=0)
    paid, expert = [], jax.jit(env.family.expert)
    for step in range(1, env.family.horizon + 1):
        assert env.episode is not None
        _, reward, terminated, truncated, info = env.step(int(np.argmax(expert(env.episode.state))))
        assert not truncated
        assert terminated == (step == 18)
        assert info["succeeded"] == (step in (9, 18))
        paid.append(reward)
    assert sum(paid) == 2


@pytest.mark.parametrize("life", [0, -1, 17, 2.5, "3"])
def test_make_refuses_what_is_no_life(life):
    with pytest.raises(ValueError, match=f"^life = {life!r}: expected an integer"):
        envs.make("errands", life=life)


def test_one_attempt_is_the_family_itself():
    assert envs.make("errands", life=1) == envs.make("errands")
    assert envs.make("errands").attempts == 1
    assert envs.make("errands", "blind", life=3).attempts == 3


def test_disjoint_is_no_control_where_attempts_tell_the_rule():
    with pytest.raises(
        ValueError, match=r"^control = 'disjoint': needs a single attempt, .* tells the real rule\. Set life=1"
    ):
        envs.make("codebooks", "disjoint", life=2)
    assert "disjoint" in CONTROLS
    assert "disjoint" not in controls_of(envs.make("codebooks", life=2))


def test_changing_is_a_control_of_lives_only():
    with pytest.raises(ValueError, match=r"^control = 'changing': needs at least two attempts\. Set life=2"):
        envs.make("codebooks", "changing")
    with pytest.raises(ValueError, match=r"hidden rule; Errands shows its rule\. Choose control='shuffled'\.$"):
        envs.make("errands", "changing", life=2)
    assert "changing" in controls_of(envs.make("codebooks", life=2))


@functools.partial(jax.jit, static_argnums=0)
def idle_life(family, key, task):
    """Let the time of a life go by: its start, and per step the state with `shown`, the attempt and whether it ends."""

    def turn(state, _):
        after, found = family.step(state, jnp.int32(0), key)
        return after, (family._now(state), state.attempt, found.ends_episode)

    start = family.init(key, task)
    return start, jax.lax.scan(turn, start, length=family.horizon)[1]


def obeyed(family, task, key=KEY):
    """The tasks that attempts obey and show, as the states of a life have them that lets time go by."""
    start, (now, attempts, ends) = jax.device_get(idle_life(family, key, task))
    tasks = []
    for step in range(family.horizon):
        if len(tasks) == attempts[step]:
            assert (now.shown[step] == now.task[step]).all()
            assert (now.task[step] == start.starts.task[len(tasks)]).all()
            tasks.append(now.task[step])
        if ends[step]:
            break
    return tasks


def test_where_tasks_change_every_attempt_has_its_own_by_a_fixed_bijection():
    same, changing = (envs.make("codebooks", control, life=3, cues=6, exam=2) for control in (None, "changing"))
    one, other = (same.tasks.train(i) for i in (0, 1))
    assert all((task == one).all() for task in obeyed(same, one))
    first, again, unlike = (
        obeyed(changing.family, task, jax.random.key(seed)) for task, seed in ((one, 0), (one, 1), (other, 0))
    )
    assert (first[0] == one).all()
    assert np.array_equal(first, again)
    assert len({task.tobytes() for task in (*first, *unlike)}) == 6


def test_where_tasks_change_one_tells_nothing_of_the_next():
    family = envs.make("codebooks", "changing", life=3, cues=3, exam=2).family
    tasks = np.array(list(itertools.product(range(4), repeat=3)), np.uint8)
    of = np.array(jax.jit(jax.vmap(family._tasks))(tasks))
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert len(np.unique(of[:, other], axis=0)) == 64
        for before, after in itertools.product(range(3), repeat=2):  # no answer foretells another, its own or not
            joint = np.zeros((4, 4))
            np.add.at(joint, (of[:, one, before], of[:, other, after]), 1)
            assert np.square(joint - 4).sum() / 4 < 28  # chi square of 9 degrees of freedom: one in a thousand


@pytest.mark.parametrize("pairs", ["apart", "together"])
def test_where_tasks_change_they_stay_those_that_are_played(pairs):
    family = envs.make("sequences", "changing", life=3, pairs=pairs).family
    tasks = np.random.default_rng(0).integers(0, 5, (200, 25)).astype(np.uint8)
    first = jax.device_get(jax.jit(jax.vmap(family.init, (None, 0)))(KEY, tasks))
    assert ((first.starts.task[..., 0] == first.starts.task[..., 1]) == (pairs == "together")).all()
    assert (first.task == first.starts.task[:, 0]).all()
    assert (first.now.task == first.task).all()


@pytest.mark.parametrize("knows", ["the attempt's task", "the first task"])
def test_where_tasks_change_it_is_the_attempts_own_that_wins(knows):
    family = envs.make("codebooks", "changing", life=2, variant="try", cues=2, exam=2, study=1)
    tasks = obeyed(family.family, TASK)
    assert (tasks[0] != tasks[1]).all()

    def answer(state):
        cue = family_method(family, "observe")(state).context.tolist()[1]
        return tasks[int(state.attempt) if knows == "the attempt's task" else 0][cue]

    states, outcomes = lived(family, answer, 8 if knows == "the attempt's task" else 7)
    assert [bool(found.succeeded) for found in outcomes].count(True) == (2 if knows == "the attempt's task" else 1)
    assert bool(outcomes[-1].ends_episode)
    study = [int(state.now.feedback) for state in states[5:7]]  # after the tries of the second attempt
    assert study == [2, 2] if knows == "the attempt's task" else study[0] != 2


def test_who_remembers_what_was_found_out_gains_only_where_tasks_do_not_change():
    """A player who keeps every answer found right, and tries the next one of every other cue: success by attempt."""
    gains = {}
    for control in (None, "changing"):
        family = envs.make("codebooks", control, life=4, variant="try", cues=2, exam=2, study=1)
        step, observe = jax.jit(jax.vmap(family.step, (0, 0, None))), jax.jit(jax.vmap(family.observe))
        tasks = jnp.array(np.random.default_rng(0).integers(0, 4, (40, 2)), jnp.uint8)
        state, known, won = jax.jit(jax.vmap(family.init, (None, 0)))(KEY, tasks), np.zeros((40, 2), int), np.zeros(4)
        running, lives = np.ones(40, bool), np.arange(40)
        while running.any():
            exam, cue = np.array(observe(state).context)[:, :2].T
            attempt, action = np.array(state.attempt), known[lives, cue]
            state, found = step(state, jnp.array(action), KEY)
            missed = (exam == 0) & (np.array(state.now.feedback) == 1) & (np.array(state.attempt) == attempt)
            known[lives, cue] = np.where(missed & running, (action + 1) % 4, action)
            np.add.at(won, attempt[running], np.array(found.succeeded)[running])
            running &= ~np.array(found.ends_episode)
        gains[control] = (won[-1] - won[0]) / 40
    assert gains[None] > 0.5
    assert abs(gains["changing"]) < 0.25


def test_changing_is_made_of_a_life_with_a_hidden_rule_and_of_nothing_else():
    with pytest.raises(ValueError, match="needs a family with a hidden rule; Errands shows its rule"):
        Lives(envs.make("errands"), 2, changing=True)
    with pytest.raises(ValueError, match="must be applied to a life"):
        CONTROLS["changing"](envs.make("codebooks", "blind", life=2))
    assert "each at a task of its own" in envs.make("codebooks", "changing", life=2).rules
