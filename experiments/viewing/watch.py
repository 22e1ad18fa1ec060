"""`incentivize watch`: the agents of a finished run at held-out tasks, in a terminal, as GIF and as a page."""

import time
from pathlib import Path
from typing import Any

from rich.console import Console

from incentivize.envs.render import write_gif
from incentivize.experiments.errors import InputError, check_name
from incentivize.experiments.presentation.html import render_page
from incentivize.experiments.storage.io import write_atomic
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.studies import cells_of_run
from incentivize.experiments.viewing.play import PAUSE_SECONDS
from incentivize.experiments.viewing.replays import Scene, draw_frames, play_scenes, to_json
from incentivize.experiments.viewing.terminal import Screen

GIF_COLUMNS = 2  # players side by side in an animation


def watch(
    directory: RunDirectory,
    console: Console,
    family: str | None,
    tasks: int,
    gif: Path | None,
    html: Path | None,
    show: bool = True,
) -> dict[str, Any]:
    """Show replays of a run, and write the files asked for.

    Args:
        directory: the run directory.
        console: where replays are shown.
        family: the family to watch; the first of the run if None.
        tasks: how many held-out tasks are played.
        gif: a file for an animation, or None.
        html: a file for a page, or None.
        show: whether replays are shown on the console.

    Returns:
        `study`, `family` and `scenes`: the actions of all players and the outcomes, for `--json`.

    Raises:
        InputError: where the run has no such family, or no agents of it to watch.
    """
    settings = directory.settings()
    name = family or settings.families[0]
    check_name("--family", name, settings.families)
    screen, played = Screen(console), list[Scene]()
    for scene in play_scenes(directory, cells_of_run(directory, settings), name, tasks):
        played.append(scene)
        if not show:
            continue
        print(f"\n{scene.family}, held-out task {scene.task}: {scene.description}\n")
        _show(scene, screen, PAUSE_SECONDS if screen.terminal and not (gif or html) else 0.0)
    if not played:
        raise InputError(
            f"{directory.path}: {settings.study} has no generalist of {name} to watch. Give another --family."
        )
    if gif:
        write_gif(gif, [picture for scene in played for picture in draw_frames(scene, GIF_COLUMNS)])
    if html:
        write_atomic(html, render_page("watch.html", study=settings.study, scenes=list(map(to_json, played))))
    return {"study": settings.study, "family": name, "scenes": list(map(_summary, played))}


def _summary(scene: Scene) -> dict[str, Any]:
    """Summarise a scene for `--json`, without pictures."""
    replays = [
        {
            "player": replay.player,
            "succeeded": replay.succeeded,
            "actions": list(replay.actions),
            "outcome": replay.captions[-1],
        }
        for replay in scene.replays
    ]
    return {"task": scene.task, "told": scene.description, "replays": replays}


def _show(scene: Scene, screen: Screen, pause: float) -> None:
    width = 1 + max(replay.pictures[0].characters.shape[1] for replay in scene.replays)
    for picture in draw_frames(scene, max(screen.width // width, 1)):
        screen.show(picture)
        time.sleep(pause)
    screen.leave("; ".join(f"{replay.player}: {replay.captions[-1]}" for replay in scene.replays))
