"""The tracker Weights & Biases: a run for each record, in the project `incentivize` or the one of WANDB_PROJECT."""

import hashlib
import io
import json
import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import wandb
from PIL import Image

from incentivize.experiments.trackers.record import TrackerRun

TIMEOUT_SECONDS = 60  # for the server to start a run, or to store one
MAX_NAME_LENGTH = 128  # characters that the server accepts
RUN_VARIABLES = (
    "SWEEP_ID", "SWEEP_PARAM_PATH", "LAUNCH", "CONFIG_PATHS", "RUN_ID", "RESUME", "RESUME_FROM", "FORK_FROM",
    "RUN_GROUP", "NAME", "JOB_TYPE",
)  # fmt: skip
"""Variables (without WANDB_) that make a whole process one run, or name it; here every record is a run of its own."""


class WandB:
    """A writer of runs to the server of W&B or, without an API key, to the folder, from where they can be uploaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.environ.setdefault(
            "WANDB_DISABLE_WEAVE", "true"
        )  # it mistakes our package `agents` for another of that name
        self.mode: Literal["offline"] | None = None
        mode = os.environ.get("WANDB_MODE")
        if mode == "disabled":
            raise ValueError("WANDB_MODE = 'disabled': nothing would be written. Unset it.")
        _separate_runs()
        if not mode and not wandb.login(prompt=False, verify=False):
            self.mode = "offline"
            print(
                f"--tracker = 'wandb': there is no API key, so runs are written offline; "
                f"`wandb sync {folder}/offline-run-*` uploads them",
                file=sys.stderr,
            )
        self.settings = wandb.Settings(
            console="off",
            silent=True,
            symlink=False,
            disable_code=True,
            disable_git=True,
            x_disable_stats=True,  # they would describe the moment of writing
            sagemaker_disable=True,  # it would rename the run
            init_timeout=TIMEOUT_SECONDS,
            finish_timeout=TIMEOUT_SECONDS,
            finish_timeout_raises=True,
        )

    def write(self, record: TrackerRun) -> None:
        """Write a record, replacing an earlier one of the same name."""
        identity = json.dumps([record.group, record.name, record.config], sort_keys=True)
        key = hashlib.sha256(identity.encode()).hexdigest()[:16]
        with TemporaryDirectory() as folder:
            self._log(record, key, folder)
            for earlier in self.folder.glob(f"*run-*-{key}"):
                shutil.rmtree(earlier)
            for run_folder in Path(folder).glob("wandb/*run-*"):
                for path in run_folder.rglob("*"):
                    if path.is_symlink():  # to its own log; a run directory must not have links
                        path.unlink()
                shutil.move(run_folder, self.folder / run_folder.name)

    def _log(self, record: TrackerRun, key: str, folder: str) -> None:
        with wandb.init(
            project=os.environ.get("WANDB_PROJECT", "incentivize"),
            id=key,
            name=_short(record.name),
            group=_short(record.group),
            job_type=_short(record.config.get("role", record.name)),
            config=record.config,
            dir=folder,
            mode=self.mode,
            settings=self.settings,
        ) as run:
            for step, scalars in record.points.items():
                run.log(scalars, step=step)
            media: dict[str, Any] = {title: _table(rows) for title, rows in record.tables.items()}
            media |= {title: wandb.Image(Image.open(io.BytesIO(png))) for title, png in record.images.items()}
            if media:
                run.log(media)

    def close(self) -> None:
        """End the background process of wandb."""
        wandb.teardown()


def _separate_runs() -> None:
    """Remove the variables that would merge all records into one run, such as those of a sweep; print their names once.

    Raises:
        ValueError: if wandb was started before, as part of a sweep.
    """
    removed = [name for name in (f"WANDB_{suffix}" for suffix in RUN_VARIABLES) if os.environ.pop(name, None)]
    if removed:
        note = f"every cell becomes a run of its own; ignored: {', '.join(removed)}"
        print(f"--tracker = 'wandb': {note}", file=sys.stderr)
    settings = wandb.setup().settings
    if settings.sweep_id or settings.launch:
        raise ValueError(
            "wandb: already started by a sweep agent, which would merge all cells into one run. "
            "Start `incentivize` in a fresh process."
        )


def _short(name: str) -> str:
    """Shorten a name to what the server accepts; a shortened one ends with a digest of the full name."""
    if len(name) <= MAX_NAME_LENGTH:
        return name
    return f"{name[: MAX_NAME_LENGTH - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _table(rows: list[dict[str, Any]]) -> wandb.Table:
    """Convert rows with the same keys to a table of W&B."""
    columns: list[Any] = list(rows[0]) if rows else []
    return wandb.Table(columns=columns, data=[list(row.values()) for row in rows], allow_mixed_types=True)
