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

from incentivize.experiments.errors import InputError, is_out_of_resources
from incentivize.experiments.settings.encoding import decode
from incentivize.experiments.settings.loading import load
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.io import (
    MAX_ROWS_BYTES,
    MAX_SETTINGS_BYTES,
    atomic_write,
    file_digest,
    open_npz,
    read_bounded,
    read_npz_array,
    reading,
    write_atomic,
)
from incentivize.experiments.storage.schema import (
    ROW_IDENTITY,
    ROW_KEYS,
    TASK_FIELDS,
    Row,
    rename_fields,
    with_current_names,
)

META_TABLES = (
    "files", "versions", "blind", "uniform", "ledger", "given_up", "audit", "scripted", "teacher", "tasks",
    "continued_with",
)  # fmt: skip
"""Of `meta.json`, as far as they are there."""
BASELINE_ENTRIES = ("audit", "scripted", "teacher")  # entries of `meta.json` that a run measures before its cells
REPORTED_FILES = ("config.toml", "results.jsonl", "tasks.npz")  # files that reports are made from, beside meta.json
MAX_TASK_COUNTS = 2**24  # of tasks, in all of a run's evaluations


class RunDirectory:
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
            text = decode(read_bounded(self.path / "config.toml", MAX_SETTINGS_BYTES))
        except (OSError, ValueError) as error:
            if is_out_of_resources(error):
                raise
            why = "" if isinstance(error, FileNotFoundError) else f": {getattr(error, 'strerror', None) or error}"
            raise InputError(f"{self.path}: not a run directory (it has no readable config.toml{why})") from None
        return load(text, self.path / "config.toml")

    def status(self) -> dict[str, Any]:
        """How the run stands, as its last owner said; empty where nobody has or nothing can be read."""
        try:
            return dict(json.loads(read_bounded(self.path / "status.json", MAX_SETTINGS_BYTES)))
        except (OSError, ValueError, TypeError, RecursionError):
            return {}

    def check_no_outside_links(self) -> None:
        """Refuse a directory that leads out of itself, or holds pipes and the like: all has to be files within.

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
                raise InputError(f"{path}: leads out of the run directory, or nowhere")
            if not known:
                raise InputError(f"{path}: is neither a file nor a directory")

    def check_digests(self) -> None:
        """Refuse files that are not what the run wrote last.

        Raises:
            SettingsError: where one has changed.
        """
        for name, digest in dict(self.meta().get("files") or {}).items():
            path = self.path / name
            if name not in REPORTED_FILES:
                continue
            with reading(path):
                same = path.is_file() and file_digest(path) == digest
            if not same:
                raise InputError(f"{path}: is not what the run wrote")

    def rows(self) -> list[Row]:
        """All rows; a last line that was cut off is left out."""
        path = self.path / "results.jsonl"
        with reading(path):
            lines = read_bounded(path, MAX_ROWS_BYTES).decode().splitlines() if path.exists() else []
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
                rows.append(with_current_names(row))
            _check_unique(rows)
            return rows

    def publish(self, rows: Sequence[Row], tasks: np.ndarray | None = None, **meta: Any) -> None:
        """Replace the rows, the counts per task where they are given, and entries of `meta.json`, each whole.

        Raises:
            ValueError: where a row is there twice: it would count as another agent.
        """
        _check_unique(rows)
        lines = (json.dumps({key: row.get(key) for key in ROW_KEYS}) + "\n" for row in rows)
        write_atomic(self.path / "results.jsonl", "".join(lines))
        if tasks is not None:
            tasks = tasks[[name for name, _ in TASK_FIELDS]].astype(TASK_FIELDS)
            with atomic_write(self.path / "tasks.npz") as file:
                np.savez_compressed(file, tasks=tasks)
        paths = [self.path / name for name in REPORTED_FILES if (self.path / name).is_file()]
        self._set_meta(**meta, files={path.name: file_digest(path) for path in paths})

    def tasks(self, most: int) -> np.ndarray:
        """Successes and episodes per cell, family, budget, split and task: at most so many of TASK_FIELDS."""
        path = self.path / "tasks.npz"
        if not path.exists():
            return np.empty(0, TASK_FIELDS)
        size = min(most, MAX_TASK_COUNTS) * np.dtype(TASK_FIELDS).itemsize
        with reading(path), open_npz(path, size) as archive:
            found = rename_fields(read_npz_array(archive, "tasks", size))
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
        with reading(path):
            meta = dict(json.loads(read_bounded(path, MAX_ROWS_BYTES)))
            if meta.pop("seal", None) != _seal(meta):
                raise ValueError("it is not what was written")
            for name in META_TABLES:
                if not isinstance(meta.get(name, {}), dict):
                    raise TypeError(f"{name} is no table")
            if not isinstance(meta.get("seconds", 0), (int, float)):
                raise TypeError("seconds is no number")
            return meta

    def update_meta(self, **entries: Any) -> None:
        """Add to `meta.json`; tables are merged one level deep."""
        old = self.meta()
        self._set_meta(**{k: old.get(k, {}) | v if isinstance(v, dict) else v for k, v in entries.items()})

    def reset_baselines(self, ambient: dict[str, Any]) -> None:
        """Drop what was measured before the cells, and notes down the settings of the next measurement."""
        self._set_meta(ambient=ambient, **{name: {} for name in BASELINE_ENTRIES})

    def _set_meta(self, **entries: Any) -> None:
        meta = json.loads(json.dumps(self.meta() | entries))  # with the keys that JSON makes of numbers
        write_atomic(self.path / "meta.json", json.dumps(meta | {"seal": _seal(meta)}, indent=1) + "\n")


def _check_unique(rows: Sequence[Row]) -> None:
    """Refuse two rows of the same measurement.

    Raises:
        ValueError: which they are of.
    """
    known = set()
    for row in rows:
        which = tuple(row.get(key) for key in ROW_IDENTITY)
        if which in known:
            told = ", ".join(
                f"{key} {value}" for key, value in zip(ROW_IDENTITY, which, strict=True) if value is not None
            )
            raise ValueError(f"two rows are of {told}")
        known.add(which)


def _seal(meta: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def tree_differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Where two trees of tables and lists differ: the path, and both values."""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        old, new = ({str(place): value for place, value in enumerate(values)} for values in (old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted({*old, *new})
        return [
            found for key in keys for found in tree_differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))
        ]
    return [] if old == new else [(path, old, new)]
