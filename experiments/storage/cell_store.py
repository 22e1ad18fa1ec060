"""Store of finished cells: a cell finished here, or in a sibling run with the same code, is not computed again.

`cells/<id>.npz` of a run directory holds a cell's counts per task, its identity, and the code and machine that computed
it; `checkpoints/<id>.msgpack` holds its parameters. All other files of the directory are made from these.
"""

import json
import math
import sys
import zipfile
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from incentivize.agents.networks import Params
from incentivize.experiments.cells import Cell
from incentivize.experiments.errors import is_out_of_resources
from incentivize.experiments.storage.code_version import CodeVersion, code_version
from incentivize.experiments.storage.io import (
    DECODER_ERRORS,
    MAX_ROWS_BYTES,
    MAX_SETTINGS_BYTES,
    atomic_write,
    excerpt,
    open_npz,
    read_bounded,
    read_npz_array,
    write_atomic,
)
from incentivize.experiments.storage.parameters import save, short_digest
from incentivize.experiments.storage.schema import EVALUATED_BLOCKS, count_fields, evaluated_blocks, rename_fields

ABOUT_TYPES: dict[str, Any] = {
    "computed": dict,
    "code": str,
    "episodes": int,
    "seconds": (int, float),
    "n_params": int,
    "digest": str,
    "parameters": str,
    "failure": str,
    "made_with": dict,
}
"""Fields of a cell's description and their types."""


class CellResult(NamedTuple):
    """Result of the training of one cell.

    Attributes:
        cell: the cell.
        counts: successes per budget, block and task, an array of `count_fields`.
        episodes: episodes finished in training.
        seconds: the cell's share of the group's wall-clock time, compilation included.
        params: final parameters, NumPy arrays.
        digest: SHA-256 of the final state, keys and environments included.
        failure: reason why the cell was given up, or "". Of a cell that was given up nothing else counts.
    """

    cell: Cell
    counts: np.ndarray
    episodes: int
    seconds: float
    params: Params = ()
    digest: str = ""
    failure: str = ""


class StoredCell(NamedTuple):
    """A finished cell.

    Attributes:
        cell: the cell.
        counts: successes per task, an array of `count_fields`; empty where the cell was given up.
        about: the fields of `ABOUT_TYPES`; `digest` and `failure` are those of its `CellResult`.
    """

    cell: Cell
    counts: np.ndarray
    about: dict[str, Any]

    @property
    def code_version(self) -> CodeVersion:
        """Version of the code that computed the cell."""
        return CodeVersion.parse(self.about["code"])


class CellStore:
    """The finished cells of a run directory, and of its siblings."""

    def __init__(self, run: Path, siblings: Path | None, made_with: dict[str, Any], checkify: bool = False) -> None:
        """Open the cells of a run directory.

        Args:
            run: the run directory.
            siblings: folder of run directories from which cells may be imported; None for none.
            made_with: provenance that saved cells note.
            checkify: whether the programs of this run check every number; they are another version of the code.
        """
        self.run, self.siblings, self.made_with, self.checkify = run, siblings, made_with, checkify

    def code_version(self, cell: Cell) -> CodeVersion:
        """Return the version of the code by which a cell counts in this process."""
        return code_version(cell, self.checkify)

    @cached_property
    def sibling_files(self) -> dict[str, list[Path]]:
        """Files of sibling runs by the id of their cell."""
        files: dict[str, list[Path]] = {}
        with suppress(OSError):  # a folder that has just been deleted, or may not be read
            for path in sorted(self.siblings.glob("*/cells/*.npz")) if self.siblings else ():
                if path.parent.parent.resolve() != self.run.resolve():
                    files.setdefault(path.stem, []).append(path)
        return files

    def save(self, trained: CellResult) -> StoredCell:
        """Write a cell's files: first its parameters, so that a cell with a file has parameters."""
        params = self.run / "checkpoints" / f"{trained.cell.id}.msgpack"
        save(params, trained.params)
        about = {
            "computed": trained.cell.identity,
            "code": str(self.code_version(trained.cell)),
            "episodes": trained.episodes,
            "seconds": round(trained.seconds, 3),
            "n_params": sum(leaf.size for leaf in jax.tree.leaves(trained.params)),
            "digest": trained.digest,
            "parameters": short_digest(params.read_bytes()),
            "failure": trained.failure,
            "made_with": self.made_with,
        }
        counts = trained.counts[:0] if trained.failure else trained.counts
        return self._write(StoredCell(trained.cell, counts, about))

    def _write(self, stored: StoredCell) -> StoredCell:
        (self.run / "cells").mkdir(exist_ok=True)
        with atomic_write(self.run / "cells" / f"{stored.cell.id}.npz") as file:
            text = np.frombuffer(json.dumps(stored.about).encode(), np.uint8)
            np.savez_compressed(file, counts=stored.counts, about=text)
        return stored

    def load(self, cell: Cell) -> StoredCell | None:
        """Load a cell of this run, of any version of the code.

        Returns:
            The cell; None where there is none, or a damaged one, which is named on standard error.
        """
        path = self.run / "cells" / f"{cell.id}.npz"
        if not path.exists():
            return None
        try:
            return _read(path, cell)[0]
        except DECODER_ERRORS as error:
            _report_unreadable(path, error, "damaged, so this cell is taken from a sibling run or trained again")
            return None

    def import_from_siblings(self, cell: Cell) -> StoredCell | None:
        """Copy a cell that a sibling run has finished with the same code, and its parameters, into this run.

        Returns:
            The cell; None where no sibling has it. Files that cannot be read are named on standard error.
        """
        for path in self.sibling_files.get(cell.id, ()):
            try:
                stored, params = _read(path, cell)
            except DECODER_ERRORS as error:
                _report_unreadable(
                    path, error, "cannot be used, so this cell is taken from another sibling run or trained"
                )
                continue
            if stored.code_version == self.code_version(cell) and not stored.about["failure"]:
                (self.run / "checkpoints").mkdir(exist_ok=True)
                write_atomic(self.run / "checkpoints" / f"{cell.id}.msgpack", params)
                return self._write(stored)
        return None


def _report_unreadable(path: Path, error: Exception, problem: str) -> None:
    """Print one line on a file that cannot be read; raise the error again where resources ran out."""
    if is_out_of_resources(error):
        raise error
    print(f"{path}: {problem} ({type(error).__name__}: {excerpt(error)})", file=sys.stderr)


def read_about(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Read a cell's description, and check its types.

    Raises:
        Exception: one of `DECODER_ERRORS`, if the description is damaged.
    """
    about = dict(json.loads(read_npz_array(archive, "about", MAX_SETTINGS_BYTES).tobytes()))
    for name, kinds in ABOUT_TYPES.items():
        if not isinstance(about[name], kinds) or isinstance(about[name], bool):
            raise TypeError(f"its {name} is {type(about[name]).__name__}")
    if not 0 <= about["seconds"] < math.inf:
        raise ValueError(f"it took {about['seconds']} seconds")
    return about


def _read(path: Path, cell: Cell) -> tuple[StoredCell, bytes]:
    """Read a cell's file, and the bytes of its parameters.

    Raises:
        Exception: one of `DECODER_ERRORS`, if a file is damaged or of another cell.
    """
    fields = np.dtype(count_fields(cell.life))
    max_bytes = max_count_rows(cell) * fields.itemsize
    with open_npz(path, max_bytes) as archive:
        about, counts = read_about(archive), rename_fields(read_npz_array(archive, "counts", max_bytes))
    if about["computed"] != cell.identity:
        raise ValueError("it is of another cell")
    if counts.dtype != fields or (len(counts) == 0) != bool(about["failure"]):
        raise ValueError("its counts are not of the expected type or length")
    _validate_counts(counts, cell)
    params = path.parent.parent / "checkpoints" / f"{cell.id}.msgpack"
    data = read_bounded(params, MAX_ROWS_BYTES) if params.is_file() else b""
    if short_digest(data) != about["parameters"]:
        raise ValueError(f"{params.name} has changed")
    return StoredCell(cell, counts, about), data


def _validate_counts(counts: np.ndarray, cell: Cell) -> None:
    """Refuse counts that are not of a cell's evaluations.

    Raises:
        ValueError: if a column has other values; the message names it.
    """
    allowed = {
        "cell": [cell.id],
        "family": cell.members,
        "evaluated_on": [*EVALUATED_BLOCKS, *(name for name, _ in cell.shifts)],
        "simulations": cell.simulations,
    }
    allowed["env_steps"] = [steps for steps, _ in cell.evaluation_points]
    for name, values in allowed.items():
        if not np.isin(counts[name], list(values)).all():
            raise ValueError(f"its {name} is of no evaluation of this cell")
    episodes = counts["episodes"]
    for name in ("successes", "successes_greedy", "successes_best"):
        if (episodes < 1).any() or (counts[name] < 0).any() or (counts[name] > episodes).any():
            raise ValueError(f"its {name} are more than its episodes")


def max_count_rows(cell: Cell) -> int:
    """Return the largest number of rows of a cell's counts."""
    blocks = len(cell.members) * len(evaluated_blocks(cell.eval_specialists)) + len(cell.shifts)
    return len(cell.evaluation_points) * len(cell.simulations) * blocks * cell.eval_tasks
