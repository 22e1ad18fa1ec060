"""A whole run of a study: checks, training, report."""

import math
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from incentivize.experiments.cells import Cell
from incentivize.experiments.errors import Stopped, printable, reason
from incentivize.experiments.execution.completeness import _finished, _tell_given_up
from incentivize.experiments.execution.memory_estimate import check_memory
from incentivize.experiments.execution.planning import planned
from incentivize.experiments.execution.progress import Progress
from incentivize.experiments.execution.scheduler import find, run, train_missing
from incentivize.experiments.execution.workers import Work, check_split, usual
from incentivize.experiments.reporting.report import report
from incentivize.experiments.runtime import ambient, distributed, signals
from incentivize.experiments.runtime.provenance import environment
from incentivize.experiments.runtime.streams import unbroken
from incentivize.experiments.settings.schema import SAVE_EVERY, Settings
from incentivize.experiments.storage.cell_store import Archive
from incentivize.experiments.storage.ownership import owned, set_status
from incentivize.experiments.storage.parameters import pin
from incentivize.experiments.storage.run_directory import Store
from incentivize.experiments.storage.start_files import check_starts
from incentivize.experiments.trackers.sync import following
from incentivize.experiments.training.build import chosen_family
from incentivize.experiments.training.groups import Group


def run_study(
    settings: Settings,
    out: Path,
    console: Console,
    workers: int | None = None,
    every: float = SAVE_EVERY,
    reuse: bool = True,
    debug: bool = False,
    split: int = 1,
    tracker: str | None = None,
) -> None:
    """Runs what is missing of a study, and reports.

    Args:
        settings: what to compute; they have passed `check`.
        out: the run directory.
        console: for progress and tables.
        workers: how many train side by side; None is one for every core of a CPU, or for every accelerator.
        every: seconds between checkpoints.
        reuse: whether cells of the runs beside this one count.
        debug: whether training stops where a number first is none, and says where that came from.
        split: devices that divide the environments of every agent.
        tracker: the name of one that shows what there is, too.

    Raises:
        SettingsError: where settings or directory will not do.
        RunError: where a run cannot go on, or some of its cells had to be given up.
        Stopped: on request.
    """
    ambient.check_compiled()
    settings = pin(settings)
    many = workers or usual(split)
    cells, groups = planned(settings)
    check_split(cells, split)
    check_memory([[group for group in program if _waits(group, out)] for program in groups], many)
    work = Work(many, out / "checkpoints" / "groups", every, debug, split)
    if not distributed.first():
        with signals.heeded():
            train_missing(cells, set(), work, lambda _: None)
        return
    with unbroken(), signals.heeded(), owned(out, settings) as store, following(tracker, store) as follower:
        archive = Archive(out, out.absolute().parent if reuse else None, environment(), debug)
        if _finished(store, archive, cells):
            train_missing(cells, {cell.id for cell in cells}, work, lambda _: None)  # nothing; others have to hear it
            _comfort(lambda: _reported(store, cells, console, again=False), store)
            if store.status().get("state") != "done" and not store.meta().get("given_up"):
                set_status(store, "done")  # what failed was no training
            console.print(
                f"{out}: finished, 0 training runs to do; `incentivize report {out}` shows it", soft_wrap=True
            )
        else:
            finds = find(cells, archive)  # refuses what cannot be gone on with, before anything is changed
            check_starts(cell for cell in cells if cell.id not in finds[0] | finds[1])
            set_status(store, "running")
            for judged in ("claims.json", "tables.json", "report.html"):  # of before: to be made again
                (out / judged).unlink(missing_ok=True)
            with _timed(store, settings, archive.made_with), Progress(console) as progress:
                run(cells, settings, store, archive, progress, work, finds, follower.settled)
            shutil.rmtree(out / "checkpoints" / "groups", ignore_errors=True)
            _comfort(lambda: _reported(store, cells, console), store)
            console.print(f"{len(cells)} training runs in {math.ceil(store.meta()['seconds'])} s altogether")
        follower.done()
        _tell_given_up(store)


def _comfort(act: Callable[[], None], store: Store) -> None:
    """Does what comes after training: whatever goes wrong there is a sentence, and the run is done all the same."""
    try:
        act()
    except Stopped:
        raise
    except (Exception, SystemExit) as error:  # of what draws, which may be another package's
        why = (reason(error).strip() or type(error).__name__).splitlines()[0]
        told = f"warning: {store.path}: all training is done, but the report is not ({why})"
        print(printable(f"{told}; `incentivize report {store.path}` makes it"), file=sys.stderr)


def _reported(store: Store, cells: Sequence[Cell], console: Console, again: bool = True) -> None:
    """Reports on a run of which something is there, unless that has been done and need not be again."""
    if (again or not (store.path / "report.html").exists()) and not _all_given_up(store, cells):
        report(store, console)


def _all_given_up(store: Store, cells: Sequence[Cell]) -> bool:
    return len(store.meta().get("given_up") or {}) >= len({cell.id for cell in cells})


def _waits(group: Group, out: Path) -> bool:
    """Whether a group has to be trained still, as far as can be seen from outside."""
    return not all((out / "cells" / f"{cell.id}.npz").exists() for cell in group.cells)


@contextmanager
def _timed(store: Store, settings: Settings, made_with: dict[str, Any]) -> Iterator[None]:
    """Notes down what a run is made with, and how long it takes altogether, however it ends.

    Where it is gone on with, `ambient` stays: `run` asks it whether what was measured has to be measured again.
    """
    if "tasks" not in store.meta():
        tasks = {name: chosen_family(settings, name).tasks.size for name in settings.families}
        store.update_meta(**made_with, tasks=tasks)
    elif any((store.meta().get(key) or None) != (value or None) for key, value in made_with.items()):
        store.update_meta(continued_with={made_with["commit"] or "unknown": made_with})
    began = time.perf_counter()
    try:
        yield
    finally:
        store.update_meta(seconds=round(store.meta().get("seconds", 0.0) + time.perf_counter() - began, 1))
