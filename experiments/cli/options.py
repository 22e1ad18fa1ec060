"""What commands share: kinds of options, the options of every command, checks of their values."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from incentivize.experiments.errors import InputError

Value = TypeVar("Value")
Repeatable = tyro.conf.UseAppendAction[tuple[tuple[Value, ...], ...]]
"""An option that takes several values and may be given several times; `flatten` joins them."""


def one_of(names: tuple[str, ...], hint: str | None = None) -> Any:
    """Return how the help shows an argument that has to be one of `names`; `choices.check_choice` checks it."""
    return tyro.conf.arg(metavar=f"{{{','.join(names)}}}", help_behavior_hint=hint)


@dataclass(frozen=True)
class CommonOptions:
    """Options of every command."""

    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show a traceback when something fails. In run, also check every number (slow: one agent at a time)."""


@dataclass(frozen=True)
class JsonOptions(CommonOptions):
    """Options of every command that can print JSON."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the result as one JSON document; messages and tables go to standard error."""


def check_file_matches(file: dict[str, Any], path: Path | None, **said: str) -> None:
    """Refuse a file that is for another study or preset than the command says."""
    for key, value in said.items():
        if file.get(key, value) != value:
            raise InputError(f"{key} = {file[key]!r} in {path}: the command says {value!r}")


def check_at_least_one(**flags: int | None) -> None:
    """Refuse numbers below 1, by the name of their flag."""
    for name, value in flags.items():
        if value is not None and value < 1:
            raise InputError(f"--{name} = {value}: want at least 1")


def flatten(values: tuple[tuple[Any, ...], ...]) -> tuple[Any, ...]:
    """What a flag was given, however often it stood there."""
    return tuple(value for some in values for value in some)


def check_can_write(flag: str, path: Path | None, suffix: str) -> None:
    """Refuse a file that could not be written, before anything is played.

    Raises:
        SettingsError: where its name or its folder will not do.
    """
    if path is None:
        return
    if path.suffix.lower() != suffix:
        raise InputError(f"{flag} {path}: want a name that ends in {suffix}")
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"{flag} {path}: cannot be written there")
