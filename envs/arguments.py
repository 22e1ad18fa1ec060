"""Checks of a user's arguments: integers, names, knobs and options. Does not import jax."""

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
    """Return an integer of Python, NumPy or JAX as an int.

    Args:
        name: the argument's name, for the error.
        value: the argument's value.
        least: the smallest integer allowed; None for no bound.
        most: the largest integer allowed; None for no bound.

    Raises:
        ValueError: if the value is no integer (True and 2.0 are none) or out of bounds.
    """
    with suppress(TypeError):  # from what is no integer
        number = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
        if number is not None and (least is None or least <= number) and (most is None or number <= most):
            return number
    bounds = "" if least is None else f" of at least {least:,}" if most is None else f" from {least:,} to {most:,}"
    raise ValueError(f"{name} = {value!r}: expected an integer{bounds}.")


def check_one_of(name: str, value: Any, choices: Iterable[T]) -> T:
    """Return the one of the choices that equals a value.

    Raises:
        ValueError: if the value equals none of them.
    """
    choices = tuple(choices)
    if isinstance(value, str) and value in choices:
        return choices[choices.index(value)]
    raise ValueError(f"{name} = {value!r}: expected one of {', '.join(map(str, choices))}.")


def check_options(options: Any, names: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the options of a reset as a mapping, empty for None.

    Raises:
        ValueError: if the options are no mapping, or one of them is not among `names`.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise ValueError(f"options = {options!r}: expected a dict with {' or '.join(map(repr, names))}, or None.")
    for key in options:
        if key not in names:
            close = difflib.get_close_matches(str(key), names, n=1)
            advice = f"Did you mean {close[0]!r}?" if close else f"Use {' or '.join(map(repr, names))}."
            raise ValueError(f"options = {options!r}: there is no option {key!r}. {advice}")
    return options


@lru_cache(maxsize=64)
def _kinds(cls: type) -> dict[str, Any]:
    """Return the annotated types of a family's knobs, by name; Any if an annotation cannot be read."""
    try:
        hints = get_type_hints(cls)
    except Exception:  # another package's annotations may raise anything; its own checks are left
        hints = {}
    return {field.name: hints.get(field.name, Any) for field in dataclasses.fields(cls) if field.init}


def _fitting(value: Any, kind: Any) -> list[Any]:
    """Return the value converted to a knob's type, in a list; an empty list if it has another type."""
    origin = get_origin(kind)
    if origin is Literal:
        return [choice for choice in get_args(kind) if type(choice) is type(value) and choice == value]
    if origin in (Union, UnionType):
        return [fitting for member in get_args(kind) for fitting in _fitting(value, member)][:1]
    if kind is float and type(value) is int:
        return [float(value)]
    if kind in (int, float) and isinstance(value, bool):
        return []
    try:
        return [value] if isinstance(value, origin or kind) else []
    except TypeError:  # a type that only a type checker understands
        return [value]


def _describe(kind: Any) -> str:
    """Describe a knob's type for a person."""
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(_describe, get_args(kind)))
    return KINDS.get(kind) or f"a {getattr(kind, '__name__', kind)}"


def check_knobs(name: str, cls: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return knobs converted to the types that the family's dataclass states; NumPy's scalars become Python's.

    Args:
        name: the family's name, for the error.
        cls: the family's class.
        given: the values given to knobs, by name.

    Raises:
        ValueError: if the family has no such knob, or a value is of another type.
    """
    kinds, knobs = _kinds(cls), {}
    unknown = set(given) - set(kinds)
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))}: {name} has no such knob. Use one of {', '.join(kinds)}.")
    for knob, value in given.items():
        plain = value.item() if isinstance(value, np.generic) else value
        fitting = _fitting(plain, kinds[knob])
        if not fitting:
            raise ValueError(f"{knob} = {value!r}: expected {_describe(kinds[knob])}.")
        knobs[knob] = fitting[0]
    return knobs
