"""`incentivize play`: a person or the expert plays a family, in a terminal, from a pipe, or into files."""

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

PAUSE_SECONDS = 0.7  # between the expert's steps
QUIT, AGAIN = "q", "n"


def make_env(name: str, control: str | None = None, task: int | None = None, knobs: tuple[str, ...] = ()) -> FamilyEnv:
    """Make the environment to play in.

    Args:
        name: the name of a registered family.
        control: the name of a control (`incentivize.envs.wrappers.controls`), or None.
        task: the number of a training task, only checked here.
        knobs: knobs of the family, each as "name=value".

    Raises:
        InputError: where the control, the task or a knob is not valid.
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
        raise InputError(f"--task = {task}: {name} has the training tasks 0 to {count - 1:,}. Give one of them.")
    return env


def _knob(default: Any, text: str) -> tuple[str, Any]:
    """Parse a knob: its name, and its value in the type of the default.

    Raises:
        InputError: where the name or the type of the value is not valid.
    """
    name, equals, written = text.partition("=")
    if not equals:
        raise InputError(f"--knob = {text!r}: has no value. Write it as NAME=VALUE.")
    check_name("--knob", name, [knob.name for knob in dataclasses.fields(default)])
    default_value = getattr(default, name)
    value = written
    if not isinstance(default_value, str):  # words need no quotes
        with contextlib.suppress(ValueError):
            value = json.loads(written)
    if type(value) is not type(default_value):
        raise InputError(
            f"--knob = {text!r}: the value has the wrong type. Give one such as {json.dumps(default_value)}."
        )
    return name, value


Policy = Callable[[FamilyEnv, np.ndarray], int | None]
"""From the environment and the mask of legal actions (int8 [A]) to an action, or None to stop."""


def keyboard_policy(keys: Iterator[str], screen: Screen) -> Policy:
    """Make the policy of a person, who presses keys."""

    def choose(env: FamilyEnv, legal: np.ndarray) -> int | None:
        family = env.family
        names = dict(zip(family.keys, family.action_names, strict=True))
        choices = ", ".join(f"{key} {name}" for (key, name), valid in zip(names.items(), legal, strict=True) if valid)
        screen.print_line(f"{choices}, {QUIT} quit", hint=True)
        for key in keys:
            if key == QUIT:
                return None
            if key in names and legal[family.keys.index(key)]:
                return family.keys.index(key)
            problem = f"{key} ({names[key]}) cannot be done now" if key in names else f"{key!r} does nothing here"
            screen.print_line(f"{problem}. Press {choices}, or {QUIT} to quit.")
        return None

    return choose


def expert_policy(family: Family, pause: float) -> Policy:
    """Make the policy of the expert; where the rule is hidden, it knows only what the agent was shown."""
    best = jax.jit(partial(family.expert, kind="informed" if family.reveals_rule else "fair"))

    def choose(env: FamilyEnv, legal: np.ndarray) -> int:
        time.sleep(pause)
        assert env.episode is not None
        return int(np.argmax(best(env.episode.state)))

    return choose


def play_episode(env: FamilyEnv, policy: Policy, show: Callable[[Picture], None], task: int, seed: int) -> str:
    """Play one episode, and say how it ended; return "" where the player stopped."""
    family, steps = env.family, 0
    _, info = env.reset(seed=seed, options={"task": task})

    def picture(text: str, ink: int = FAINT) -> None:
        assert env.episode is not None
        show(family.render(env.episode.state).captioned(text, ink))

    picture(caption(family))
    while (action := policy(env, info["action_mask"])) is not None:
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
    """Play episodes until the player stops (the expert plays one), and write the files asked for.

    Args:
        env: an environment from `make_env`.
        console: where pictures are shown.
        task: the number of a training task; None for a random one in every episode.
        seed: the seed of the first episode, or None for a random one. Every episode prints its seed.
        by_expert: whether the expert plays instead of a person.
        gif: a file for an animation of all episodes, or None.
        png: a file for a picture of the start, or None.
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
        policy = expert_policy(family, pause) if by_expert else keyboard_policy(keys, screen)
        while True:
            number = draw_task(family, seed) if task is None else task
            print(f"\ntraining task {number}, seed {seed}\n")
            end = play_episode(env, policy, show, number, seed)
            if by_expert or not end or not ask_for_another(keys, screen, end):
                break
            seed = int(seeds.integers(2**31))
    screen.leave(end or "stopped before the end")
    if png:
        write_png(png, pictures[0])
    if gif:
        write_gif(gif, pictures)


def draw_task(family: Family, seed: int) -> int:
    """Draw the number of a training task."""
    return int(np.random.default_rng(seed).integers(min(family.tasks.split_size("training"), 2**63 - 1)))


def ask_for_another(keys: Iterator[str], screen: Screen, end: str) -> bool:
    """Ask the player for one more episode, and return whether to play it."""
    screen.print_line(f"{end}: {AGAIN} for another one, {QUIT} to quit", hint=True)
    for key in keys:
        if key in (AGAIN, QUIT):
            if key == AGAIN:
                screen.leave(end)
            return key == AGAIN
        screen.print_line(f"{end}. {key!r} does nothing here. Press {AGAIN} for another one, or {QUIT} to quit.")
    return False
