"""A whole run of a study: checks, training, report."""

import math
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

import rewards
from agents.encoders import ENCODERS
from agents.memories import MEMORIES
from envs.family import Family
from experiments import stopping, studies
from experiments.archive import Archive
from experiments.cells import Cell
from experiments.groups import groups_of
from experiments.idle import check_idle
from experiments.memory import check_memory
from experiments.owner import owned, set_status
from experiments.parameters import load, pin
from experiments.program import network_of
from experiments.progress import Progress
from experiments.report import report
from experiments.runner import family_of, run
from experiments.settings import SAVE_EVERY, Settings, SettingsError, Training, nearest
from experiments.store import Store, environment
from experiments.training import RunError
from experiments.workers import Work

STOPPING = "stopping: the chunk is finished and saved first; once more to stop at once"


def check(settings: Settings) -> None:
    """What can be wrong across fields, found before anything compiles.

    Raises:
        SettingsError: all of it at once.
    """
    _device()
    wrong = []
    for name, training in settings.training.items():
        for key, known in (("network", ENCODERS), ("memory", MEMORIES)):
            if getattr(training, key) not in known:
                wrong.append(f"{key} = {getattr(training, key)!r}: {nearest(getattr(training, key), known)}")
        unknown = [part for part in training.reward.split("+") if part.strip() not in rewards.names()]
        wrong += [f"reward = {training.reward!r}: {part!r}: {nearest(part, rewards.names())}" for part in unknown]
        try:
            family = family_of(settings, name)
        except ValueError as error:
            wrong.append(f"knobs.{name}: {error}")
            continue
        wrong += _start(training, name, family)
        tasks = family.tasks
        most = tasks.split_size("training")
        for key in ("pools", "control_pools", "taught_pools"):
            for size in getattr(settings, key):
                if size != "new" and size > most:
                    wrong.append(f"{key}: pool size {size:,} is larger than the {most:,} training tasks of {name}")
        for key in ("specialists", "eval_tasks"):
            if getattr(settings, key) > tasks.split_size("heldout"):
                held = tasks.split_size("heldout")
                wrong.append(f"{key} = {getattr(settings, key):,}: {name} has only {held:,} held-out tasks")
    if settings.eval_tasks < settings.specialists:
        wrong.append(
            f"eval_tasks = {settings.eval_tasks}: want at least as many as specialists = {settings.specialists}"
        )
    if wrong:
        raise SettingsError("\n".join(dict.fromkeys(wrong)))


def _device() -> None:
    """Refuses to start without the accelerator that somebody asked for."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError):  # from jax, where no backend is left
        asked = os.environ.get("JAX_PLATFORMS", "")
        raise SettingsError(f"JAX_PLATFORMS = {asked!r}: there is no such device here; unset it for what is") from None


def _start(training: Training, name: str, family: Family) -> list[str]:
    """What keeps a family's agents from starting where they are told to."""
    if not training.start_from:
        return []
    try:
        load(training.start_from, jax.eval_shape(network_of(training, family).init, jax.random.key(0)))
    except (SettingsError, ValueError) as error:
        return [f"training.{name}.start_from: {error}"]
    return []


def usual_workers() -> int:
    """One worker to a core that this process may use, or one for an accelerator."""
    if jax.default_backend() != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_study(
    settings: Settings,
    out: Path,
    console: Console,
    workers: int | None = None,
    every: float = SAVE_EVERY,
    reuse: bool = True,
    debug: bool = False,
) -> None:
    """Runs what is missing of a study, and reports.

    Args:
        settings: what to compute.
        out: the run directory.
        console: for progress and tables.
        workers: processes; None is one for every core on a CPU, and one on an accelerator.
        every: seconds between checkpoints.
        reuse: whether cells of the runs beside this one count.
        debug: whether training stops where a number first is none, and says where that came from.

    Raises:
        SettingsError: where settings or directory will not do.
        RunError: where a run cannot go on, or some of its cells had to be given up.
        Stopped: on request.
    """
    check(settings)
    settings = pin(settings)
    cells = studies.load(settings.study).cells(settings)
    check_idle(settings, cells)
    many = workers or usual_workers()
    check_memory(groups_of(cells), many)
    with stopping.heeded(lambda: console.print(STOPPING)), owned(out, settings) as store:
        archive = Archive(out, out.absolute().parent if reuse else None, environment())
        if _finished(store, archive, cells):
            console.print(
                f"{out}: finished, 0 training runs to do; `incentivize report {out}` shows it", soft_wrap=True
            )
        else:
            set_status(store, "running")
            work = Work(many, out / "checkpoints" / "groups", every, debug)
            with _timed(store, settings, archive.made_with), Progress(console) as progress:
                run(cells, settings, store, archive, progress, work)
            shutil.rmtree(out / "checkpoints" / "groups", ignore_errors=True)
            report(store, console)
            console.print(f"{len(cells)} training runs in {math.ceil(store.meta()['seconds'])} s altogether")
        if given_up := store.meta().get("given_up"):
            raise RunError("given up, and missing in the verdicts:\n" + "\n".join(map(str, given_up.values())))


def _finished(store: Store, archive: Archive, cells: Sequence[Cell]) -> bool:
    """Whether a run has been finished and nothing in it has changed since."""
    return (
        _unchanged(store)
        and store.status().get("state") in ("done", "failed")
        and all(archive.own(cell) is not None for cell in cells)
        and (store.path / "report.html").exists()
    )


def _unchanged(store: Store) -> bool:
    """Whether all files are what was written; says so where not, and drops what cannot be read."""
    try:
        store.unchanged()
        return True
    except SettingsError as error:
        print(f"{error}; it is made again", file=sys.stderr)
    try:
        store.meta()
    except SettingsError:
        (store.path / "meta.json").unlink()
    return False


@contextmanager
def _timed(store: Store, settings: Settings, made_with: dict[str, Any]) -> Iterator[None]:
    """Notes down what a run is made with, and how long it takes altogether, however it ends."""
    if "tasks" not in store.meta():
        tasks = {name: family_of(settings, name).tasks.size for name in settings.families}
        store.update_meta(**made_with, tasks=tasks)
    elif any(store.meta().get(key) != value for key, value in made_with.items()):
        store.update_meta(continued_with={made_with["commit"] or "unknown": made_with})
    began = time.perf_counter()
    try:
        yield
    finally:
        store.update_meta(seconds=round(store.meta().get("seconds", 0.0) + time.perf_counter() - began, 1))
