"""Completeness: which cells of a run are finished, whether all are, and whether its files are still as written."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from incentivize.experiments.cells import Cell
from incentivize.experiments.errors import InputError, RunError
from incentivize.experiments.execution.planning import plan
from incentivize.experiments.runtime.provenance import provenance
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.cell_store import CellStore, StoredCell
from incentivize.experiments.storage.io import WRITE_AGAIN
from incentivize.experiments.storage.ownership import open_run_directory
from incentivize.experiments.storage.parameters import pin_start_from
from incentivize.experiments.storage.run_directory import REPORTED_FILES, RunDirectory
from incentivize.experiments.storage.start_from import check_start_files


class FinishedCells(NamedTuple):
    """Finished cells, read and validated once.

    Attributes:
        own_cells: cells of this run directory, by id.
        imported: cells imported from sibling run directories, by id.
    """

    own_cells: dict[str, StoredCell]
    imported: dict[str, StoredCell]

    @property
    def by_id(self) -> dict[str, StoredCell]:
        """All finished cells, by id."""
        return self.own_cells | self.imported


def load_own_cells(cells: Sequence[Cell], cell_store: CellStore) -> dict[str, StoredCell]:
    """Load the finished cells of a run directory, by id; missing and damaged ones are left out."""
    by_id = {cell.id: cell for cell in cells}
    return {key: stored for key, cell in by_id.items() if (stored := cell_store.load(cell)) is not None}


def import_missing_cells(
    own_cells: dict[str, StoredCell], cells: Sequence[Cell], cell_store: CellStore
) -> FinishedCells:
    """Import missing cells from sibling run directories.

    Args:
        own_cells: finished cells of this run directory, by id.
        cells: all cells of the run.
        cell_store: store of the finished cells.

    Raises:
        InputError: if cells are missing and the finished ones were trained by other code or other jax settings.
    """
    missing = [cell for key, cell in {cell.id: cell for cell in cells}.items() if key not in own_cells]
    if missing:
        _check_same_code(own_cells, cell_store)
    imported = {cell.id: stored for cell in missing if (stored := cell_store.import_from_siblings(cell)) is not None}
    return FinishedCells(own_cells, imported)


def _check_same_code(own_cells: Mapping[str, StoredCell], cell_store: CellStore) -> None:
    """Refuse to finish a run that was started with other code or other jax settings.

    Raises:
        InputError: if a finished cell has another code version; the message says whether code or settings differ.
    """
    versions = {key: cell_store.code_version(stored.cell) for key, stored in own_cells.items()}
    changed = [stored for key, stored in own_cells.items() if stored.code_version != versions[key]]
    if not changed:
        return
    if {stored.code_version.checkify for stored in changed} != {cell_store.checkify}:
        started, advice = ("without", "Remove") if cell_store.checkify else ("with", "Add")
        raise InputError(
            f"--out = {cell_store.run}: was started {started} --debug, which trains with other programs. "
            f"{advice} --debug, or use another --out."
        )
    pairs = [(stored.code_version, versions[stored.cell.id]) for stored in changed]
    if all(recorded.digest == present.digest for recorded, present in pairs):
        recorded, present = pairs[0]
        raise InputError(
            f"--out = {cell_store.run}: was started with {_describe(recorded.ambient)}, and this process has "
            f"{_describe(present.ambient)}, so that numbers would differ. "
            "Use the settings it was started with, or another --out."
        )
    commit = changed[0].about["made_with"].get("commit") or "unknown"
    raise InputError(
        f"--out = {cell_store.run}: was started with other training code (commit {commit}), and {len(changed)} of its "
        f"{len(own_cells)} finished cells would not be reproduced by this version. Check out {commit} to finish it, or "
        "use a new --out in the same folder; cells whose code is unchanged are reused."
    )


def _describe(unusual: str) -> str:
    """Name the settings of jax or XLA that a version notes."""
    return f"the jax or XLA settings {unusual}" if unusual else "no unusual settings of jax or XLA"


def all_trained(directory: RunDirectory, own_cells: Mapping[str, StoredCell], cells: Sequence[Cell]) -> bool:
    """Return whether all cells are finished and published. The report may be missing.

    Args:
        directory: a run directory whose files are as written.
        own_cells: finished cells of the run directory, by id.
        cells: all cells of the run.
    """
    return (
        set(directory.meta().get("files", ())) == set(REPORTED_FILES)
        and directory.status().get("state") in ("done", "failed")
        and own_cells.keys() == {cell.id for cell in cells}
    )


def describe_change(directory: RunDirectory) -> str:
    """Return the first file that has changed since the run wrote it, and the change, or "" without one."""
    try:
        directory.check_digests()
    except InputError as error:
        return str(error).removesuffix(f" {WRITE_AGAIN}")
    return ""


def discard_damaged_meta(directory: RunDirectory) -> None:
    """Delete `meta.json` where it cannot be read; it is written again from the cells."""
    try:
        directory.meta()
    except InputError:
        (directory.path / "meta.json").unlink()


def raise_if_given_up(directory: RunDirectory) -> None:
    """Raise RunError where cells were given up."""
    if given_up := directory.meta().get("given_up"):
        cells = "1 cell was given up and is" if len(given_up) == 1 else f"{len(given_up)} cells were given up and are"
        advice = "Change their settings, or delete cells/<id>.npz to train them again:"
        raise RunError("\n".join([f"{cells} missing in the verdicts. {advice}", *map(str, given_up.values())]))


def prepare_run_directory(settings: Settings, out: Path) -> bool:
    """Create a run directory unless it exists, and return whether training is left to do.

    Raises:
        InputError: if settings or directory do not fit, or another process writes to the directory.
        RunError: if no training is left to do, and cells were given up.
    """
    settings = pin_start_from(settings)
    cells = plan(settings).cells
    with open_run_directory(out, settings) as directory:
        if change := describe_change(directory):
            print(f"{change} It is written again.", file=sys.stderr)
            discard_damaged_meta(directory)
        own_cells = load_own_cells(cells, CellStore(out, None, provenance()))
        if not change and all_trained(directory, own_cells, cells):
            raise_if_given_up(directory)
            return False
        check_start_files(cell for cell in cells if cell.id not in own_cells)
        return True
