"""Arguments of a user, checked by name: integers, names, knobs and options. Does not import jax."""

import dataclasses
import difflib
import operator
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

T = TypeVar("T")

KINDS = {int: "an integer", bool: "True or False", float: "a number", str: "a string", NoneType: "None"}


def check_integer(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """An integer, of Python, NumPy or JAX, as an int.

    Raises:
        ValueError: where it is none (True and 2.0 are none), or below `least`, or above `most`.
    """
    with suppress(TypeError):  # from what is no integer
        found = operator.index(value)
        if not isinstance(value, bool) and (least is None or least <= found) and (most is None or found <= most):
            return found
    bounds = "" if least is None else f" of at least {least:,}" if most is None else f" from {least:,} to {most:,}"
    raise ValueError(f"{name}={value!r}: expected an integer{bounds}")


def check_one_of(name: str, value: Any, known: Iterable[T]) -> T:
    """The one of the known names that a value is.

    Raises:
        ValueError: where it is none of them.
    """
    known = tuple(known)
    if isinstance(value, str) and value in known:
        return known[known.index(value)]
    raise ValueError(f"{name}={value!r}: want one of {', '.join(map(str, known))}")


def check_options(options: Any, known: tuple[str, ...]) -> Mapping[str, Any]:
    """The options of a reset; none where they are None.

    Raises:
        ValueError: where they are no dict, or one of them is not known.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise ValueError(f"options={options!r}: expected a dict with {' or '.join(map(repr, known))}, or None")
    for key in options:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1) or known
            raise ValueError(f"options={options!r}: no option {key!r}; did you mean {' or '.join(map(repr, close))}?")
    return options


@lru_cache(maxsize=64)
def _kinds(cls: type) -> dict[str, Any]:
    """The annotated types of a family's knobs, by name; Any where an annotation cannot be read."""
    try:
        hints = get_type_hints(cls)
    except Exception:  # whatever another package's annotations do; its own checks are left
        hints = {}
    return {field.name: hints.get(field.name, Any) for field in dataclasses.fields(cls) if field.init}


def _fitting(value: Any, kind: Any) -> list[Any]:
    """The value as a knob of that type has it, in a list; an empty list where the type is another."""
    origin = get_origin(kind)
    if origin is Literal:
        return [known for known in get_args(kind) if type(known) is type(value) and known == value]
    if origin in (Union, UnionType):
        return [found for member in get_args(kind) for found in _fitting(value, member)][:1]
    if kind is float and type(value) is int:
        return [float(value)]
    if kind in (int, float) and isinstance(value, bool):
        return []
    try:
        return [value] if isinstance(value, origin or kind) else []
    except TypeError:  # a type that only a type checker understands
        return [value]


def _words(kind: Any) -> str:
    """What a knob of that type may be."""
    if get_origin(kind) in (Literal, Union, UnionType):
        return " or ".join(repr(one) if get_origin(kind) is Literal else _words(one) for one in get_args(kind))
    return KINDS.get(kind) or f"a {getattr(kind, '__name__', kind)}"


def check_knobs(name: str, cls: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """The knobs given for a family, each of the type that its dataclass says; NumPy's scalars as Python's.

    Args:
        name: of the family.
        cls: its class.
        given: values by knob.

    Raises:
        ValueError: where there is no such knob, or a value is of another type.
    """
    kinds, found = _kinds(cls), {}
    unknown = set(given) - set(kinds)
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))}: no knob of {name}; want one of {', '.join(kinds)}")
    for knob, value in given.items():
        plain = value.item() if isinstance(value, np.generic) else value
        fitting = _fitting(plain, kinds[knob])
        if not fitting:
            verb = "want" if get_origin(kinds[knob]) is Literal else "expected"  # as the families themselves say it
            raise ValueError(f"{knob}={value!r}: {verb} {_words(kinds[knob])}")
        found[knob] = fitting[0]
    return found
