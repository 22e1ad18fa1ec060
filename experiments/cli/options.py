"""Options that commands share, types of options, and checks of their values."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from incentivize.experiments.errors import InputError

Value = TypeVar("Value")
Repeatable = tyro.conf.UseAppendAction[tuple[tuple[Value, ...], ...]]
"""Type of an option that takes several values and may be given several times; `flatten` joins them."""


def one_of(names: tuple[str, ...], hint: str | None = None) -> Any:
    """Return the help of an argument that must be one of `names`; `choices.check_choice` checks it."""
    return tyro.conf.arg(metavar=f"{{{','.join(names)}}}", help_behavior_hint=hint)


@dataclass(frozen=True)
class CommonOptions:
    """Options of all commands."""

    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print a traceback on failure. In `run`, also stop at the first number that is not finite (slow)."""


@dataclass(frozen=True)
class JsonOptions(CommonOptions):
    """Options of all commands that can print JSON."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the result as a JSON document; messages and tables go to standard error."""


def check_file_matches(file: dict[str, Any], path: Path | None, **arguments: str) -> None:
    """Refuse a file of settings for another study or preset than the command's.

    Raises:
        InputError: if the file has another value; the message names both.
    """
    for key, value in arguments.items():
        if file.get(key, value) != value:
            raise InputError(
                f"{key} = {file[key]!r} in {path}: differs from {value!r} of the command. Change one of the two."
            )


def check_at_least_one(**flags: int | None) -> None:
    """Refuse numbers below 1, by the name of their flag with _ for -.

    Raises:
        InputError: if a number is below 1; the message names its flag.
    """
    for name, value in flags.items():
        if value is not None and value < 1:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{flag} = {value}: must be at least 1. Give a larger number or leave it out.")


def flatten(values: tuple[tuple[Any, ...], ...]) -> tuple[Any, ...]:
    """Return all values of a `Repeatable` option."""
    return tuple(value for group in values for value in group)


def check_can_write(flag: str, path: Path | None, suffix: str) -> None:
    """Refuse a file that could not be written.

    Raises:
        InputError: if its name has another suffix, or its folder cannot be written to.
    """
    if path is None:
        return
    if path.suffix.lower() != suffix:
        raise InputError(f"{flag} = {path}: must end in {suffix}. Give another name.")
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"{flag} = {path}: cannot be written. Give a file in an existing folder of yours.")
