"""The archive of finished cells: what has been computed once, in this run or in another beside it, is not again.

A file `cells/<id>.npz` of a run directory holds what came of one cell: its counts per task, and what it is (all that
it was computed from, the version of the code, what it was made with). `checkpoints/<id>.msgpack` has its parameters.
Rows and all else in the directory are made from these.
"""

import io
import json
import shutil
import sys
import zipfile
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.cells import Cell
from experiments.code import code_of
from experiments.parameters import digest_of, save
from experiments.program import sizes_of
from experiments.store import short, whole
from experiments.training import Trained, count_fields

ROOM = 2**20  # bytes for what is said of a cell, beside its counts
RECENT = 256


class Found(NamedTuple):
    """A finished cell.

    Attributes:
        cell: which one.
        counts: per task, of `count_fields`; none where it was given up.
        about: its `code`, `episodes`, `seconds`, `n_params`, `digest` of its last state, `failure`, `made_with`.
    """

    cell: Cell
    counts: np.ndarray
    about: dict[str, Any]


class Archive:
    """The finished cells of a run directory, and those beside it."""

    def __init__(self, run: Path, beside: Path | None, made_with: dict[str, Any]) -> None:
        """Where `beside` is named, the run directories in it are looked through for cells too."""
        self.run, self.beside, self.made_with = run, beside, made_with
        (run / "cells").mkdir(exist_ok=True)

    @cached_property
    def others(self) -> dict[str, list[Path]]:
        """Files of other runs by the id of their cell."""
        found: dict[str, list[Path]] = {}
        for path in sorted(self.beside.glob("*/cells/*.npz")) if self.beside else ():
            if path.parent.parent.resolve() != self.run.resolve():
                found.setdefault(path.stem, []).append(path)
        return found

    def keep(self, trained: Trained) -> Found:
        """Writes a cell down, its parameters first: a cell with a file has them."""
        params = self.run / "checkpoints" / f"{trained.cell.id}.msgpack"
        save(params, trained.params)
        about = {
            "computed": trained.cell.computed,
            "code": code_of(trained.cell),
            "episodes": trained.episodes,
            "seconds": round(trained.seconds, 3),
            "n_params": sum(leaf.size for leaf in jax.tree.leaves(trained.params)),
            "digest": trained.digest,
            "parameters": digest_of(params.read_bytes()),
            "failure": trained.failure,
            "made_with": self.made_with,
        }
        counts = trained.counts[:0] if trained.failure else trained.counts
        with whole(self.run / "cells" / f"{trained.cell.id}.npz") as file:
            text = np.frombuffer(json.dumps(about).encode(), np.uint8)
            np.savez_compressed(file, counts=counts, about=text)
        return Found(trained.cell, counts, about)

    def own(self, cell: Cell) -> Found | None:
        """A cell of this run, whatever the version of the code; None where there is none, or a damaged one."""
        path = self.run / "cells" / f"{cell.id}.npz"
        if not path.exists():
            return None
        try:
            return _read(path, cell)
        except Exception as error:  # whatever the decoders stumble over
            why = f"{type(error).__name__}: {short(error)}"
            print(
                f"{path}: damaged, so this training run is looked for elsewhere or made again ({why})", file=sys.stderr
            )
            return None

    def elsewhere(self, cell: Cell) -> Found | None:
        """A cell that another run has finished with the same code, taken over; None where there is none."""
        for path in self.others.get(cell.id, ()):
            try:
                found = _read(path, cell)
            except Exception:  # not ours to judge
                continue
            if found.about["code"] == code_of(cell) and not found.about["failure"]:
                _copy(path.parent.parent / "checkpoints" / f"{cell.id}.msgpack", self.run / "checkpoints")
                _copy(path, self.run / "cells")
                return found
        return None

    def paces(self) -> list[tuple[dict[str, Any], float]]:
        """What the last cells of all runs here were computed from, and seconds each: to guess how long others take."""
        files = [*(self.run / "cells").glob("*.npz"), *(path for paths in self.others.values() for path in paths)]
        found = []
        for path in sorted(files, key=lambda path: path.stat().st_mtime)[-RECENT:]:
            with suppress(Exception), zipfile.ZipFile(path) as archive:
                about = _about(archive)
                found.append((about["computed"], float(about["seconds"])))
        return found


def _copy(path: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    with whole(folder / path.name) as file, path.open("rb") as source:
        shutil.copyfileobj(source, file)


def _about(archive: zipfile.ZipFile) -> dict[str, Any]:
    if archive.getinfo("about.npy").file_size > ROOM:
        raise ValueError("it is larger than it can be")
    return dict(json.loads(np.load(io.BytesIO(archive.read("about.npy")), allow_pickle=False).tobytes()))


def _read(path: Path, cell: Cell) -> Found:
    """A cell's file.

    Raises:
        Exception: of many kinds, where it is damaged or of another cell.
    """
    fields = np.dtype(count_fields(cell.life))
    sizes = sizes_of(cell)
    most = len(cell.points) * len(cell.simulations) * len(cell.members) * len(sizes.blocks) * sizes.tasks
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > most * fields.itemsize + ROOM:
            raise ValueError("it is larger than it can be")
        about = _about(archive)
        counts = np.load(io.BytesIO(archive.read("counts.npy")), allow_pickle=False)
    if about["computed"] != cell.computed:
        raise ValueError("it is of another training run")
    if counts.dtype != fields or (len(counts) == 0) != bool(about["failure"]):
        raise ValueError("its counts are not what they should be")
    params = path.parent.parent / "checkpoints" / f"{cell.id}.msgpack"
    if digest_of(params.read_bytes()) != about["parameters"]:
        raise ValueError(f"{params.name} has changed")
    return Found(cell, counts, about)
