"""Completeness: whether all training of a run is done, and nothing of it has changed since."""

import sys
from collections.abc import Sequence
from pathlib import Path

from incentivize.experiments.cells import Cell
from incentivize.experiments.errors import RunError, SettingsError
from incentivize.experiments.execution.planning import planned
from incentivize.experiments.runtime.provenance import environment
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.cell_store import Archive
from incentivize.experiments.storage.ownership import owned
from incentivize.experiments.storage.parameters import pin
from incentivize.experiments.storage.run_directory import REPORTED, Store
from incentivize.experiments.storage.start_files import check_starts


def finished(settings: Settings, out: Path) -> bool:
    """Whether nothing is left to do in a run directory, which is made if it is not there.

    Raises:
        SettingsError: where settings or directory will not do, or another process is at it.
        RunError: where nothing is left to do, and some cells had to be given up.
    """
    settings = pin(settings)
    cells, _ = planned(settings)
    with owned(out, settings) as store:
        archive = Archive(out, None, environment())
        done = _finished(store, archive, cells)
        if done:
            _tell_given_up(store)
        else:
            check_starts(cell for cell in cells if not (out / "cells" / f"{cell.id}.npz").exists())
        return done


def _tell_given_up(store: Store) -> None:
    """Raises where training runs had to be given up."""
    if given_up := store.meta().get("given_up"):
        raise RunError("given up, and missing in the verdicts:\n" + "\n".join(map(str, given_up.values())))


def _finished(store: Store, archive: Archive, cells: Sequence[Cell]) -> bool:
    """Whether all training has been finished and nothing of it has changed since; the report may be missing."""
    return (
        _unchanged(store)
        and set(store.meta().get("files", ())) == set(REPORTED)
        and store.status().get("state") in ("done", "failed")
        and all(archive.own(cell) is not None for cell in cells)
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
