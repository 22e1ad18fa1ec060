"""The archive of finished cells: what has been computed once, in this run or in another beside it, is not again.

A file `cells/<id>.npz` of a run directory holds what came of one cell: its counts per task, and what it is (all that
it was computed from, the version of the code, what it was made with). `checkpoints/<id>.msgpack` has its parameters.
Rows and all else in the directory are made from these.
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
"""What is said of a cell, and what it is."""


class CellResult(NamedTuple):
    """What came of one cell."""

    cell: Cell
    counts: np.ndarray  # TASK_FIELDS and `by_attempt`: successes per budget, split and task
    episodes: int
    seconds: float  # its share, compilation included
    params: Params = ()  # in the end, NumPy arrays
    digest: str = ""  # of everything that it had to remember, in the end: keys and environments too
    failure: str = ""  # why it was given up, in which case nothing else counts


class StoredCell(NamedTuple):
    """A finished cell.

    Attributes:
        cell: which one.
        counts: per task, of `count_fields`; none where it was given up.
        about: as in ABOUT: `digest` is of its last state, `failure` says why it was given up, if it was.
    """

    cell: Cell
    counts: np.ndarray
    about: dict[str, Any]

    @property
    def code_version(self) -> CodeVersion:
        """Version of the code that computed it."""
        return CodeVersion.parse(self.about["code"])


class CellStore:
    """The finished cells of a run directory, and those beside it."""

    def __init__(self, run: Path, beside: Path | None, made_with: dict[str, Any], checked: bool = False) -> None:
        """Where `beside` is named, the run directories in it are looked through for cells too.

        `checked`: whether the programs that train here check every number: they are others, and count as other code.
        """
        self.run, self.siblings, self.made_with, self.checkify = run, beside, made_with, checked

    def code_version(self, cell: Cell) -> CodeVersion:
        """Return the version of the code by which a cell counts in this process."""
        return code_version(cell, self.checkify)

    @cached_property
    def sibling_files(self) -> dict[str, list[Path]]:
        """Files of other runs by the id of their cell."""
        found: dict[str, list[Path]] = {}
        with suppress(OSError):  # one that goes away meanwhile, or may not be looked into
            for path in sorted(self.siblings.glob("*/cells/*.npz")) if self.siblings else ():
                if path.parent.parent.resolve() != self.run.resolve():
                    found.setdefault(path.stem, []).append(path)
        return found

    def save(self, trained: CellResult) -> StoredCell:
        """Write a cell down, its parameters first: a cell with a file has them."""
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

    def _write(self, found: StoredCell) -> StoredCell:
        (self.run / "cells").mkdir(exist_ok=True)
        with atomic_write(self.run / "cells" / f"{found.cell.id}.npz") as file:
            text = np.frombuffer(json.dumps(found.about).encode(), np.uint8)
            np.savez_compressed(file, counts=found.counts, about=text)
        return found

    def load(self, cell: Cell) -> StoredCell | None:
        """A cell of this run, whatever the version of the code; None where there is none, or a damaged one."""
        path = self.run / "cells" / f"{cell.id}.npz"
        if not path.exists():
            return None
        try:
            return _read(path, cell)[0]
        except Exception as error:  # whatever the decoders stumble over
            if is_out_of_resources(error):
                raise
            why = f"{type(error).__name__}: {excerpt(error)}"
            print(
                f"{path}: damaged, so this training run is looked for elsewhere or made again ({why})", file=sys.stderr
            )
            return None

    def import_from_siblings(self, cell: Cell) -> StoredCell | None:
        """A cell that another run has finished with the same code, taken over; None where there is none."""
        for path in self.sibling_files.get(cell.id, ()):
            try:
                found, params = _read(path, cell)
                if found.code_version == self.code_version(cell) and not found.about["failure"]:
                    (self.run / "checkpoints").mkdir(exist_ok=True)
                    write_atomic(self.run / "checkpoints" / f"{cell.id}.msgpack", params)
                    return self._write(found)
            except Exception as error:  # a file that cannot be taken is not ours to judge
                if is_out_of_resources(error):
                    raise
        return None


def read_about(archive: zipfile.ZipFile) -> dict[str, Any]:
    """What is said of a cell.

    Raises:
        Exception: of many kinds, where that is not all that there is to say.
    """
    about = dict(json.loads(read_npz_array(archive, "about", MAX_SETTINGS_BYTES).tobytes()))
    for name, kinds in ABOUT_TYPES.items():
        if not isinstance(about[name], kinds) or isinstance(about[name], bool):
            raise TypeError(f"its {name} is {type(about[name]).__name__}")
    if not 0 <= about["seconds"] < math.inf:
        raise ValueError(f"it took {about['seconds']} seconds")
    return about


def _read(path: Path, cell: Cell) -> tuple[StoredCell, bytes]:
    """A cell's file, and its parameters.

    Raises:
        Exception: of many kinds, where it is damaged or of another cell.
    """
    fields = np.dtype(count_fields(cell.life))
    most = max_count_rows(cell) * fields.itemsize
    with open_npz(path, most) as archive:
        about, counts = read_about(archive), rename_fields(read_npz_array(archive, "counts", most))
    if about["computed"] != cell.identity:
        raise ValueError("it is of another training run")
    if counts.dtype != fields or (len(counts) == 0) != bool(about["failure"]):
        raise ValueError("its counts are not what they should be")
    _validate_counts(counts, cell)
    params = path.parent.parent / "checkpoints" / f"{cell.id}.msgpack"
    data = read_bounded(params, MAX_ROWS_BYTES) if params.is_file() else b""
    if short_digest(data) != about["parameters"]:
        raise ValueError(f"{params.name} has changed")
    return StoredCell(cell, counts, about), data


def _validate_counts(counts: np.ndarray, cell: Cell) -> None:
    """Refuse counts that are not of a cell's evaluations.

    Raises:
        ValueError: which of them.
    """
    known = {
        "cell": [cell.id],
        "family": cell.members,
        "evaluated_on": [*EVALUATED_BLOCKS, *(name for name, _ in cell.shifts)],
        "simulations": cell.simulations,
    }
    known["env_steps"] = [steps for steps, _ in cell.evaluation_points]
    for name, values in known.items():
        if not np.isin(counts[name], list(values)).all():
            raise ValueError(f"its {name} is that of no evaluation of it")
    episodes = counts["episodes"]
    for name in ("successes", "successes_greedy", "successes_best"):
        if (episodes < 1).any() or (counts[name] < 0).any() or (counts[name] > episodes).any():
            raise ValueError(f"its {name} are more than there were episodes")


def max_count_rows(cell: Cell) -> int:
    """Return how many tasks a cell's evaluations count, at most."""
    blocks = len(cell.members) * len(evaluated_blocks(cell.eval_specialists)) + len(cell.shifts)
    return len(cell.evaluation_points) * len(cell.simulations) * blocks * cell.eval_tasks
