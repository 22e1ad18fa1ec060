"""What stands on a command line, read off the commands: for names that are nearly right, and for completion."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import tyro

from incentivize.experiments.errors import InputError, did_you_mean
from incentivize.experiments.settings.places import check_usable_path, expand_local_path

FLAG_NAMES = {"families": "family"}  # flags that are not called as their setting is


class Argument(NamedTuple):
    """One flag, or a word that stands without one.

    Attributes:
        name: with its dashes, such as "--out"; without them where it stands by itself, such as "study".
        value: what the help calls its value, such as "DIR"; empty for a flag that takes none.
        several: whether it takes several.
        kinds: the types and literal words that a value may be of.
        help: a sentence, where the flag itself has one.
    """

    name: str
    value: str
    takes_several: bool
    kinds: frozenset[Any]
    help: str


def arguments_of(command: type) -> Iterator[Argument]:
    """All that a command takes, in the order of its help."""
    hints = get_type_hints(command, include_extras=True)
    for field in fields(command):
        hint = hints[field.name]
        kind, *markers = get_args(hint) if get_origin(hint) is Annotated else [hint]
        if is_dataclass(kind):
            yield from arguments_of(kind)  # pyright: ignore[reportArgumentType]
            continue
        said = {key: next(filter(None, (getattr(marker, key, None) for marker in markers)), "") for key in SAID}
        name = FLAG_NAMES.get(field.name, field.name).replace("_", "-")
        value = "" if kind is bool else str(said["metavar"] or "VALUE")
        yield Argument(
            name=name if tyro.conf.Positional in markers else f"--{name}",
            value=value,
            takes_several="..." in value,
            kinds=frozenset(_types_in(kind)),
            help=str(said["help"]).replace("%%", "%"),
        )


SAID = ("metavar", "help")  # of what `tyro.conf.arg` says of a flag


def _types_in(kind: Any) -> set[Any]:
    """The types that a type is made of."""
    inner = get_args(kind)
    return {part for one in inner for part in _types_in(one)} if inner else {kind}


def flags_of(command: type) -> tuple[str, ...]:
    """The flags of a command, with their dashes."""
    return (*(word.name for word in arguments_of(command) if word.name.startswith("--")), "--help")


KINDS: dict[Any, tuple[Callable[[str], Any], str]] = {
    int: (int, "a whole number"),
    float: (float, "a number"),
    bool: ({"True": True, "False": False}.__getitem__, "True or False"),
}
"""How a value of a kind is read, as by the parser, and what to call it."""


def check_arguments(name: str, command: type, args: Sequence[str]) -> None:
    """Refuse a flag that there is not, a value that is missing or of a wrong kind, and words too few or too many.

    Args:
        name: of the command, such as "run".
        command: its class.
        args: what follows its name. Where help is asked for, all will do.

    Raises:
        SettingsError: which names the flag or word, and what was meant.
    """
    if {"-h", "--help"} & set(args):
        return
    what = f"incentivize {name}"
    words = {word.name: word for word in arguments_of(command)}
    free = []  # the words that stand without a flag
    for given, values in _split(args):
        flag, equals, value = given.partition("=")
        flag = flag.replace("_", "-")
        values = [value] * bool(equals) + values
        takes = 0
        if flag:
            word = words.get(flag) or _refuse(flag, what, command)
            takes = len(values) if word.takes_several else min(1, len(values)) if word.value else 0
            if equals and not word.value:
                raise InputError(f"{given}: {flag} takes no value")
            if word.value and not values and not word.takes_several:  # no values at all turn a list off
                raise InputError(f"{flag}: its value is missing; want {word.value}")
            for value in values[:takes]:
                _check_value(word, value)
        free += values[takes:]
    places = [field for field in fields(command) if field.name in words]
    for value in free if places and Path in words[places[0].name].kinds else ():
        _check_value(words[places[0].name], value)
    wrong = ""
    if len(free) < len(places) and places[len(free)].default is MISSING:
        wrong = f"{words[places[len(free)].name].value} is missing"
    elif len(free) > len(places) and not any(words[place.name].takes_several for place in places):
        wrong = f"{free[len(places)]!r} is one word too many"
    if wrong:
        raise InputError(f"{what}: {wrong}; `{what} --help` says what it takes")


def expand_home(args: Sequence[str]) -> list[str]:
    """Return a command line with home folders in the place of ~, which a shell leaves in --out=~/run.

    Raises:
        SettingsError: where there is no such folder.
    """
    found = []
    for arg in args:
        flag, equals, value = arg.partition("=") if arg.startswith("--") else ("", "", arg)
        try:
            found.append(f"{flag}{equals}{expand_local_path(value) if value.startswith('~') else value}")
        except ValueError as error:
            raise InputError(f"{arg}: {error}") from None
    return found


def _split(args: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """A command line's flags as given, each with the words up to the next one; those before the first belong to ""."""
    flag, values = "", []
    for arg in args:
        if arg.startswith("--"):
            yield flag, values
            flag, values = arg, []
        else:
            values.append(arg)
    yield flag, values


def _refuse(flag: str, what: str, command: type) -> Argument:
    told = did_you_mean(flag, flags_of(command))
    told = told if told.startswith("did") else f"`{what} --help` names those that there are"
    raise InputError(f"{flag}: there is no such flag of `{what}`; {told}")


def _check_value(word: Argument, value: str) -> None:
    """Refuse what cannot be read as one of the kinds of a flag; text always can."""
    names = sorted(kind for kind in word.kinds if isinstance(kind, str))
    if Path in word.kinds:
        try:
            check_usable_path(value)
        except ValueError as error:
            what = word.name if word.name.startswith("-") else word.value.removesuffix("...")
            raise InputError(f"{what} {value or repr(value)}: {error}") from None
    if {str, Path} & word.kinds or value in names:
        return
    for kind in word.kinds & KINDS.keys():
        try:
            KINDS[kind][0](value)
        except (ValueError, KeyError):
            continue
        return
    wanted = [told for kind, (_, told) in KINDS.items() if kind in word.kinds] + names
    raise InputError(f"{word.name} = {value!r}: want {' or '.join(wanted)}")
