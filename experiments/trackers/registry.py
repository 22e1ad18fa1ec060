"""The registry of trackers, and their interface."""

from pathlib import Path
from typing import Protocol

from incentivize.envs.registry import LoadError, Registry
from incentivize.experiments.errors import InputError, check_name
from incentivize.experiments.trackers.record import TrackerRun


class Tracker(Protocol):
    """A writer of records. Whatever it raises becomes a warning, and the study goes on without it."""

    def __init__(self, folder: Path) -> None:
        """Open the tracker; `folder` exists and belongs to it alone."""
        ...

    def write(self, record: TrackerRun) -> None:
        """Write a record, replacing an earlier one of the same name."""
        ...

    def close(self) -> None:
        """Release all resources; called once, last."""
        ...


TRACKERS: Registry[type[Tracker]] = Registry(
    "trackers",
    {
        "tensorboard": "incentivize.experiments.trackers.tensorboard:TensorBoard",
        "wandb": "incentivize.experiments.trackers.weights_and_biases:WandB",
    },
)
"""Trackers by name. The library of a tracker is imported with its module, only when the tracker is loaded."""


def load_tracker(name: str) -> type[Tracker]:
    """Load the class of a tracker.

    Raises:
        InputError: if no tracker has that name, or its library is not installed.
    """
    check_name("--tracker", name, TRACKERS)
    try:
        return TRACKERS.load(name)
    except LoadError as error:
        raise InputError(f"--tracker = {name!r}: {error}") from None
    except ModuleNotFoundError as error:
        advice = f"Run pip install 'incentivize[{name}]'."
        raise InputError(f"--tracker = {name!r}: needs {error.name}, which is not installed. {advice}") from None
    except (Exception, SystemExit) as error:  # from a library that conflicts with another
        problem = f"--tracker = {name!r}: cannot be loaded ({type(error).__name__}: {error})"
        raise InputError(f"{problem}. Reinstall it.") from None
