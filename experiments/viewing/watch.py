"""`incentivize watch`: a finished run's agents at tasks that they never met, in a terminal, as GIF and as a page."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from incentivize.envs.render import Picture, write_gif
from incentivize.experiments.errors import InputError, check_name
from incentivize.experiments.presentation.html import render_page
from incentivize.experiments.storage.io import write_atomic
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.studies import cells_of_run
from incentivize.experiments.viewing.play import PAUSE_SECONDS
from incentivize.experiments.viewing.replays import Scene, frames, scenes, to_json
from incentivize.experiments.viewing.terminal import Screen

GIF_COLUMNS = 2  # players side by side in an animation


def watch(
    store: RunDirectory,
    console: Console,
    family: str | None,
    tasks: int,
    gif: Path | None,
    html: Path | None,
    shown: bool = True,
) -> dict[str, Any]:
    """Show replays of a run, and writes the files asked for.

    Args:
        store: the run directory.
        console: where they are shown.
        family: the one to watch; the first of the run if None.
        tasks: how many held-out tasks are played.
        gif: where an animation goes.
        html: where a page goes.
        shown: whether they are shown at all.

    Returns:
        The scenes for programs: who did what, and what came of it.

    Raises:
        SettingsError: where the run has no such family, or nobody to watch.
    """
    settings = store.settings()
    name = family or settings.families[0]
    check_name("--family", name, settings.families)
    screen, kept = Screen(console), list[Scene]()
    for scene in scenes(store, cells_of_run(store, settings), name, tasks):
        kept.append(scene)
        if not shown:
            continue
        print(f"\n{scene.family}, held-out task {scene.task}: {scene.told}\n")
        _show(scene, screen, PAUSE_SECONDS if screen.terminal and not (gif or html) else 0.0)
    if not kept:
        raise InputError(f"{store.path}: {settings.study} has no generalist of {name} to watch")
    if gif:
        write_gif(gif, _pictures(kept, GIF_COLUMNS))
    if html:
        write_atomic(html, render_page("watch.html", study=settings.study, scenes=[to_json(scene) for scene in kept]))
    return {"study": settings.study, "family": name, "scenes": list(map(_summary, kept))}


def _summary(scene: Scene) -> dict[str, Any]:
    """A scene without its pictures."""
    replays = [
        {"player": one.player, "succeeded": one.succeeded, "actions": list(one.actions), "outcome": one.captions[-1]}
        for one in scene.replays
    ]
    return {"task": scene.task, "told": scene.told, "replays": replays}


def _show(scene: Scene, screen: Screen, pause: float) -> None:
    wide = 1 + max(one.pictures[0].characters.shape[1] for one in scene.replays)
    for picture in frames(scene, max(screen.width // wide, 1)):
        screen.show(picture)
        time.sleep(pause)
    screen.leave("; ".join(f"{one.player}: {one.captions[-1]}" for one in scene.replays))


def _pictures(kept: Sequence[Scene], columns: int) -> list[Picture]:
    return [picture for scene in kept for picture in frames(scene, columns)]
