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
from incentivize.experiments.errors import Stopped, escape_control_characters, explain
from incentivize.experiments.execution.completeness import all_trained, raise_if_given_up
from incentivize.experiments.execution.memory_estimate import check_memory
from incentivize.experiments.execution.planning import plan
from incentivize.experiments.execution.progress import Progress
from incentivize.experiments.execution.scheduler import find_finished_cells, run_missing_cells, train_missing
from incentivize.experiments.execution.workers import ExecutionOptions, check_devices_per_agent, default_workers
from incentivize.experiments.reporting.report import report
from incentivize.experiments.runtime import ambient, distributed, signals
from incentivize.experiments.runtime.provenance import provenance
from incentivize.experiments.runtime.streams import tolerate_broken_streams
from incentivize.experiments.settings.schema import SAVE_EVERY, Settings
from incentivize.experiments.storage.cell_store import CellStore
from incentivize.experiments.storage.ownership import open_run_directory, set_status
from incentivize.experiments.storage.parameters import pin_start_from
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.storage.start_files import check_start_files
from incentivize.experiments.trackers.sync import open_tracker
from incentivize.experiments.training.build import family_from_settings
from incentivize.experiments.training.groups import CellGroup


def run_study(
    settings: Settings,
    out: Path,
    console: Console,
    workers: int | None = None,
    save_every: float = SAVE_EVERY,
    reuse: bool = True,
    checkify: bool = False,
    devices_per_agent: int = 1,
    tracker: str | None = None,
) -> None:
    """Run what is missing of a study, and reports.

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
    settings = pin_start_from(settings)
    many = workers or default_workers(devices_per_agent)
    cells, groups = plan(settings)
    check_devices_per_agent(cells, devices_per_agent)
    check_memory([[group for group in program if _is_missing(group, out)] for program in groups], many)
    work = ExecutionOptions(many, out / "checkpoints" / "groups", save_every, checkify, devices_per_agent)
    if not distributed.is_primary():
        with signals.stop_on_signal():
            train_missing(cells, set(), work, lambda _: None)
        return
    with (
        tolerate_broken_streams(),
        signals.stop_on_signal(),
        open_run_directory(out, settings) as store,
        open_tracker(tracker, store) as follower,
    ):
        archive = CellStore(out, out.absolute().parent if reuse else None, provenance(), checkify)
        if all_trained(store, archive, cells):
            train_missing(cells, {cell.id for cell in cells}, work, lambda _: None)  # nothing; others have to hear it
            _warn_if_fails(lambda: _report(store, cells, console, again=False), store)
            if store.status().get("state") != "done" and not store.meta().get("given_up"):
                set_status(store, "done")  # what failed was no training
            console.print(
                f"{out}: finished, 0 training runs to do; `incentivize report {out}` shows it", soft_wrap=True
            )
        else:
            finds = find_finished_cells(
                cells, archive
            )  # refuses what cannot be gone on with, before anything is changed
            check_start_files(cell for cell in cells if cell.id not in finds[0] | finds[1])
            set_status(store, "running")
            for judged in ("claims.json", "tables.json", "report.html"):  # of before: to be made again
                (out / judged).unlink(missing_ok=True)
            with _timed(store, settings, archive.made_with), Progress(console) as progress:
                run_missing_cells(cells, settings, store, archive, progress, work, finds, follower.on_cells_finished)
            shutil.rmtree(out / "checkpoints" / "groups", ignore_errors=True)
            _warn_if_fails(lambda: _report(store, cells, console), store)
            console.print(f"{len(cells)} training runs in {math.ceil(store.meta()['seconds'])} s altogether")
        follower.on_study_finished()
        raise_if_given_up(store)


def _warn_if_fails(act: Callable[[], None], store: RunDirectory) -> None:
    """Do what comes after training: whatever goes wrong there is a sentence, and the run is done all the same."""
    try:
        act()
    except Stopped:
        raise
    except (Exception, SystemExit) as error:  # of what draws, which may be another package's
        why = (explain(error).strip() or type(error).__name__).splitlines()[0]
        told = f"warning: {store.path}: all training is done, but the report is not ({why})"
        print(escape_control_characters(f"{told}; `incentivize report {store.path}` makes it"), file=sys.stderr)


def _report(store: RunDirectory, cells: Sequence[Cell], console: Console, again: bool = True) -> None:
    """Report on a run of which something is there, unless that has been done and need not be again."""
    if (again or not (store.path / "report.html").exists()) and not _all_given_up(store, cells):
        report(store, console)


def _all_given_up(store: RunDirectory, cells: Sequence[Cell]) -> bool:
    return len(store.meta().get("given_up") or {}) >= len({cell.id for cell in cells})


def _is_missing(group: CellGroup, out: Path) -> bool:
    """Whether a group has to be trained still, as far as can be seen from outside."""
    return not all((out / "cells" / f"{cell.id}.npz").exists() for cell in group.cells)


@contextmanager
def _timed(store: RunDirectory, settings: Settings, made_with: dict[str, Any]) -> Iterator[None]:
    """Note down what a run is made with, and how long it takes altogether, however it ends.

    Where it is gone on with, `ambient` stays: `run` asks it whether what was measured has to be measured again.
    """
    if "tasks" not in store.meta():
        tasks = {name: family_from_settings(settings, name).tasks.size for name in settings.families}
        store.update_meta(**made_with, tasks=tasks)
    elif any((store.meta().get(key) or None) != (value or None) for key, value in made_with.items()):
        store.update_meta(continued_with={made_with["commit"] or "unknown": made_with})
    began = time.perf_counter()
    try:
        yield
    finally:
        store.update_meta(seconds=round(store.meta().get("seconds", 0.0) + time.perf_counter() - began, 1))
