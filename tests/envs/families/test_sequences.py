from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs
from incentivize.envs.contract import batched, starts
from incentivize.envs.contract.players import alone
from incentivize.envs.families.sequences import EXAM, Sequences
from incentivize.envs.tasks import make_pool
from incentivize.envs.wrappers.controls import CONTROLS
from tests.helpers.playing import look, success_and_cost

OTHERS = ({"order": 1, "tokens": 7, "room": 9}, {"order": 3, "asked": 4})
variants = pytest.mark.parametrize("knobs", [{}, *OTHERS], ids=str)


@partial(jax.jit, static_argnames=("family", "count", "control"))
def _stream(family, count, control):
    played = CONTROLS[control](family) if control else family
    states = starts(played, count)

    def step(states, key):
        actions = jax.vmap(family.expert)(states).argmax(1)
        seen, fair = jax.vmap(family.observe)(states).context, jax.vmap(partial(family.expert, kind="fair"))(states)
        after, _ = jax.vmap(family.step, (0, 0, None))(states, actions, key)
        return after, (seen, fair)

    after, (seen, fair) = jax.lax.scan(step, states, jax.random.split(jax.random.key(0), family.horizon))
    last = jax.vmap(family.observe)(after).context
    return after, jnp.concatenate([seen, last[None]]).swapaxes(0, 1), fair.swapaxes(0, 1)


@lru_cache
def stream(family, count=1000, control=None):
    """Episodes of held-out tasks in which all is foretold right.

    The last states, contexts [count, horizon + 1, 3] of all observations, and the fair expert's policies [count,
    horizon, A], as NumPy arrays.
    """
    return jax.tree.map(np.asarray, _stream(family, count, control))


def state_of(states, i):
    """Return one state of several."""
    return jax.tree.map(lambda leaf: leaf[i], states)


def played(family, state, steps):
    """Return the states of an episode in which the last legal action is taken."""
    states = [state]
    for turn in range(steps):
        states.append(look(family, states[-1], turn)[1])
    return states


def exam_and_prefix(family, tokens):
    """The tokens of one episode, cut: the exam's, and the example runs'."""
    cut = family.runs * family.length
    return tokens[cut:].tolist(), tokens[:cut].reshape(family.runs, family.length).tolist()


@variants
@pytest.mark.parametrize("kind", ["informed", "fair"])
def test_experts_always_win(knobs, kind):
    assert success_and_cost(Sequences(**knobs), kind, 2000) == (1, 0)


def test_a_disjoint_prefix_teaches_nothing():
    family = envs.make("sequences", "disjoint")
    assert success_and_cost(family, "fair")[0] == pytest.approx(1 / 125, abs=0.004)
    assert success_and_cost(family, "informed")[0] == 1
    states = starts(family, 2000)
    assert float((states.shown == states.task).mean()) == pytest.approx(0.2, abs=0.02)


def test_tokens_follow_the_table():
    """A rule made by hand: each token is the sum of the two before it, modulo 5."""
    family = Sequences()
    rule = jnp.array([(first + second) % 5 for first in range(5) for second in range(5)], jnp.uint8)
    state = alone(family, "init")(jax.random.key(3), rule)
    tokens = [int(alone(family, "observe")(s).context[1]) for s in played(family, state, 24)]
    for run in range(3):
        mine = tokens[8 * run : 8 * run + 8]
        assert tuple(mine[:2]) == divmod(int(state.openings[run]), 5)
        assert all(mine[i] == (mine[i - 1] + mine[i - 2]) % 5 for i in range(2, 8))


def test_a_first_order_table_is_read_as_it_is_written():
    family = Sequences(tokens=4, order=1, length=5, runs=1)
    state = alone(family, "init")(jax.random.key(0), jnp.array([2, 0, 3, 1], jnp.uint8))
    tokens = [int(alone(family, "observe")(s).context[1]) for s in played(family, state, 4)]
    follows = {0: 2, 2: 3, 3: 1, 1: 0}
    assert tokens[1:] == [follows[token] for token in tokens[:-1]]


@variants
@pytest.mark.parametrize("control", [None, "disjoint"])
def test_observations_say_what_they_should(knobs, control):
    """The prefix obeys `shown`, the exam `task`, and flags tell phases and the tokens that begin a run."""
    family = Sequences(**knobs)
    states, seen, _ = stream(family, control=control)
    cut = family.runs * family.length
    assert (seen[:, :, 0] == (np.arange(family.horizon + 1) >= cut)).all()
    number = np.where(np.arange(family.horizon + 1) < cut, np.arange(family.horizon + 1) % family.length, 99)
    number[cut:] = np.arange(family.order + family.asked)
    assert (seen[:, :, 2] == (number < family.order)).all()
    for i in range(200):
        exam, runs = exam_and_prefix(family, seen[i, :, 1])
        for tokens, rule in (*((run, states.shown[i]) for run in runs), (exam, states.task[i])):
            for k in range(family.order, len(tokens)):
                context = int(np.ravel_multi_index(tokens[k - family.order : k], (family.tokens,) * family.order))
                assert tokens[k] == rule[context]
    assert control is None or (states.shown != states.task).any(1).all()


@variants
def test_the_exam_is_a_stretch_of_an_example(knobs):
    """So that its answers can be known: and no two questions are one, where an example had so many in a row."""
    family = Sequences(**knobs)
    states, seen, _ = stream(family)
    size, fit = family.order + family.asked, 0
    met = np.zeros(family.runs * (family.length - size + 1), int)

    def differ(tokens):
        contexts = [tuple(tokens[k : k + family.order]) for k in range(family.asked + 1)]
        return len(set(contexts)) == family.asked + 1

    for i in range(1000):
        exam, runs = exam_and_prefix(family, seen[i, :, 1])
        stretches = [run[k : k + size] for run in runs for k in range(family.length - size + 1)]
        assert exam in stretches
        met[stretches.index(exam)] += 1
        assert differ(exam) == any(map(differ, stretches)) == states.fit[i]
        fit += differ(exam)
    if not knobs:
        assert met.min() > 30
        assert fit == pytest.approx(977, abs=15)


def test_the_exam_of_a_disjoint_prefix_begins_like_a_stretch_of_it():
    family = Sequences()
    _, seen, _ = stream(family, control="disjoint")
    for i in range(1000):
        exam, runs = exam_and_prefix(family, seen[i, :, 1])
        assert exam[:2] in [run[k : k + 2] for run in runs for k in range(4)]


@variants
@pytest.mark.parametrize("control", [None, "disjoint"])
def test_the_fair_expert_knows_what_it_was_shown_and_no_more(knobs, control):
    """Against an account kept of the observations alone."""
    family = Sequences(**knobs)
    _, seen, fair = stream(family, control=control)
    anything = (np.arange(family.num_actions) < family.tokens) / family.tokens
    for i in range(100):
        told, run = {}, []
        for at, (exam, token, opens) in enumerate(seen[i, :-1]):
            if opens and not seen[i, at - 1, 2]:
                run = []
            if not opens and not exam:
                told[tuple(run[-family.order :])] = token
            run.append(token)
            follows = None if seen[i, at + 1, 2] else told.get(tuple(run[-family.order :]))
            expected = anything if follows is None else np.eye(family.num_actions)[follows]
            assert np.allclose(fair[i, at], expected), (i, at)


def test_in_the_prefix_nothing_depends_on_what_is_said():
    family = Sequences()
    states = starts(family, 50)
    step = jax.jit(jax.vmap(family.step, (0, 0, None)))
    first, second = states, states
    for at in range(25):  # up to and with the first token of the exam
        actions = jax.random.randint(jax.random.key(at), (2, 50), 0, 5)
        first, outcome = step(first, actions[0], jax.random.key(0))
        second, _ = step(second, actions[1], jax.random.key(1))
        assert not (outcome.succeeded | outcome.failed).any()
        assert (outcome.cost == 0).all()
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert (family.observe(state_of(first, 0)).context[0], first.at[0]) == (EXAM, 25)


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_the_first_wrong_answer_loses(wrong):
    family = Sequences()
    state = alone(family, "init")(jax.random.key(0), jnp.array(family.tasks.train(0)))
    step, expert = jax.jit(family.step), jax.jit(family.expert)
    for at in range(family.horizon):
        answer = jnp.argmax(expert(state))
        if at == 25 + wrong:
            _, outcome = step(state, (answer + 1) % 5, jax.random.key(0))
            assert (bool(outcome.succeeded), bool(outcome.failed)) == (False, True)
        state, outcome = step(state, answer, jax.random.key(0))
        assert (bool(outcome.succeeded), bool(outcome.failed)) == (at == 27, False)


def test_little_can_be_guessed_without_the_prefix():
    """The best answers to how an exam begins, up to renaming tokens, from 30,000 exams: little above 1 in 125.

    All that the agent learns in the exam is that it was right, so a plan of three answers is the most there is. Where
    exams may go round in loops the best plan wins .155, and the same token again .12.
    """
    _, seen, _ = stream(Sequences(), 30_000)
    exams = seen[:, 24:, 1]
    repeats = (exams[:, 1:] == exams[:, 1:2]).all(1).mean()
    assert repeats < 0.015  # the same token again
    first = (exams[:, :, None] == exams[:, None, :]).argmax(2)  # where each token came first: patterns, not tokens
    patterns, counts = np.unique(first, axis=0, return_counts=True)
    best = {}
    for pattern, count in zip(patterns, counts, strict=True):
        old, new = len(set(pattern[:2])), len(set(pattern))
        ways = np.prod([5 - k for k in range(old, new)])
        best[tuple(pattern[:2])] = max(best.get(tuple(pattern[:2]), 0), count / ways / len(exams))
    assert len(best) == 2
    assert 1 / 125 < sum(best.values()) < 0.02


def test_blind_hides_what_followed_in_the_prefix():
    family = Sequences()
    states = starts(family, 50)
    step = jax.jit(jax.vmap(family.step, (0, 0, None)))
    for at in range(family.horizon):
        seen = batched(family, "observe")(states)
        blind = batched(family, "blind")(seen)
        assert (blind.context[:, [0, 2]] == seen.context[:, [0, 2]]).all()
        stays = at >= 24 or at % 8 < 2
        assert (blind.context[:, 1] == (seen.context[:, 1] if stays else 0)).all()
        states, _ = step(states, batched(family, "expert")(states).argmax(1), jax.random.key(0))


def test_who_starts_near_has_seen_a_whole_prefix():
    family = Sequences()
    task = jnp.array(family.tasks.heldout(1))
    state = alone(family, "start_near")(jax.random.key(4), task, jnp.int32(2))
    assert 26 <= int(state.at) <= 27
    assert int(state.known.sum()) >= 6
    whole, step = alone(family, "init")(jax.random.split(jax.random.key(4))[0], task), alone(family, "step")
    for _ in range(int(state.at)):
        whole, _ = step(whole, jnp.int32(0), jax.random.key(0))
    assert all((a == b).all() for a, b in zip(state, whole, strict=True))


@variants
def test_the_picture_has_the_tokens_that_were_seen(knobs):
    family = Sequences(**knobs)
    states, seen, _ = stream(family, control="disjoint")
    for i in range(10):
        rows = ["".join(row[10:]).split() for row in family.render(state_of(states, i)).characters[2:]]
        tokens = [int(token) for row in rows for token in row]
        assert tokens == seen[i, :, 1].tolist()
    here, other = state_of(states, 0), state_of(states, 1)
    hidden = family.render(here, described=False).characters
    assert (hidden == "?").sum() == family.runs * (family.length - family.order)
    assert (hidden == family.render(here._replace(shown=other.shown), described=False).characters).all()


def test_openings_and_exams_are_drawn_evenly():
    states = starts(Sequences(), 10_000)
    assert np.bincount(np.array(states.openings).ravel(), minlength=25) == pytest.approx(1200, rel=0.15)
    assert np.bincount(np.array(states.exam_place), minlength=12) == pytest.approx(833, rel=0.15)


@pytest.mark.parametrize(
    ("knobs", "named"),
    [
        ({"tokens": 1}, "tokens = 1: expected an integer from 2 to 16"),
        ({"tokens": 16}, r"order = 2, tokens = 16: expected 3 <= tokens\^order <= 255"),
        ({"tokens": 2, "order": 1}, r"order = 1, tokens = 2: expected 3"),
        ({"tokens": 3, "order": 1}, r"asked = 3: expected 1 <= asked < tokens\^order = 3"),
        ({"asked": 0}, "asked = 0: expected 1"),
        ({"asked": 7}, r"asked = 7, length = 8: expected asked <= length - order"),
        ({"runs": 32}, "runs = 32, length = 8: expected at least one run, and at most 254 steps"),
        ({"room": 17}, "room = 17: expected tokens = 5 to 16, or 0 for the least"),
    ],
)
def test_knobs_that_make_no_sense_are_refused(knobs, named):
    with pytest.raises(ValueError, match=named):
        Sequences(**knobs)


def test_the_longest_stream_still_fits():
    family = Sequences(runs=30, length=8, order=2, asked=6)
    assert family.horizon == 247
    assert success_and_cost(family, "fair", 50) == (1, 0)
    assert family.tasks.member(make_pool(None, split="heldout"), jnp.uint32(3)).dtype == jnp.uint8
