"""What is wrong with a command line, in a sentence: the parser would say it in a box, and in types."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from incentivize.experiments.cli.arguments import Word, flags_of, words_of
from incentivize.experiments.settings.places import check_place, local
from incentivize.experiments.settings.schema import SettingsError, nearest

KINDS: dict[Any, tuple[Callable[[str], Any], str]] = {
    int: (int, "a whole number"),
    float: (float, "a number"),
    bool: ({"True": True, "False": False}.__getitem__, "True or False"),
}
"""How a value of a kind is read, as by the parser, and what to call it."""


def check_line(name: str, command: type, args: Sequence[str]) -> None:
    """Refuses a flag that there is not, a value that is missing or of a wrong kind, and words too few or too many.

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
    words = {word.name: word for word in words_of(command)}
    free = []  # the words that stand without a flag
    for given, values in _split(args):
        flag, equals, value = given.partition("=")
        flag = flag.replace("_", "-")
        values = [value] * bool(equals) + values
        takes = 0
        if flag:
            word = words.get(flag) or _refuse(flag, what, command)
            takes = len(values) if word.several else min(1, len(values)) if word.value else 0
            if equals and not word.value:
                raise SettingsError(f"{given}: {flag} takes no value")
            if word.value and not values and not word.several:  # no values at all turn a list off
                raise SettingsError(f"{flag}: its value is missing; want {word.value}")
            for value in values[:takes]:
                _check_value(word, value)
        free += values[takes:]
    places = [field for field in fields(command) if field.name in words]
    for value in free if places and Path in words[places[0].name].kinds else ():
        _check_value(words[places[0].name], value)
    wrong = ""
    if len(free) < len(places) and places[len(free)].default is MISSING:
        wrong = f"{words[places[len(free)].name].value} is missing"
    elif len(free) > len(places) and not any(words[place.name].several for place in places):
        wrong = f"{free[len(places)]!r} is one word too many"
    if wrong:
        raise SettingsError(f"{what}: {wrong}; `{what} --help` says what it takes")


def at_home(args: Sequence[str]) -> list[str]:
    """Returns a command line with home folders in the place of ~, which a shell leaves in --out=~/run.

    Raises:
        SettingsError: where there is no such folder.
    """
    found = []
    for arg in args:
        flag, equals, value = arg.partition("=") if arg.startswith("--") else ("", "", arg)
        try:
            found.append(f"{flag}{equals}{local(value) if value.startswith('~') else value}")
        except ValueError as error:
            raise SettingsError(f"{arg}: {error}") from None
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


def _refuse(flag: str, what: str, command: type) -> Word:
    told = nearest(flag, flags_of(command))
    told = told if told.startswith("did") else f"`{what} --help` names those that there are"
    raise SettingsError(f"{flag}: there is no such flag of `{what}`; {told}")


def _check_value(word: Word, value: str) -> None:
    """Refuses what cannot be read as one of the kinds of a flag; text always can."""
    names = sorted(kind for kind in word.kinds if isinstance(kind, str))
    if Path in word.kinds:
        try:
            check_place(value)
        except ValueError as error:
            what = word.name if word.name.startswith("-") else word.value.removesuffix("...")
            raise SettingsError(f"{what} {value or repr(value)}: {error}") from None
    if {str, Path} & word.kinds or value in names:
        return
    for kind in word.kinds & KINDS.keys():
        try:
            KINDS[kind][0](value)
        except (ValueError, KeyError):
            continue
        return
    wanted = [told for kind, (_, told) in KINDS.items() if kind in word.kinds] + names
    raise SettingsError(f"{word.name} = {value!r}: want {' or '.join(wanted)}")
