"""Runs of a study: checks, training, report."""

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
from incentivize.experiments.errors import InputError, Stopped, escape_control_characters, explain
from incentivize.experiments.execution import planning
from incentivize.experiments.execution.completeness import (
    all_trained,
    describe_change,
    discard_damaged_meta,
    import_missing_cells,
    load_own_cells,
    raise_if_given_up,
)
from incentivize.experiments.execution.execution_options import DEFAULT_OPTIONS, ExecutionOptions
from incentivize.experiments.execution.memory_estimate import check_memory
from incentivize.experiments.execution.progress import Progress
from incentivize.experiments.execution.scheduler import run_missing_cells, train_missing_cells
from incentivize.experiments.execution.validation import check_devices_per_agent
from incentivize.experiments.execution.workers import complete_options
from incentivize.experiments.reporting.report import report
from incentivize.experiments.runtime import distributed, jax_settings, signals
from incentivize.experiments.runtime.provenance import provenance
from incentivize.experiments.runtime.standard_streams import tolerate_broken_streams
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.cell_store import CellStore
from incentivize.experiments.storage.ownership import open_run_directory, set_status
from incentivize.experiments.storage.parameters import pin_start_from
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.storage.start_from import check_start_files
from incentivize.experiments.trackers.sync import open_tracker
from incentivize.experiments.training.build import family_from_settings
from incentivize.experiments.training.groups import CellGroup


def run_study(settings: Settings, out: Path, console: Console, options: ExecutionOptions = DEFAULT_OPTIONS) -> None:
    """Run the missing cells of a study, and report on it.

    Args:
        settings: settings of the run; they have passed `validation.validate`.
        out: the run directory.
        console: console that gets progress and tables.
        options: options of the run; the checkpoint folder is set here.

    Raises:
        InputError: if settings or directory do not fit.
        RunError: if a run cannot go on, or some of its cells were given up.
        Stopped: on request.
    """
    jax_settings.check_compiled()
    settings = pin_start_from(settings)
    options = complete_options(options, out)
    plan = planning.plan(settings)
    check_devices_per_agent(plan.cells, options.devices_per_agent)
    check_memory([[group for group in alike if _is_missing(group, out)] for alike in plan.groups], options.workers)
    if not distributed.is_primary():
        with signals.stop_on_signal():
            train_missing_cells(plan.groups, (), options, lambda _: None)
        return
    with (
        tolerate_broken_streams(),
        signals.stop_on_signal(),
        open_run_directory(out, settings) as directory,
        open_tracker(options.tracker, directory) as tracker,
    ):
        if change := describe_change(directory):
            print(f"{change} It is written again.", file=sys.stderr)
            discard_damaged_meta(directory)
        cell_store = CellStore(out, out.absolute().parent if options.reuse else None, provenance(), options.checkify)
        own_cells = load_own_cells(plan.cells, cell_store)
        if not change and all_trained(directory, own_cells, plan.cells):
            # No cell is left to train, but other processes of the run wait for this call.
            train_missing_cells(plan.groups, own_cells, options, lambda _: None)
            _finish_report(directory, plan.cells, console)
            console.print(f"{out}: finished, 0 cells to train; `incentivize report {out}` shows it", soft_wrap=True)
        else:
            finished = import_missing_cells(own_cells, plan.cells, cell_store)  # refuses what it must before any change
            check_start_files(cell for cell in plan.cells if cell.id not in finished.by_id)
            set_status(directory, "running")
            for outdated in ("claims.json", "tables.json", "report.html"):
                (out / outdated).unlink(missing_ok=True)
            with _timed(directory, settings, cell_store.made_with), Progress(console) as progress:
                on_update = tracker.on_cells_finished
                run_missing_cells(plan, settings, directory, cell_store, progress, options, finished, on_update)
            shutil.rmtree(out / "checkpoints" / "groups", ignore_errors=True)
            _warn_if_fails(lambda: _report(directory, plan.cells, console), directory)
            console.print(f"{len(plan.cells)} cells in {math.ceil(directory.meta()['seconds'])} s altogether")
        tracker.on_study_finished()
        raise_if_given_up(directory)


def _finish_report(directory: RunDirectory, cells: Sequence[Cell], console: Console) -> None:
    """Write the report of a run whose cells are all finished, if it is missing or damaged, and set the status."""
    complete = (directory.path / "report.html").exists()
    try:
        directory.claims()
    except InputError:
        print(f"{directory.path / 'claims.json'}: is damaged. It is written again.", file=sys.stderr)
        complete = False
    if not complete:
        _warn_if_fails(lambda: _report(directory, cells, console), directory)
    if directory.status().get("state") != "done" and not directory.meta().get("given_up"):
        set_status(directory, "done")  # only its report had failed


def _report(directory: RunDirectory, cells: Sequence[Cell], console: Console) -> None:
    """Report on a run, unless all of its cells were given up."""
    if len(directory.meta().get("given_up") or {}) < len({cell.id for cell in cells}):
        report(directory, console)


def _warn_if_fails(act: Callable[[], None], directory: RunDirectory) -> None:
    """Call `act`, and turn any error into a warning, as training is finished."""
    try:
        act()
    except Stopped:
        raise
    except (Exception, SystemExit) as error:  # drawing may be the code of another package
        why = (explain(error).strip() or type(error).__name__).splitlines()[0]
        warning = f"warning: {directory.path}: all training is done, but the report is not ({why})"
        print(escape_control_characters(f"{warning}; `incentivize report {directory.path}` makes it"), file=sys.stderr)


def _is_missing(group: CellGroup, out: Path) -> bool:
    """Return whether a cell of a group has no file in a run directory."""
    return not all((out / "cells" / f"{cell.id}.npz").exists() for cell in group.cells)


@contextmanager
def _timed(directory: RunDirectory, settings: Settings, made_with: dict[str, Any]) -> Iterator[None]:
    """Record the provenance of a run, and its time altogether, however it ends.

    A resumed run keeps its entry `ambient`: `baselines.measure_baselines` compares it with the settings of now.
    """
    if "tasks" not in directory.meta():
        tasks = {name: family_from_settings(settings, name).tasks.size for name in settings.families}
        directory.update_meta(**made_with, tasks=tasks)
    elif any((directory.meta().get(key) or None) != (value or None) for key, value in made_with.items()):
        directory.update_meta(continued_with={made_with["commit"] or "unknown": made_with})
    began = time.perf_counter()
    try:
        yield
    finally:
        directory.update_meta(seconds=round(directory.meta().get("seconds", 0.0) + time.perf_counter() - began, 1))
