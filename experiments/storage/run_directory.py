"""Run directories: the files of a run. Does not import jax.

config.toml    resolved settings             results.jsonl  one row per cell, family, budget, block
meta.json      versions, devices, ledger     tasks.npz      successes per cell, family, budget, block, task
claims.json    verdicts                      tables.json    figures/  report.html
status.json    state and owner; the file `lock` is beside it
cells/         results of cells by id: all files above are made from these
trackers/      files of trackers (`experiments.trackers`)
checkpoints/   final parameters of cells; groups/ checkpoints of training; diverged/ those of cells given up
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
    WRITE_AGAIN,
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
"""Entries of `meta.json` that are tables, where they exist."""
BASELINE_ENTRIES = ("audit", "scripted", "teacher")  # entries of `meta.json` that a run measures before its cells
REPORTED_FILES = ("config.toml", "results.jsonl", "tasks.npz")  # files that reports are made from, beside meta.json
MAX_TASK_COUNTS = 2**24  # rows of tasks.npz


class RunDirectory:
    """One run directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def figures(self) -> Path:
        """Folder of figures; made on first use."""
        (self.path / "figures").mkdir(exist_ok=True)
        return self.path / "figures"

    def settings(self) -> Settings:
        """Load the run's resolved settings.

        Raises:
            InputError: if the directory is not a run directory.
        """
        try:
            text = decode(read_bounded(self.path / "config.toml", MAX_SETTINGS_BYTES))
        except (OSError, ValueError) as error:
            if is_out_of_resources(error):
                raise
            reason = getattr(error, "strerror", None) or str(error).partition(". ")[0]
            problem = f"{self.path}: is not a run directory, as its config.toml cannot be read ({reason})"
            raise InputError(f"{problem}. Give one that `incentivize run` made.") from None
        return load(text, self.path / "config.toml")

    def status(self) -> dict[str, Any]:
        """Load the status that the last owner wrote; empty where there is none or it cannot be read."""
        try:
            return dict(json.loads(read_bounded(self.path / "status.json", MAX_SETTINGS_BYTES)))
        except (OSError, ValueError, TypeError, RecursionError):
            return {}

    def check_no_outside_links(self) -> None:
        """Refuse links out of the directory, and entries that are neither files nor directories.

        Raises:
            InputError: if there is such an entry; the message names it.
        """
        root = self.path.resolve()
        for path in self.path.rglob("*"):
            try:
                within = not path.is_symlink() or path.resolve(strict=True).is_relative_to(root)
                regular = not path.exists() or path.is_file() or path.is_dir()
            except (OSError, RuntimeError):  # a link to itself (RuntimeError before Python 3.13), or a broken link
                within = regular = False
            if not within:
                raise InputError(
                    f"{path}: leads out of the run directory, or nowhere. Replace it by a copy, or remove it."
                )
            if not regular:
                raise InputError(f"{path}: is neither a file nor a directory. Remove it.")

    def check_digests(self) -> None:
        """Refuse files that have changed since the run wrote them.

        Raises:
            InputError: if a file has changed; the message names it.
        """
        for name, digest in dict(self.meta().get("files") or {}).items():
            path = self.path / name
            if name not in REPORTED_FILES:
                continue
            with reading(path):
                same = path.is_file() and file_digest(path) == digest
            if not same:
                raise InputError(f"{path}: has changed since the run wrote it. {WRITE_AGAIN}")

    def rows(self) -> list[Row]:
        """Load all rows; a last line that was cut off is left out.

        Raises:
            InputError: if the file is damaged.
        """
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
                    raise ValueError(f"line {number} is not a row")
                rows.append(with_current_names(row))
            _check_unique(rows)
            return rows

    def publish(self, rows: Sequence[Row], tasks: np.ndarray | None = None, **meta: Any) -> None:
        """Replace the rows, the counts per task if given, and entries of `meta.json`, each file atomically.

        Raises:
            ValueError: if two rows are of the same measurement: one would count as another agent.
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

    def tasks(self, max_rows: int) -> np.ndarray:
        """Load the counts per cell, family, budget, block and task: an array of `TASK_FIELDS`.

        Raises:
            InputError: if the file is damaged, or has more than `max_rows` rows.
        """
        path = self.path / "tasks.npz"
        if not path.exists():
            return np.empty(0, TASK_FIELDS)
        size = min(max_rows, MAX_TASK_COUNTS) * np.dtype(TASK_FIELDS).itemsize
        with reading(path), open_npz(path, size) as archive:
            counts = rename_fields(read_npz_array(archive, "tasks", size))
            missing = {name for name, *_ in TASK_FIELDS}.difference(counts.dtype.names or ())
            if missing:
                raise ValueError(f"another version of incentivize wrote it, without {', '.join(sorted(missing))}")
            return counts.astype(TASK_FIELDS)

    def claims(self) -> list[dict[str, Any]]:
        """Load `claims.json`; empty where there is none.

        Raises:
            InputError: if the file is damaged.
        """
        path = self.path / "claims.json"
        with reading(path):
            return list(json.loads(read_bounded(path, MAX_ROWS_BYTES))) if path.exists() else []

    def meta(self) -> dict[str, Any]:
        """Load `meta.json`; empty where there is none.

        Raises:
            InputError: if the file is damaged.
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
                    raise TypeError(f"{name} is not a table")
            if not isinstance(meta.get("seconds", 0), (int, float)):
                raise TypeError("seconds is not a number")
            return meta

    def update_meta(self, **entries: Any) -> None:
        """Add to `meta.json`; tables are merged one level deep."""
        old = self.meta()
        self._set_meta(**{k: old.get(k, {}) | v if isinstance(v, dict) else v for k, v in entries.items()})

    def reset_baselines(self, ambient: dict[str, Any]) -> None:
        """Drop the measurements made before the cells, and note the ambient settings of the next ones."""
        self._set_meta(ambient=ambient, **{name: {} for name in BASELINE_ENTRIES})

    def _set_meta(self, **entries: Any) -> None:
        meta = json.loads(json.dumps(self.meta() | entries))  # with the keys that JSON makes of numbers
        write_atomic(self.path / "meta.json", json.dumps(meta | {"seal": _seal(meta)}, indent=1) + "\n")


def _check_unique(rows: Sequence[Row]) -> None:
    """Refuse two rows of the same measurement.

    Raises:
        ValueError: if two rows agree; the message names their identity.
    """
    seen = set()
    for row in rows:
        identity = tuple(row.get(key) for key in ROW_IDENTITY)
        if identity in seen:
            names = zip(ROW_IDENTITY, identity, strict=True)
            raise ValueError(
                f"two rows are of {', '.join(f'{key} {value}' for key, value in names if value is not None)}"
            )
        seen.add(identity)


def _seal(meta: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def tree_differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Return the differences of two trees of tables and lists: the path of each, and both values."""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        old, new = ({str(place): value for place, value in enumerate(values)} for values in (old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted({*old, *new})
        pairs = ((f"{path}.{key}".lstrip("."), old.get(key), new.get(key)) for key in keys)
        return [difference for key, a, b in pairs for difference in tree_differences(a, b, key)]
    return [] if old == new else [(path, old, new)]
