"""What commands have in common: checks of what they are told, and where compiled programs are kept."""

import os
import sys
from pathlib import Path
from typing import Any

from experiments.settings import SettingsError


def agree(file: dict[str, Any], path: Path | None, **said: str) -> None:
    """Refuses a file that is for another study or preset than the command says."""
    for key, value in said.items():
        if file.get(key, value) != value:
            raise SettingsError(f"{key} = {file[key]!r} in {path}: the command says {value!r}")


def at_least_one(**flags: int | None) -> None:
    """Refuses numbers below 1, by the name of their flag."""
    for name, value in flags.items():
        if value is not None and value < 1:
            raise SettingsError(f"--{name} = {value}: want at least 1")


def flat(values: tuple[tuple[Any, ...], ...]) -> tuple[Any, ...]:
    """What a flag was given, however often it stood there."""
    return tuple(value for some in values for value in some)


def programs_folder() -> Path:
    """Where compiled programs are kept, unless the environment says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "incentivize"


def keep_programs() -> None:
    """Has jax keep compiled programs for the next run, unless the environment says otherwise. Before jax is there."""
    folder = programs_folder()
    if "jax" not in sys.modules and (folder.is_dir() or os.access(folder.parent.parent, os.W_OK)):
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
        os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(2**30))  # bytes, the oldest go first
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
