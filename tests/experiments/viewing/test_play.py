"""`incentivize play`: by keys, by the expert, into files; and what it says to bad input."""

import functools
import io
import os
import pty
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from incentivize import envs
from incentivize.envs.gym import FamilyEnv
from incentivize.envs.render import Picture
from incentivize.experiments.cli.main import main
from incentivize.experiments.viewing import play, terminal


def piped(monkeypatch, keys, *arguments):
    monkeypatch.setattr("sys.stdin", io.StringIO(keys))
    return main(["play", *arguments])


@functools.cache
def expert_of(family, kind):
    return jax.jit(functools.partial(family.expert, kind=kind))


def experts_keys(name, task, seed, kind):
    """What the expert presses."""
    env = FamilyEnv(name)
    env.reset(seed=seed, options={"task": task})
    keys, ended = "", False
    while not ended:
        action = int(np.argmax(expert_of(env.family, kind)(env.episode.state)))
        keys += env.family.keys[action]
        _, _, terminated, truncated, _ = env.step(action)
        ended = terminated or truncated
    return keys


@pytest.mark.parametrize("name", envs.names())
def test_the_experts_keys_win(name, monkeypatch, capsys):
    keys = experts_keys(name, 7, 3, "fair")
    assert piped(monkeypatch, keys, name, "--task", "7", "--seed", "3") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(envs.make(name).rules)
    assert "training task 7, seed 3" in shown
    assert shown.endswith(f"won after {len(keys)} steps\n")
    assert shown.count("step") >= len(keys)
    assert "\x1b" not in shown


@pytest.mark.parametrize("name", envs.names())
def test_the_expert_wins_alone_and_is_drawn(name, capsys, tmp_path):
    files = ["--gif", str(tmp_path / "a.gif"), "--picture", str(tmp_path / "a.png")]
    assert main(["play", name, "--expert", "--seed", "5", *files]) == 0
    shown = capsys.readouterr().out
    steps = int(shown.splitlines()[-1].removeprefix("won after ").removesuffix(" steps"))
    with Image.open(tmp_path / "a.gif") as gif, Image.open(tmp_path / "a.png") as png:
        assert gif.n_frames == steps + 1
        assert gif.size == png.size


def test_losing_time_and_wrong_keys_are_said(monkeypatch, capsys):
    assert piped(monkeypatch, "w" * 60, "mazes", "--seed", "1") == 0  # the last keys mean nothing any more
    shown = capsys.readouterr().out
    assert "step 28 of 28: north - time is up" in shown
    assert "time is up: not done in 28 steps. 'w' does nothing here. Press n for another one, or q to quit." in shown
    assert piped(monkeypatch, "x2p\n4p", "codebooks", "--seed", "1") == 0
    shown = capsys.readouterr().out
    assert "'x' does nothing here. Press 0 answer 0, 1 answer 1" in shown
    assert "'4' does nothing here" in shown
    assert "step 3 of 9: probe" in shown
    assert shown.endswith("stopped before the end\n")
    wrong = ["2", "0", "1"][int(experts_keys("programs", 0, 0, "fair")[-1])]
    keys = experts_keys("programs", 0, 0, "fair")[:-1] + wrong
    assert piped(monkeypatch, keys, "programs", "--task", "0", "--seed", "0") == 0
    assert capsys.readouterr().out.endswith("lost after 7 steps\n")


def test_a_probe_in_the_exam_is_refused_by_name(monkeypatch, capsys):
    assert piped(monkeypatch, "pppppp" + "p", "codebooks", "--seed", "1") == 0
    assert "p (probe) cannot be done now. Press 0 answer 0" in capsys.readouterr().out


def test_n_plays_another_and_q_quits(monkeypatch, capsys):
    keys = experts_keys("errands", 4, 2, "fair")
    assert piped(monkeypatch, f"{keys}nq", "errands", "--task", "4", "--seed", "2") == 0
    shown = capsys.readouterr().out
    assert shown.count("training task 4, seed ") == 2
    assert len({line for line in shown.splitlines() if line.startswith("training task")}) == 2
    assert shown.endswith("stopped before the end\n")


def test_a_seed_makes_the_same_episode_again(monkeypatch, capsys):
    shown = [piped(monkeypatch, "wasd", "mazes", "--seed", seed) or capsys.readouterr().out for seed in "112"]
    assert shown[0] == shown[1] != shown[2]


def test_tasks_are_drawn_from_training_alone():
    for name in envs.names():
        tasks = envs.make(name).tasks
        numbers = {play.draw_task(envs.make(name), seed) for seed in range(20)}
        assert len(numbers) == 20
        assert {tasks.locate(tasks.train(number))[0] for number in numbers} == {"training"}


def test_knobs_and_controls_are_played(monkeypatch, capsys):
    assert piped(monkeypatch, "q", "mazes", "--knob", "rows=3", "goal_in_task=false", "--control", "blind") == 0
    shown = capsys.readouterr().out
    assert "?" in shown.split("seed")[1]
    assert "after 20 steps it is up" in shown
    assert piped(monkeypatch, "q", "codebooks", "--knob", "variant=try") == 0
    assert "w lets the step go by" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "FAMILY"),
        (["maze"], "FAMILY = 'maze': there is no such name. Did you mean 'mazes'?"),
        (["mazes", "--task", "-1"], "--task = -1: mazes has the training tasks 0 to 2,"),
        (["mazes", "--task", "9999999999999999999"], "--task = 9999999999999999999: mazes has"),
        (["mazes", "--seed", "-1"], "--seed = -1: must be 0 or more"),
        (["mazes", "--control", "blnd"], "--control = 'blnd': there is no such name. Did you mean 'blind'?"),
        (["mazes", "--control", "disjoint"], "needs a family with a hidden rule"),
        (["mazes", "--knob", "rosw=3"], "--knob = 'rosw': there is no such name. Did you mean 'rows'?"),
        (["mazes", "--knob", "rows"], "--knob = 'rows': has no value. Write it as NAME=VALUE."),
        (["mazes", "--knob", "rows=2"], "mazes: rows = 2, columns = 7: expected 3 to 11 each"),
        (["mazes", "--knob", "rows=many"], "--knob = 'rows=many': the value has the wrong type. Give one such as 7."),
        (["mazes", "--knob", "rows=3.5"], "--knob = 'rows=3.5': the value has the wrong type. Give one such as 7."),
        (
            ["mazes", "--knob", "goal_in_task=1"],
            "--knob = 'goal_in_task=1': the value has the wrong type. Give one such as true.",
        ),
        (["mazes", "--knob", "control=blind"], "--knob = 'control': there is no such name. Give one of rows, columns"),
        (["codebooks", "--knob", "variant=tell"], "codebooks: variant = 'tell': expected 'probe' or 'try'"),
        (["mazes", "--gif", "a.png"], "--gif = a.png: must end in .gif"),
        (["mazes", "--picture", "a.jpg"], "--picture = a.jpg: must end in .png"),
        (["mazes", "--gif", "nowhere/a.gif"], "--gif = nowhere/a.gif: cannot be written"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(arguments, named, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(["play", "--expert", *arguments])
    except SystemExit as end:  # from the parser
        status = end.code
    captured = capsys.readouterr()
    assert status == 2
    assert named in captured.err + captured.out
    assert "Traceback" not in captured.err
    assert not list(tmp_path.iterdir())


def test_in_a_terminal_pictures_are_drawn_over_each_other(capsys):
    picture = Picture.blank(2, 3)
    for no_color in (False, True):
        screen = terminal.Screen(Console(force_terminal=True, no_color=no_color, width=20))
        screen.show(picture)
        screen.print_line("x" * 99)
        screen.show(picture)
        screen.leave("won")
        shown = capsys.readouterr().out
        assert shown.count("\x1b[2A") == 1
        assert f"\x1b[K{'x' * 19}\r" in shown
        assert ("38;5;" in shown) != no_color
        assert shown.endswith("won\n")


def test_keys_are_read_as_they_are_pressed():
    """In a terminal of its own: arrows, q, and the terminal as it was."""
    outer, inner = pty.openpty()
    os.write(outer, b"\x1b[A\x1b[Czq")
    code = (
        "from incentivize.experiments.viewing import terminal\n"
        "import termios\n"
        "before = termios.tcgetattr(0)\n"
        "with terminal.key_presses() as keys: found = [next(keys) for _ in range(4)]\n"
        "assert termios.tcgetattr(0) == before\n"
        "print(found)"
    )
    shown = subprocess.run([sys.executable, "-c", code], stdin=inner, capture_output=True, text=True, timeout=60)
    os.close(outer)
    os.close(inner)
    assert shown.stdout == "['w', 'd', 'z', 'q']\n"


def test_actions_are_chosen_by_the_family_keys():
    env = FamilyEnv("codebooks")
    screen = terminal.Screen(Console(force_terminal=False))
    choose = play.keyboard_policy(iter("3pq"), screen)
    assert [choose(env, np.ones(5, np.int8)) for _ in range(4)] == [3, 4, None, None]
