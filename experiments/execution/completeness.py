"""Completeness: whether all training of a run is done, and nothing of it has changed since."""

import sys
from collections.abc import Sequence
from pathlib import Path

from incentivize.experiments.cells import Cell
from incentivize.experiments.errors import InputError, RunError
from incentivize.experiments.execution.planning import plan
from incentivize.experiments.runtime.provenance import provenance
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.cell_store import CellStore
from incentivize.experiments.storage.ownership import open_run_directory
from incentivize.experiments.storage.parameters import pin_start_from
from incentivize.experiments.storage.run_directory import REPORTED_FILES, RunDirectory
from incentivize.experiments.storage.start_files import check_start_files


def is_finished(settings: Settings, out: Path) -> bool:
    """Whether nothing is left to do in a run directory, which is made if it is not there.

    Raises:
        SettingsError: where settings or directory will not do, or another process is at it.
        RunError: where nothing is left to do, and some cells had to be given up.
    """
    settings = pin_start_from(settings)
    cells, _ = plan(settings)
    with open_run_directory(out, settings) as store:
        archive = CellStore(out, None, provenance())
        done = all_trained(store, archive, cells)
        if done:
            raise_if_given_up(store)
        else:
            check_start_files(cell for cell in cells if not (out / "cells" / f"{cell.id}.npz").exists())
        return done


def raise_if_given_up(store: RunDirectory) -> None:
    """Raise where training runs had to be given up."""
    if given_up := store.meta().get("given_up"):
        raise RunError("given up, and missing in the verdicts:\n" + "\n".join(map(str, given_up.values())))


def all_trained(store: RunDirectory, archive: CellStore, cells: Sequence[Cell]) -> bool:
    """Whether all training has been finished and nothing of it has changed since; the report may be missing."""
    return (
        _unchanged(store)
        and set(store.meta().get("files", ())) == set(REPORTED_FILES)
        and store.status().get("state") in ("done", "failed")
        and all(archive.load(cell) is not None for cell in cells)
    )


def _unchanged(store: RunDirectory) -> bool:
    """Whether all files are what was written; says so where not, and drops what cannot be read."""
    try:
        store.check_digests()
        return True
    except InputError as error:
        print(f"{error}; it is made again", file=sys.stderr)
    try:
        store.meta()
    except InputError:
        (store.path / "meta.json").unlink()
    return False
