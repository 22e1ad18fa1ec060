"""Execution options: how a run is carried out. None of them changes a result. Imports neither jax nor a learner."""

from pathlib import Path
from typing import NamedTuple

from incentivize.experiments.settings.schema import SAVE_EVERY


class ExecutionOptions(NamedTuple):
    """Options of one run of a command, made by the command and handed on whole.

    Attributes:
        workers: number of groups that are trained at a time; 0 for one per CPU core, or one per accelerator.
        checkpoint_folder: folder for the checkpoints of groups in training; None for no checkpoints. A study and a
            search set it inside their run directory.
        save_every: seconds between two checkpoints of a group.
        checkify: whether training stops at the first number that is not finite, and reports its origin.
        devices_per_agent: number of devices among which the environments of one agent are divided.
        reuse: whether finished cells of sibling run directories are imported.
        tracker: name of a tracker that shows the run as well; None for none.
    """

    workers: int = 0
    checkpoint_folder: Path | None = None
    save_every: float = SAVE_EVERY
    checkify: bool = False
    devices_per_agent: int = 1
    reuse: bool = True
    tracker: str | None = None


DEFAULT_OPTIONS = ExecutionOptions()
