"""`incentivize play`: a family for a person, in a terminal or from a pipe; or its expert, watched or drawn."""

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from incentivize import envs
from incentivize.envs.family import Family
from incentivize.envs.gym import FamilyEnv
from incentivize.envs.render import FAINT, GREEN, ORANGE, Picture, write_gif, write_png
from incentivize.envs.wrappers.controls import CONTROLS
from incentivize.experiments.errors import InputError, check_name
from incentivize.experiments.viewing.captions import caption, count_steps, describe_end
from incentivize.experiments.viewing.terminal import Screen, key_presses

PAUSE_SECONDS = 0.7  # seconds between the expert's steps
QUIT, AGAIN = "q", "n"


def make_env(name: str, control: str | None = None, task: int | None = None, knobs: tuple[str, ...] = ()) -> FamilyEnv:
    """The environment to play in.

    Args:
        name: of a family that there is.
        control: of `incentivize.envs.wrappers.controls`, or None.
        task: the number of a training task, checked here.
        knobs: of the family, each as "name=value".

    Raises:
        SettingsError: where one of them will not do.
    """
    if control is not None:
        check_name("--control", control, CONTROLS)
    default: Any = envs.make(name)
    try:
        env = FamilyEnv(name, control=control, **dict(_knob(default, text) for text in knobs))
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error
    count = env.family.tasks.split_size("training")
    if task is not None and not 0 <= task < count:
        raise InputError(f"--task = {task}: {name} has the training tasks 0 to {count - 1:,}")
    return env


def _knob(default: Any, text: str) -> tuple[str, Any]:
    """Name and value of a knob, of the kind that the family as shipped has."""
    name, equals, written = text.partition("=")
    if not equals:
        raise InputError(f"--knob {text!r}: want NAME=VALUE")
    check_name("--knob", name, [knob.name for knob in dataclasses.fields(default)])
    usual = getattr(default, name)
    value = written
    if not isinstance(usual, str):  # words need no quotes
        with contextlib.suppress(ValueError):
            value = json.loads(written)
    if type(value) is not type(usual):
        raise InputError(f"--knob {text!r}: want a value such as {json.dumps(usual)}")
    return name, value


Choose = Callable[[FamilyEnv, np.ndarray], int | None]
"""A player: from the environment and the legal actions (int8 [A]) to an action, or None to stop."""


def keyboard_policy(keys: Iterator[str], screen: Screen) -> Choose:
    """Play by keys."""

    def choose(env: FamilyEnv, legal: np.ndarray) -> int | None:
        family = env.family
        names = dict(zip(family.keys, family.action_names, strict=True))
        wanted = ", ".join(f"{key} {name}" for (key, name), fits in zip(names.items(), legal, strict=True) if fits)
        screen.print_line(f"{wanted}, {QUIT} quit", hint=True)
        for key in keys:
            if key == QUIT:
                return None
            if key in names and legal[family.keys.index(key)]:
                return family.keys.index(key)
            wrong = f"{key} ({names[key]}) cannot be done now" if key in names else f"{key!r} is no key here"
            screen.print_line(f"{wrong}: want {wanted}, or {QUIT} to quit")
        return None

    return choose


def expert_policy(family: Family, pause: float) -> Choose:
    """Play as the expert does that knows what the rule's being shown or hidden lets it know."""
    best = jax.jit(partial(family.expert, kind="informed" if family.reveals_rule else "fair"))

    def choose(env: FamilyEnv, legal: np.ndarray) -> int:
        time.sleep(pause)
        assert env.episode is not None
        return int(np.argmax(best(env.episode.state)))

    return choose


def episode(env: FamilyEnv, choose: Choose, show: Callable[[Picture], None], task: int, seed: int) -> str:
    """Play one episode; how it ended, in words, or "" where the player stopped."""
    family, steps = env.family, 0
    _, info = env.reset(seed=seed, options={"task": task})

    def picture(text: str, ink: int = FAINT) -> None:
        assert env.episode is not None
        show(family.render(env.episode.state).captioned(text, ink))

    picture(caption(family))
    while (action := choose(env, info["action_mask"])) is not None:
        _, _, terminated, truncated, info = env.step(action)
        steps += 1
        if terminated or truncated:
            end = describe_end(info["succeeded"], terminated)
            picture(caption(family, steps, action, end), GREEN if info["succeeded"] else ORANGE)
            return f"{end} after {count_steps(steps)}" if terminated else f"{end}: not done in {count_steps(steps)}"
        picture(caption(family, steps, action))
    return ""


def play(
    env: FamilyEnv,
    console: Console,
    *,
    task: int | None = None,
    seed: int | None = None,
    by_expert: bool = False,
    gif: Path | None = None,
    png: Path | None = None,
) -> None:
    """Play episodes until the player stops (the expert, just one), and writes the files asked for.

    Args:
        env: from `environment`.
        console: where it is shown.
        task: the number of a training task, or None for any.
        seed: of the first episode, or None for any; each says what its own was.
        by_expert: whether the expert plays.
        gif: where an animation of all that was played goes.
        png: where a picture of the start goes.
    """
    screen, pictures, family = Screen(console), [], env.family
    seeds = np.random.default_rng(seed)
    seed = int(seeds.integers(2**31)) if seed is None else seed

    def show(picture: Picture) -> None:
        pictures.append(picture)
        screen.show(picture)

    print(family.rules)
    with key_presses() if not by_expert else contextlib.nullcontext(iter(())) as keys:
        pause = PAUSE_SECONDS if screen.terminal and not (gif or png) else 0.0
        choose = expert_policy(family, pause) if by_expert else keyboard_policy(keys, screen)
        while True:
            number = some_task(family, seed) if task is None else task
            print(f"\ntraining task {number}, seed {seed}\n")
            end = episode(env, choose, show, number, seed)
            if by_expert or not end or not wants_another(keys, screen, end):
                break
            seed = int(seeds.integers(2**31))
    screen.leave(end or "stopped before the end")
    if png:
        write_png(png, pictures[0])
    if gif:
        write_gif(gif, pictures)


def some_task(family: Family, seed: int) -> int:
    """The number of any training task, never one held out."""
    return int(np.random.default_rng(seed).integers(min(family.tasks.split_size("training"), 2**63 - 1)))


def wants_another(keys: Iterator[str], screen: Screen, end: str) -> bool:
    """Whether the player wants one more episode."""
    screen.print_line(f"{end}: {AGAIN} for another one, {QUIT} to quit", hint=True)
    for key in keys:
        if key in (AGAIN, QUIT):
            if key == AGAIN:
                screen.leave(end)
            return key == AGAIN
        screen.print_line(f"{end}. {key!r} is no key here: want {AGAIN} for another one or {QUIT} to quit")
    return False
