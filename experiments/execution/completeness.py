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
from incentivize.experiments.storage.ownership import open_run_directory
from incentivize.experiments.storage.parameters import pin_start_from
from incentivize.experiments.storage.run_directory import REPORTED_FILES, RunDirectory
from incentivize.experiments.storage.start_from import check_start_files


class FinishedCells(NamedTuple):
    """Finished cells, read and validated once.

    Attributes:
        own: cells of this run directory, by id.
        imported: cells imported from sibling run directories, by id.
    """

    own: dict[str, StoredCell]
    imported: dict[str, StoredCell]

    @property
    def by_id(self) -> dict[str, StoredCell]:
        """All finished cells, by id."""
        return self.own | self.imported


def load_own_cells(cells: Sequence[Cell], archive: CellStore) -> dict[str, StoredCell]:
    """Load the finished cells of a run directory, by id; missing and damaged ones are left out."""
    by_id = {cell.id: cell for cell in cells}
    return {key: stored for key, cell in by_id.items() if (stored := archive.load(cell)) is not None}


def import_missing_cells(own: dict[str, StoredCell], cells: Sequence[Cell], archive: CellStore) -> FinishedCells:
    """Import missing cells from sibling run directories.

    Args:
        own: finished cells of this run directory, by id.
        cells: all cells of the run.
        archive: where they are stored.

    Raises:
        InputError: where cells are missing and the finished ones were trained by other code or other jax settings.
    """
    missing = [cell for key, cell in {cell.id: cell for cell in cells}.items() if key not in own]
    if missing:
        _check_same_code(own, archive)
    imported = {cell.id: stored for cell in missing if (stored := archive.import_from_siblings(cell)) is not None}
    return FinishedCells(own, imported)


def _check_same_code(own: Mapping[str, StoredCell], archive: CellStore) -> None:
    """Refuse to finish a run that was started with other code or other jax settings.

    Raises:
        InputError: which of both, and what to do.
    """
    versions = {key: archive.code_version(stored.cell) for key, stored in own.items()}
    changed = [stored for key, stored in own.items() if stored.code_version != versions[key]]
    if not changed:
        return
    if {stored.code_version.checkify for stored in changed} != {archive.checkify}:
        then, advice = ("without", "Remove") if archive.checkify else ("with", "Add")
        raise InputError(
            f"--out {archive.run}: was started {then} --debug, which trains with other programs. "
            f"{advice} --debug, or use another --out."
        )
    pairs = [(stored.code_version, versions[stored.cell.id]) for stored in changed]
    if all(then.digest == now.digest for then, now in pairs):
        then, now = pairs[0]
        raise InputError(
            f"--out {archive.run}: was started with {_describe(then.ambient)}, and this process has "
            f"{_describe(now.ambient)}: numbers would differ. Use the settings it was started with, or another --out."
        )
    commit = changed[0].about["made_with"].get("commit") or "unknown"
    raise InputError(
        f"--out {archive.run}: was started with other training code (commit {commit}): {len(changed)} of its "
        f"{len(own)} finished cells would not be reproduced by this version. Check out {commit} to finish it, or use a "
        "new --out in the same folder; cells whose code is unchanged are reused."
    )


def _describe(unusual: str) -> str:
    """Name the settings of jax or XLA that a version notes."""
    return f"the jax or XLA settings {unusual}" if unusual else "no unusual settings of jax or XLA"


def all_trained(store: RunDirectory, own: Mapping[str, StoredCell], cells: Sequence[Cell]) -> bool:
    """Return whether all cells are finished and published. The report may be missing.

    Args:
        store: a run directory whose files are as written.
        own: its finished cells, by id.
        cells: all cells of the run.
    """
    return (
        set(store.meta().get("files", ())) == set(REPORTED_FILES)
        and store.status().get("state") in ("done", "failed")
        and own.keys() == {cell.id for cell in cells}
    )


def describe_change(store: RunDirectory) -> str:
    """Return which file is not as the run wrote it, and why; empty where all files are."""
    try:
        store.check_digests()
    except InputError as error:
        return str(error)
    return ""


def discard_damaged_meta(store: RunDirectory) -> None:
    """Delete `meta.json` where it cannot be read; it is written again from the cells."""
    try:
        store.meta()
    except InputError:
        (store.path / "meta.json").unlink()


def raise_if_given_up(store: RunDirectory) -> None:
    """Raise RunError where cells were given up."""
    if given_up := store.meta().get("given_up"):
        raise RunError("given up, and missing in the verdicts:\n" + "\n".join(map(str, given_up.values())))


def prepare_run_directory(settings: Settings, out: Path) -> bool:
    """Create a run directory unless it exists, and return whether training is left to do.

    Raises:
        InputError: where settings or directory do not fit, or another process writes to the directory.
        RunError: where no training is left to do, and cells were given up.
    """
    settings = pin_start_from(settings)
    cells = plan(settings).cells
    with open_run_directory(out, settings) as store:
        if change := describe_change(store):
            print(f"{change}; it is written again", file=sys.stderr)
            discard_damaged_meta(store)
        own_cells = load_own_cells(cells, CellStore(out, None, provenance()))
        if not change and all_trained(store, own_cells, cells):
            raise_if_given_up(store)
            return False
        check_start_files(cell for cell in cells if cell.id not in own_cells)
        return True
