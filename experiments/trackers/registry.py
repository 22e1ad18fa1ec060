"""The registry of trackers, and what a tracker is."""

from pathlib import Path
from typing import Protocol

from incentivize.envs.registry import LoadError, Registry
from incentivize.experiments.errors import InputError, check_name
from incentivize.experiments.trackers.record import TrackerRun


class Tracker(Protocol):
    """What writes records. Whatever it raises becomes a warning, and the study goes on without it."""

    def __init__(self, folder: Path) -> None:
        """`folder` is there, and its own."""
        ...

    def write(self, record: TrackerRun) -> None:
        """Write a record whole, in the place of one of that name."""
        ...

    def close(self) -> None:
        """Give back what it holds; it is not used any more."""
        ...


TRACKERS: Registry[type[Tracker]] = Registry(
    "trackers",
    {
        "tensorboard": "incentivize.experiments.trackers.tensorboard:TensorBoard",
        "wandb": "incentivize.experiments.trackers.weights_and_biases:WandB",
    },
)
"""By name. The library of a tracker is imported with its module, when it is asked for."""


def load_tracker(name: str) -> type[Tracker]:
    """A tracker's class.

    Raises:
        SettingsError: where there is none of that name, or its library is not installed.
    """
    check_name("--tracker", name, TRACKERS)
    try:
        return TRACKERS.load(name)
    except LoadError as error:
        raise InputError(f"--tracker {name}: {error}") from None
    except ModuleNotFoundError as error:
        raise InputError(f"--tracker {name}: needs {error.name}: pip install 'incentivize[{name}]'") from None
    except (Exception, SystemExit) as error:  # of a library that does not get on with others here
        raise InputError(f"--tracker {name}: cannot be loaded ({type(error).__name__}: {error})") from None
