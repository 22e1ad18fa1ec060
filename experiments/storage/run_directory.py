"""Run directories: what a run wrote, where other programs find it. Does not import jax.

config.toml    the resolved settings         results.jsonl  one row per cell, family, budget, split
meta.json      versions, devices, ledger     tasks.npz      successes per cell, family, budget, split, task
claims.json    verdicts                      tables.json    figures/  report.html
status.json    how it stands, and whose it is; the lock lies beside it
cells/         what came of every cell, by its id: all of the above is made from these
trackers/      what a tracker has made of all this (`trackers.py`)
checkpoints/   the final parameters of every cell; groups/ what is being trained; diverged/ what was given up
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from incentivize.experiments.errors import SettingsError, scarce
from incentivize.experiments.settings.encoding import decoded
from incentivize.experiments.settings.loading import load
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.io import MOST, ROOM, digest_of, opened, read, sound, unpacked, whole, write
from incentivize.experiments.storage.schema import MEASURED, ROW_KEYS, TASK_FIELDS, Row

TABLES = (
    "files", "versions", "blind", "uniform", "ledger", "given_up", "audit", "scripted", "teacher", "tasks",
    "continued_with",
)  # fmt: skip
"""Of `meta.json`, as far as they are there."""
BESIDE = ("audit", "scripted", "teacher")  # entries of `meta.json` that a run measures before its cells
REPORTED = ("config.toml", "results.jsonl", "tasks.npz")  # files that reports are made from, beside meta.json
COUNTS = 2**24  # of tasks, in all of a run's evaluations


class Store:
    """One run directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def figures(self) -> Path:
        """Where figures go; made on first use."""
        (self.path / "figures").mkdir(exist_ok=True)
        return self.path / "figures"

    def settings(self) -> Settings:
        """The run's resolved settings.

        Raises:
            SettingsError: where the directory is no run.
        """
        try:
            text = decoded(read(self.path / "config.toml", ROOM))
        except (OSError, ValueError) as error:
            if scarce(error):
                raise
            why = "" if isinstance(error, FileNotFoundError) else f": {getattr(error, 'strerror', None) or error}"
            raise SettingsError(f"{self.path}: not a run directory (it has no readable config.toml{why})") from None
        return load(text, self.path / "config.toml")

    def status(self) -> dict[str, Any]:
        """How the run stands, as its last owner said; empty where nobody has or nothing can be read."""
        try:
            return dict(json.loads(read(self.path / "status.json", ROOM)))
        except (OSError, ValueError, TypeError, RecursionError):
            return {}

    def enclosed(self) -> None:
        """Refuses a directory that leads out of itself, or holds pipes and the like: all has to be files within.

        Raises:
            SettingsError: where there is such a thing.
        """
        root = self.path.resolve()
        for path in self.path.rglob("*"):
            try:
                within = not path.is_symlink() or path.resolve(strict=True).is_relative_to(root)
                known = not path.exists() or path.is_file() or path.is_dir()
            except (OSError, RuntimeError):  # a link to itself (RuntimeError before Python 3.13), or to nothing
                within = known = False
            if not within:
                raise SettingsError(f"{path}: leads out of the run directory, or nowhere")
            if not known:
                raise SettingsError(f"{path}: is neither a file nor a directory")

    def unchanged(self) -> None:
        """Refuses files that are not what the run wrote last.

        Raises:
            SettingsError: where one has changed.
        """
        for name, digest in dict(self.meta().get("files") or {}).items():
            path = self.path / name
            if name not in REPORTED:
                continue
            with sound(path):
                same = path.is_file() and digest_of(path) == digest
            if not same:
                raise SettingsError(f"{path}: is not what the run wrote")

    def rows(self) -> list[Row]:
        """All rows; a last line that was cut off is left out."""
        path = self.path / "results.jsonl"
        with sound(path):
            lines = read(path, MOST).decode().splitlines() if path.exists() else []
            rows = []
            for number, line in enumerate(lines, start=1):
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:
                    if number < len(lines):
                        raise
                    break
                if not {"cell", "family", "role"} <= set(row):
                    raise ValueError(f"line {number} is no row")
                rows.append(row)
            _each_once(rows)
            return rows

    def publish(self, rows: Sequence[Row], tasks: np.ndarray | None = None, **meta: Any) -> None:
        """Replaces the rows, the counts per task where they are given, and entries of `meta.json`, each whole.

        Raises:
            ValueError: where a row is there twice: it would count as another agent.
        """
        _each_once(rows)
        lines = (json.dumps({key: row.get(key) for key in ROW_KEYS}) + "\n" for row in rows)
        write(self.path / "results.jsonl", "".join(lines))
        if tasks is not None:
            tasks = tasks[[name for name, _ in TASK_FIELDS]].astype(TASK_FIELDS)
            with whole(self.path / "tasks.npz") as file:
                np.savez_compressed(file, tasks=tasks)
        paths = [self.path / name for name in REPORTED if (self.path / name).is_file()]
        self._set_meta(**meta, files={path.name: digest_of(path) for path in paths})

    def tasks(self, most: int) -> np.ndarray:
        """Successes and episodes per cell, family, budget, split and task: at most so many of TASK_FIELDS."""
        path = self.path / "tasks.npz"
        if not path.exists():
            return np.empty(0, TASK_FIELDS)
        size = min(most, COUNTS) * np.dtype(TASK_FIELDS).itemsize
        with sound(path), opened(path, size) as archive:
            found = unpacked(archive, "tasks", size)
            missing = {name for name, *_ in TASK_FIELDS}.difference(found.dtype.names or ())
            if missing:
                raise ValueError(f"another version of incentivize wrote it, without {', '.join(sorted(missing))}")
            return found.astype(TASK_FIELDS)

    def meta(self) -> dict[str, Any]:
        """What `meta.json` says, empty at first.

        Raises:
            SettingsError: where it is not what was written.
        """
        path = self.path / "meta.json"
        if not path.exists():
            return {}
        with sound(path):
            meta = dict(json.loads(read(path, MOST)))
            if meta.pop("seal", None) != _sealed(meta):
                raise ValueError("it is not what was written")
            for name in TABLES:
                if not isinstance(meta.get(name, {}), dict):
                    raise TypeError(f"{name} is no table")
            if not isinstance(meta.get("seconds", 0), (int, float)):
                raise TypeError("seconds is no number")
            return meta

    def update_meta(self, **entries: Any) -> None:
        """Adds to `meta.json`; tables are merged one level deep."""
        old = self.meta()
        self._set_meta(**{k: old.get(k, {}) | v if isinstance(v, dict) else v for k, v in entries.items()})

    def forget_measured(self, ambient: dict[str, Any]) -> None:
        """Drops what was measured before the cells, and notes down the settings of the next measurement."""
        self._set_meta(ambient=ambient, **{name: {} for name in BESIDE})

    def _set_meta(self, **entries: Any) -> None:
        meta = json.loads(json.dumps(self.meta() | entries))  # with the keys that JSON makes of numbers
        write(self.path / "meta.json", json.dumps(meta | {"seal": _sealed(meta)}, indent=1) + "\n")


def _each_once(rows: Sequence[Row]) -> None:
    """Refuses two rows of the same measurement.

    Raises:
        ValueError: which they are of.
    """
    known = set()
    for row in rows:
        which = tuple(row.get(key) for key in MEASURED)
        if which in known:
            told = ", ".join(f"{key} {value}" for key, value in zip(MEASURED, which, strict=True) if value is not None)
            raise ValueError(f"two rows are of {told}")
        known.add(which)


def _sealed(meta: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Where two trees of tables and lists differ: the path, and both values."""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        old, new = ({str(place): value for place, value in enumerate(values)} for values in (old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted({*old, *new})
        return [found for key in keys for found in differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))]
    return [] if old == new else [(path, old, new)]
