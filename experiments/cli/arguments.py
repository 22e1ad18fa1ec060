"""What stands on a command line, read off the commands: for names that are nearly right, and for completion."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import tyro

from incentivize.experiments.cli.commands import FLAG_NAMES


class Word(NamedTuple):
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
    several: bool
    kinds: frozenset[Any]
    help: str


def words_of(command: type) -> Iterator[Word]:
    """All that a command takes, in the order of its help."""
    hints = get_type_hints(command, include_extras=True)
    for field in fields(command):
        hint = hints[field.name]
        kind, *markers = get_args(hint) if get_origin(hint) is Annotated else [hint]
        if is_dataclass(kind):
            yield from words_of(kind)  # pyright: ignore[reportArgumentType]
            continue
        said = {key: next(filter(None, (getattr(marker, key, None) for marker in markers)), "") for key in SAID}
        name = FLAG_NAMES.get(field.name, field.name).replace("_", "-")
        value = "" if kind is bool else str(said["metavar"] or "VALUE")
        yield Word(
            name=name if tyro.conf.Positional in markers else f"--{name}",
            value=value,
            several="..." in value,
            kinds=frozenset(_parts(kind)),
            help=str(said["help"]).replace("%%", "%"),
        )


SAID = ("metavar", "help")  # of what `tyro.conf.arg` says of a flag


def _parts(kind: Any) -> set[Any]:
    """The types that a type is made of."""
    inner = get_args(kind)
    return {part for one in inner for part in _parts(one)} if inner else {kind}


def flags_of(command: type) -> tuple[str, ...]:
    """The flags of a command, with their dashes."""
    return (*(word.name for word in words_of(command) if word.name.startswith("--")), "--help")
