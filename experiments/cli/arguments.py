"""Arguments of the commands: checks of a command line before it is parsed, and the flags for completion."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import tyro

from incentivize.experiments.errors import InputError, did_you_mean
from incentivize.experiments.settings.paths import check_usable_path, expand_local_path

FLAG_NAMES = {"families": "family"}  # flags with another name than their setting


class Argument(NamedTuple):
    """One argument of a command: a flag, or a positional argument.

    Attributes:
        name: with its dashes, such as "--out"; without them where it is positional, such as "study".
        value: the name of its value in the help, such as "DIR"; empty for a flag without a value.
        takes_several: whether it takes several values.
        kinds: the types and literal words that a value may be of.
        help: a sentence; empty where the argument's field has a docstring instead.
    """

    name: str
    value: str
    takes_several: bool
    kinds: frozenset[Any]
    help: str


def arguments_of(command: type) -> Iterator[Argument]:
    """Yield all arguments of a command, in the order of its help."""
    hints = get_type_hints(command, include_extras=True)
    for field in fields(command):
        hint = hints[field.name]
        kind, *markers = get_args(hint) if get_origin(hint) is Annotated else [hint]
        if is_dataclass(kind):
            yield from arguments_of(kind)  # pyright: ignore[reportArgumentType]
            continue
        metavar, help_text = (_first_value(markers, key) for key in ("metavar", "help"))  # as `tyro.conf.arg` has them
        name = FLAG_NAMES.get(field.name, field.name).replace("_", "-")
        value = "" if kind is bool else metavar or "VALUE"
        yield Argument(
            name=name if tyro.conf.Positional in markers else f"--{name}",
            value=value,
            takes_several="..." in value,
            kinds=frozenset(_types_in(kind)),
            help=help_text.replace("%%", "%"),
        )


def _first_value(markers: Sequence[Any], key: str) -> str:
    """Return the first value of an attribute that is not empty among markers, or ""."""
    return str(next(filter(None, (getattr(marker, key, None) for marker in markers)), ""))


def _types_in(kind: Any) -> set[Any]:
    """Return the types of which a type is made."""
    inner = get_args(kind)
    return {part for argument in inner for part in _types_in(argument)} if inner else {kind}


def flags_of(command: type) -> tuple[str, ...]:
    """Return the flags of a command, with their dashes."""
    return (*(argument.name for argument in arguments_of(command) if argument.name.startswith("--")), "--help")


KINDS: dict[Any, tuple[Callable[[str], Any], str]] = {
    int: (int, "a whole number"),
    float: (float, "a number"),
    bool: ({"True": True, "False": False}.__getitem__, "True or False"),
}
"""Parsers of values by type, as strict as those of tyro, and the name of the type."""


def check_arguments(name: str, command: type, args: Sequence[str]) -> None:
    """Refuse unknown flags, missing values, values of a wrong type, and missing or superfluous positional arguments.

    Args:
        name: name of the command, such as "run".
        command: class of the command.
        args: words after the name of the command. Nothing is refused where they ask for help.

    Raises:
        InputError: if an argument is wrong; the message names it, and the probable one.
    """
    if {"-h", "--help"} & set(args):
        return
    arguments = {argument.name: argument for argument in arguments_of(command)}
    positional_values: list[str] = []
    for given, values in _split(args):
        positional_values += _check_flag(given, values, name, command) if given else values
    positionals = [field for field in fields(command) if field.name in arguments]
    if positionals and Path in arguments[positionals[0].name].kinds:
        for value in positional_values:
            _check_value(arguments[positionals[0].name], value)
    error, count = "", len(positional_values)
    if count < len(positionals) and positionals[count].default is MISSING:
        error = f"{arguments[positionals[count].name].value} is missing."
    elif count > len(positionals) and not any(arguments[field.name].takes_several for field in positionals):
        error = f"{positional_values[len(positionals)]!r} is one word too many."
    if error:
        raise InputError(f"incentivize {name}: {error} Run `incentivize {name} --help` to see all arguments.")


def _check_flag(given: str, values: list[str], name: str, command: type) -> list[str]:
    """Check a flag and its values.

    Args:
        given: the flag as written, such as "--out" or "--out=run".
        values: the words up to the next flag.
        name: name of the command.
        command: class of the command.

    Returns:
        The words after the flag's values.

    Raises:
        InputError: if the command has no such flag, or a value is missing, wrong or superfluous.
    """
    flag, equals, value = given.partition("=")
    flag = flag.replace("_", "-")
    argument = {argument.name: argument for argument in arguments_of(command)}.get(flag)
    if argument is None:
        suggestion = did_you_mean(flag, flags_of(command))
        if not suggestion.startswith("Did"):  # the list of all flags is too long for a sentence
            suggestion = f"Run `incentivize {name} --help` to see all flags."
        raise InputError(f"{flag}: `incentivize {name}` has no such flag. {suggestion}")
    if equals:
        if not argument.value:
            raise InputError(f"{given}: {flag} takes no value. Drop ={value}.")
        values = [value, *values]
    if argument.takes_several:  # without any value it empties a list
        taken = len(values)
    else:
        taken = 1 if argument.value else 0
        if taken and not values:
            raise InputError(f"{flag}: its value is missing. Give {flag} {argument.value}.")
    for value in values[:taken]:
        _check_value(argument, value)
    return values[taken:]


def expand_home(args: Sequence[str]) -> list[str]:
    """Return a command line in which ~ is replaced by home folders, also in --out=~/run, where a shell leaves it.

    Raises:
        InputError: if there is no such folder.
    """
    expanded = []
    for arg in args:
        flag, equals, value = arg.partition("=") if arg.startswith("--") else ("", "", arg)
        try:
            expanded.append(f"{flag}{equals}{expand_local_path(value) if value.startswith('~') else value}")
        except ValueError as error:
            key = f"{flag} = {value}" if equals else arg
            raise InputError(f"{key}: {error}") from None
    return expanded


def _split(args: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each flag as written with the words up to the next one; first "" with the words before any flag."""
    flag, values = "", []
    for arg in args:
        if arg.startswith("--"):
            yield flag, values
            flag, values = arg, []
        else:
            values.append(arg)
    yield flag, values


def _check_value(argument: Argument, value: str) -> None:
    """Refuse a value that cannot be read as any of an argument's types. Text can be anything.

    Raises:
        InputError: if the value is of another type; the message names the types.
    """
    words = sorted(kind for kind in argument.kinds if isinstance(kind, str))
    if Path in argument.kinds:
        try:
            check_usable_path(value)
        except ValueError as error:
            name = argument.name if argument.name.startswith("-") else argument.value.removesuffix("...")
            raise InputError(f"{name} = {value or repr(value)}: {error}") from None
    if {str, Path} & argument.kinds or value in words:
        return
    for kind in argument.kinds & KINDS.keys():
        try:
            KINDS[kind][0](value)
        except (ValueError, KeyError):
            continue
        return
    expected = [name for kind, (_, name) in KINDS.items() if kind in argument.kinds] + words
    raise InputError(f"{argument.name} = {value!r}: expected {' or '.join(expected)}.")
