"""Run directories: what a run wrote, where other programs find it. Does not import jax.

config.toml    the resolved settings         results.jsonl  one row per cell, family, budget, split
meta.json      versions, devices, ledger     tasks.npz      successes per cell, family, budget, split, task
claims.json    verdicts                      figures/  report.html
checkpoints/   the final parameters of every cell, by its id
"""

import json
import os
import subprocess
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from experiments import settings as st
from experiments.settings import Settings, SettingsError

Row = dict[str, Any]

# fmt: off
ROW_KEYS = (
    "cell", "study", "family", "variant", "control", "learner", "teacher", "reward", "network", "n_params", "pool_size",
    "pool_seed", "seed", "budget_kind", "env_steps", "simulations", "split", "success", "score", "n_tasks",
    "n_episodes", "role", "success_greedy", "success_best", "attempts", "path",
    "success_by_attempt",
)
# fmt: on
"""`success` is of actions drawn from the policy, as in training, `success_greedy` of its most probable ones, and
`success_best` of the best of so many `attempts` with drawn actions; `path` is the number of steps in episodes that
succeeded (drawn actions) over the expert's number of steps in the same. Where an episode is a life of several attempts
at its task, all of these are of the last of them; `success_by_attempt` lists the success of each (drawn actions)."""

TASK_FIELDS = [
    ("cell", "U12"),
    ("family", "U32"),  # a cell whose agent plays several is counted in each
    ("env_steps", np.int64),
    ("simulations", np.int32),
    ("split", "U16"),
    ("ordinal", np.int64),
    ("successes", np.int32),
    ("successes_greedy", np.int32),
    ("successes_best", np.int32),
    ("episodes", np.int32),
    ("steps", np.int64),  # in the episodes that `successes` counts
    ("expert_steps", np.int64),  # from the same starts
]


def write(path: Path, content: str | bytes) -> None:
    """Writes a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(part, path)


@contextmanager
def _sound(path: Path) -> Iterator[None]:
    """Says which file is damaged, where one cannot be understood."""
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise SettingsError(f"{path}: cannot be read as part of a run ({type(error).__name__}: {error})") from None


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
            return st.load((self.path / "config.toml").read_text(encoding="utf-8"), self.path / "config.toml")
        except (OSError, UnicodeDecodeError):
            raise SettingsError(f"{self.path}: not a run directory (it has no readable config.toml)") from None

    def open(self, settings: Settings) -> None:
        """Makes the directory, or continues it if it was made with the same settings.

        Raises:
            SettingsError: where it holds another run, or something else.
        """
        config = self.path / "config.toml"
        if config.exists():
            old, new = (s.model_dump(mode="json") for s in (self.settings(), settings))
            if old != new:
                changes = "; ".join(f"{k}: {a!r} there, {b!r} now" for k, a, b in _differences(old, new))
                raise SettingsError(f"--out {self.path}: holds a run of other settings ({changes})")
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise SettingsError(f"--out {self.path}: exists and is not a run directory")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write(config, st.dump(settings))
        except OSError as error:
            raise SettingsError(f"--out {self.path}: cannot be written ({error.strerror})") from None

    def rows(self) -> list[Row]:
        """All rows; a last line that was cut off is left out."""
        path = self.path / "results.jsonl"
        with _sound(path):
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
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
            return rows

    def append(self, rows: Sequence[Row], tasks: np.ndarray, order: Sequence[str]) -> None:
        """Adds what came of finished cells, so that a stop in between loses nothing and doubles nothing.

        Args:
            rows: all rows of the cells.
            tasks: their counts per task, of which TASK_FIELDS are kept.
            order: the cells of the run: rows are kept in this order, whichever worker was first.
        """
        fresh = {row["cell"] for row in rows}
        place = {cell: index for index, cell in enumerate(order)}
        tasks = tasks[[name for name, _ in TASK_FIELDS]].astype(TASK_FIELDS)
        counts = self.tasks()
        counts = np.concatenate([counts[~np.isin(counts["cell"], list(fresh))], tasks])
        counts = counts[np.argsort([place.get(cell, -1) for cell in counts["cell"].tolist()], kind="stable")]
        part = self.path / "tasks.part.npz"
        np.savez_compressed(part, tasks=counts)
        os.replace(part, self.path / "tasks.npz")
        kept = [row for row in self.rows() if row["cell"] not in fresh]
        merged = sorted([*kept, *rows], key=lambda row: place.get(row["cell"], -1))
        write(
            self.path / "results.jsonl", "".join(json.dumps({k: row.get(k) for k in ROW_KEYS}) + "\n" for row in merged)
        )

    def tasks(self) -> np.ndarray:
        """Successes and episodes per cell, family, budget, split and task: a structured array of TASK_FIELDS."""
        path = self.path / "tasks.npz"
        if not path.exists():
            return np.empty(0, TASK_FIELDS)
        with _sound(path), np.load(path, allow_pickle=False) as archive:
            found = archive["tasks"]
            missing = {name for name, *_ in TASK_FIELDS}.difference(found.dtype.names or ())
            if missing:
                raise ValueError(f"another version of incentivize wrote it, without {', '.join(sorted(missing))}")
            return found.astype(TASK_FIELDS)

    def meta(self) -> dict[str, Any]:
        """What `meta.json` says, empty at first."""
        path = self.path / "meta.json"
        with _sound(path):
            return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}

    def update_meta(self, **entries: Any) -> None:
        """Adds to `meta.json`; tables are merged one level deep."""
        meta = self.meta()
        for key, value in entries.items():
            meta[key] = meta.get(key, {}) | value if isinstance(value, dict) else value
        write(self.path / "meta.json", json.dumps(meta, indent=1) + "\n")


def _differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted({*old, *new})
        return [
            found for key in keys for found in _differences(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))
        ]
    return [] if old == new else [(path, old, new)]


def environment() -> dict[str, Any]:
    """Versions, devices and the commit, for `meta.json`. Imports jax."""
    import platform

    import jax

    packages = ("incentivize", "jax", "jaxlib", "flax", "optax", "numpy", "gymnasium")
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    root = Path(__file__).resolve().parent.parent
    git = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    devices = [f"{device.platform}:{device.device_kind}" for device in jax.devices()]
    return {"versions": versions, "devices": devices, "cores": os.cpu_count(), "commit": git.stdout.strip() or None}
