"""The contract, over every registered family and control."""

import jax
import jax.numpy as jnp
import pytest

from incentivize import envs
from incentivize.envs.contract import CHECKS, INSIDE_OTHERS
from incentivize.envs.contract.basics import a_step_keeps_the_state_a_state
from incentivize.envs.contract.players import alone
from tests.helpers.families import INSIDE, WITH_SLOW, every_control, label


# The checks of one family come one after the other: they share its compiled programs and its episodes.
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("family", WITH_SLOW, ids=label)
def test_families(check, family):
    check(family)


@pytest.mark.parametrize(
    ("check", "family"),
    [
        pytest.param(
            check,
            family,
            id=f"{label(family)}-{check.__name__}",
            marks=() if played or check is a_step_keeps_the_state_a_state else pytest.mark.slow,
        )
        for family, played in INSIDE
        for check in INSIDE_OTHERS
    ],
)
def test_controls_lives_and_mixtures(check, family):
    check(family)


@every_control
def test_a_task_of_numpy_is_a_task(family):
    """`TaskSpace.task` hands out NumPy's arrays, and nothing has to be compiled."""
    key, task = jax.random.key(0), family.tasks.heldout(1)
    starts = jax.eval_shape(lambda: (family.init(key, task), family.start_near(key, task, jnp.int32(1))))
    assert starts == (jax.eval_shape(alone(family, "init"), key, jnp.array(task)),) * 2


def test_make_refuses_what_is_not_there():
    with pytest.raises(ValueError, match="family = 'erands': expected one of codebooks, errands"):
        envs.make("erands")
    with pytest.raises(ValueError, match="control = 'x'"):
        envs.make("errands", "x")
    with pytest.raises(ValueError, match="valeus: errands has no such knob"):
        envs.make("errands", valeus=3)
    for knobs in ({"objects": 5}, {"values": 3}, {"size": 3}, {"attributes": 1}):
        with pytest.raises(ValueError, match=f"{next(iter(knobs))} = "):
            envs.make("errands", **knobs)
    for name, knob, value in (
        ("mazes", "rows", 2),
        ("mazes", "room", 6),
        ("programs", "length", 0),
        ("programs", "room", 3),
        ("programs", "modulus", 1),
        ("puzzles", "moves", 1),
        ("puzzles", "scramble", 9),
        ("codebooks", "exam", 1),
        ("codebooks", "study", 0),
        ("codebooks", "variant", "tell"),
        ("codebooks", "price", -1),
        ("sequences", "tokens", 17),
        ("sequences", "order", 4),
        ("sequences", "runs", 0),
        ("sequences", "length", 4),
        ("sequences", "asked", 7),
        ("sequences", "room", 4),
    ):
        with pytest.raises(ValueError, match=f"{knob} = {value!r}"):
            envs.make(name, **{knob: value})
    hidden = (
        r"^control = 'shuffled': needs a family with a visible rule; Codebooks hides its rule\. Choose .*'disjoint'\.$"
    )
    with pytest.raises(ValueError, match=hidden):
        envs.make("codebooks", "shuffled")
    with pytest.raises(ValueError, match=r"Codebooks hides its rule\. Choose control='changing'\.$"):
        envs.make("codebooks", "shuffled", life=2)
    visible = r"^control = 'disjoint': needs a family with a hidden rule; Mazes shows its rule\. .*'shuffled'\.$"
    with pytest.raises(ValueError, match=visible):
        envs.make("mazes", "disjoint")


@pytest.mark.parametrize(
    ("name", "near", "far"),
    [
        ("errands", {}, {"chain": 2}),
        ("mazes", {"room": 9}, {"rows": 9, "columns": 9}),
        ("programs", {"room": 9}, {"length": 9}),
        ("puzzles", {}, {"scramble": 4}),
        ("codebooks", {}, {"study": 4, "exam": 4}),
        ("sequences", {}, {"order": 3, "asked": 4}),
        ("sequences", {"room": 7}, {"tokens": 7, "runs": 5}),
    ],
)
def test_every_family_has_harder_tasks_that_look_the_same(name, near, far):
    """So that an agent can be tried, without any change, on what it was not trained for."""
    trained, tried = envs.make(name, **near), envs.make(name, **far)
    assert (trained.spec, trained.num_actions) == (tried.spec, tried.num_actions)
    assert trained.horizon < tried.horizon
