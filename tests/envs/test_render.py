"""Pictures: of one size, of what the agent may see and of nothing else; as text, image and animation."""

import functools
import re

import jax
import numpy as np
import pytest
from PIL import Image

from incentivize import envs
from incentivize.envs.render import CELL, MARGIN, PAPER, Picture, lattice, rgb, to_image, to_text, write_gif, write_png
from incentivize.envs.wrappers.base import Wrapper
from incentivize.envs.wrappers.controls import CONTROLS, controls_of
from incentivize.envs.wrappers.lives import Lives
from tests.helpers.compiled import family_method
from tests.helpers.families import every_control
from tests.helpers.playing import look

MEMORY = ("at", "possible", "openings")  # fields of what an agent could remember: the time, and what it was told


@functools.cache
def beginnings(family):
    """Return starting states of four tasks, of NumPy; a wrapper that makes none of its own shares its family's."""
    if type(family).init is Wrapper.init and type(family).tasks is Wrapper.tasks:
        return beginnings(family.family)
    init, tasks = family_method(family, "init"), family.tasks
    return [jax.device_get(init(jax.random.key(i), tasks.heldout(i))) for i in range(4)]


def seen(picture):
    return picture.characters.tobytes(), picture.inks.tobytes(), picture.papers.tobytes()


@functools.cache
def played(family, start, steps):
    """The states of an episode in which the last legal action is taken first, a probe where there are any.

    It begins at the `start`-th of `beginnings`.
    """
    states = [beginnings(family)[start]]
    for turn in range(steps):
        _, state, ended = jax.device_get(look(family, states[-1], turn))
        states.append(state)
        if ended:
            break
    return states


@every_control
def test_the_size_is_the_same_over_an_episode_and_between_tasks(family):
    states = beginnings(family)[:3] + played(family, 0, family.horizon)
    sizes = {family.render(state).characters.shape for state in states}
    assert len(sizes) == 1


@every_control
@pytest.mark.parametrize("steps", [0, 1])
def test_a_picture_shows_what_the_agent_sees_and_nothing_else(family, steps):
    """Field by field: where another value changes nothing for the agent, the picture stays, and the other way round."""
    here, *others = (played(family, i, steps)[-1] for i in range(4))
    picture, observation, changed = seen(family.render(here)), jax.device_get(look(family, here, 0)[0]), set()
    for field in here._fields:
        for other in others:
            swapped = here._replace(**{field: getattr(other, field)})
            pairs = zip(observation, jax.device_get(look(family, swapped, 0)[0]), strict=True)
            changes = any((before != after).any() for before, after in pairs)
            if field not in MEMORY:
                assert (seen(family.render(swapped)) != picture) == changes, field
            changed |= {field} if changes else set()
    assert changed  # or nothing was tested
    assert "task" not in changed


@pytest.mark.parametrize("name", envs.names())
def test_the_blind_control_shows_nothing_that_was_found_out(name):
    """Another rule, another memory of it: the same picture."""
    family = envs.make(name, "blind")
    here, other, *_ = beginnings(family)
    fields = {"task", "shown", "possible", "feedback"} & set(here._fields)
    hidden = {field: ~getattr(here, field) if field == "possible" else getattr(other, field) for field in fields}
    assert seen(family.render(here)) == seen(family.render(here._replace(**hidden)))


def test_only_what_was_studied_so_far_is_in_a_codebooks_picture():
    family = envs.make("codebooks")
    state = beginnings(family)[0]
    picture = seen(family.render(state))
    later = state._replace(studied=state.studied.copy(), possible=state.possible.copy())
    later.studied[1:], later.possible[1:] = 0, False
    assert seen(family.render(later)) == picture


def test_only_what_was_shown_so_far_is_in_a_sequences_picture():
    family = envs.make("sequences")
    state, other = (played(family, i, 9)[-1] for i in (0, 1))  # the second run has just begun
    picture = seen(family.render(state))
    unseen = {field: getattr(other, field) for field in ("task", "exam", "exam_place", "known", "fit")}
    unseen["openings"] = np.concatenate([state.openings[:2], other.openings[2:]])
    unseen["shown"] = np.where(state.known, state.shown, (state.shown + 1) % 5)
    assert (unseen["openings"] != state.openings).any()
    assert seen(family.render(state._replace(**unseen))) == picture
    assert seen(family.render(state._replace(openings=other.openings))) != picture


def test_the_shuffled_control_shows_the_other_tasks_description():
    family = envs.make("programs", "shuffled")
    state = beginnings(family)[0]
    text = to_text(family.render(state))
    for line in family.describe(state.shown).split("; "):
        assert line in text


@pytest.mark.parametrize("name", envs.names())
def test_rules_are_short_and_actions_have_names_and_keys(name):
    family = envs.make(name)
    once, life = (
        (one, *(CONTROLS[control](one) for control in controls_of(one))) for one in (family, Lives(family, 16))
    )
    for one_of in (*once, *life):
        lines = one_of.rules.split("\n")
        assert 1 <= len(lines) <= 8
        assert max(map(len, lines)) <= 100
        assert len(one_of.action_names) == len(set(one_of.keys)) == one_of.num_actions
        assert not {"q", "n"} & set(one_of.keys)
        assert all(len(key) == 1 for key in one_of.keys)
    assert str(family.horizon) in family.rules or name == "codebooks"  # whose phases are counted instead


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("codebooks", {"variant": "try", "study": 3}),
        ("codebooks", {"cues": 255, "exam": 12, "price": 0}),
        ("errands", {"attributes": 64, "values": 256, "size": 11}),
        ("errands", {"objects": 2, "values": 2, "attributes": 3, "size": 4}),
        ("mazes", {"rows": 3, "columns": 11}),
        ("programs", {"length": 32, "modulus": 16}),
        ("programs", {"length": 1}),
        ("programs", {"silent": True}),
        ("puzzles", {"moves": 8, "scramble": 3}),
        ("sequences", {"tokens": 16, "order": 1, "runs": 15, "length": 16, "asked": 14}),
        ("sequences", {"tokens": 6, "order": 3, "runs": 1, "length": 40, "asked": 9, "room": 16}),
    ],
)
def test_pictures_and_rules_follow_the_knobs(name, knobs):
    family = envs.make(name, **knobs)
    task = np.random.default_rng(0).integers(0, family.tasks.radices).astype(family.tasks.dtype)
    assert to_text(family.render(jax.device_get(family_method(family, "init")(jax.random.key(0), task))))
    lines = family.rules.split("\n")
    assert len(lines) <= 6  # a life and a control add one each
    assert max(map(len, lines)) <= 100
    assert len(family.keys) == len(family.action_names) == family.num_actions


def test_walls_join():
    over, left = np.ones((3, 2), bool), np.ones((2, 3), bool)
    over[1, 0] = False
    assert lattice(over, left) == ["┌───┬───┐", "│   │   │", "│   ├───┤", "│   │   │", "└───┴───┘"]


def test_text_has_colours_only_where_they_are_wanted():
    picture = Picture.blank(2, 8)
    picture.write(1, 2, "a┼", ink=25, paper=194)
    assert to_text(picture) == "\n  a┼"
    coloured = to_text(picture, colour=True)
    assert "\x1b[38;5;25;48;5;194ma┼" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == " " * 8 + "\n  a┼    "


def test_what_does_not_fit_is_refused():
    picture = Picture.blank(2, 8)
    for row, column in ((2, 0), (0, 6), (-1, 0), (0, -1)):
        with pytest.raises(ValueError, match="does not fit into 2 x 8"):
            picture.write(row, column, "abc")


def test_a_caption_is_a_copy_wide_enough_for_it():
    picture = Picture.blank(2, 8)
    captioned = picture.captioned("x" * 99)
    assert captioned.characters.shape == (4, 36)
    assert "".join(captioned.characters[3]) == " " + "x" * 35
    assert picture.characters.shape == (2, 8)


def test_colours_are_xterms():
    assert (rgb(231), rgb(25), rgb(235), rgb(16)) == ((255, 255, 255), (0, 95, 175), (38, 38, 38), (0, 0, 0))


def test_an_image_has_the_picture_in_it():
    picture = Picture.blank(2, 3)
    picture.write(0, 0, "───", ink=16)
    picture.write(1, 1, "x", ink=160, paper=25)
    image = to_image(picture)
    tall, wide = CELL
    assert image.shape == (2 * tall + 2 * MARGIN, 3 * wide + 2 * MARGIN, 3)
    assert image.dtype == np.uint8
    line = image[MARGIN + tall // 2, MARGIN + wide // 2 : -MARGIN]
    assert (line == 0).all()  # without a gap between characters
    cell = image[MARGIN + tall : -MARGIN, MARGIN + wide : -MARGIN - wide]
    assert (cell == rgb(25)).all(-1).mean() > 0.5
    assert (cell == rgb(160)).all(-1).any()
    assert (image[:MARGIN] == rgb(PAPER)).all()


def test_files_hold_what_was_drawn(tmp_path):
    family = envs.make("errands")
    pictures = [family.render(state) for state in beginnings(family)[:3]]
    write_gif(tmp_path / "a.gif", pictures)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 3
        assert gif.size == to_image(pictures[0]).shape[1::-1]
        assert gif.info["loop"] == 0
        first = gif.info["duration"]
        gif.seek(2)
        assert gif.info["duration"] > first  # the last one is held
    write_png(tmp_path / "a.png", pictures[0])
    with Image.open(tmp_path / "a.png") as png:
        assert (np.array(png) == to_image(pictures[0])).all()


def test_images_need_a_font_of_matplotlib_and_nothing_that_its_environment_may_break(monkeypatch):
    from incentivize.envs import render

    render._pen.cache_clear()
    monkeypatch.delitem(__import__("sys").modules, "matplotlib", raising=False)
    assert to_image(Picture.blank(1, 1)).shape == (CELL[0] + 2 * MARGIN, CELL[1] + 2 * MARGIN, 3)
    assert "matplotlib" not in __import__("sys").modules


def test_without_pillow_the_reason_is_given(monkeypatch):
    from incentivize.envs import render

    render._pen.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match="images need Pillow and matplotlib, and PIL is not installed"):
        to_image(Picture.blank(1, 1))
