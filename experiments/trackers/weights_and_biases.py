"""The tracker Weights & Biases: one run a record, in the project `incentivize` unless WANDB_PROJECT says otherwise."""

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

PATIENCE = 60  # seconds that its server may take to begin a run, or to take one in
LONGEST = 128  # characters that its server takes for a name
OF_ANOTHER = (
    "SWEEP_ID", "SWEEP_PARAM_PATH", "LAUNCH", "CONFIG_PATHS", "RUN_ID", "RESUME", "RESUME_FROM", "FORK_FROM",
    "RUN_GROUP", "NAME", "JOB_TYPE",
)  # fmt: skip
"""Variables (WANDB_...) that say which one run a whole process is, or what it is called. Each record here is a run."""


class WandB:
    """Writes runs, to its server or, without an account, to be uploaded later."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.environ.setdefault("WANDB_DISABLE_WEAVE", "true")  # takes our package `agents` for another of that name
        self.mode: Literal["offline"] | None = None
        asked = os.environ.get("WANDB_MODE")
        if asked == "disabled":
            raise ValueError("WANDB_MODE is disabled")
        _set_aside()
        if not asked and not wandb.login(prompt=False, verify=False):
            self.mode = "offline"
            print(
                f"--tracker wandb: there is no API key, so what it writes stays here, offline; "
                f"`wandb sync {folder}/offline-run-*` uploads it",
                file=sys.stderr,
            )
        self.settings = wandb.Settings(
            console="off",
            silent=True,
            symlink=False,
            disable_code=True,
            disable_git=True,
            x_disable_stats=True,  # they would be of the moment of writing
            sagemaker_disable=True,  # or it names the run
            init_timeout=PATIENCE,
            finish_timeout=PATIENCE,
            finish_timeout_raises=True,
        )

    def write(self, record: TrackerRun) -> None:
        """Write a record whole, in the place of one of that name."""
        said = json.dumps([record.group, record.name, record.config], sort_keys=True)
        key = hashlib.sha256(said.encode()).hexdigest()[:16]
        with TemporaryDirectory() as folder:
            self._run(record, key, folder)
            for old in self.folder.glob(f"*run-*-{key}"):
                shutil.rmtree(old)
            for made in Path(folder).glob("wandb/*run-*"):
                for path in made.rglob("*"):
                    if path.is_symlink():  # to its own log: a run directory has no links
                        path.unlink()
                shutil.move(made, self.folder / made.name)

    def _run(self, record: TrackerRun, key: str, folder: str) -> None:
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
            shown: dict[str, Any] = {title: _table(rows) for title, rows in record.tables.items()}
            shown |= {title: wandb.Image(Image.open(io.BytesIO(png))) for title, png in record.images.items()}
            if shown:
                run.log(shown)

    def close(self) -> None:
        """End the process that wandb keeps beside this one."""
        wandb.teardown()


def _set_aside() -> None:
    """Keep records apart under a sweep's agent, or whatever else would make one run of all: says so once.

    Raises:
        ValueError: where wandb has begun already, and knows of a sweep.
    """
    told = [name for name in (f"WANDB_{one}" for one in OF_ANOTHER) if os.environ.pop(name, None)]
    if told:
        print(f"--tracker wandb: every training run is a run of its own; set aside: {', '.join(told)}", file=sys.stderr)
    settings = wandb.setup().settings
    if settings.sweep_id or settings.launch:
        raise ValueError(
            "wandb: already started by a sweep agent, which would merge all training runs into one. "
            "Start `incentivize` in a fresh process."
        )


def _short(name: str) -> str:
    """A name that its server takes; one that is too long ends with a digest of all of it."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _table(rows: list[dict[str, Any]]) -> wandb.Table:
    """Rows with the same keys."""
    columns: list[Any] = list(rows[0]) if rows else []
    return wandb.Table(columns=columns, data=[list(row.values()) for row in rows], allow_mixed_types=True)
