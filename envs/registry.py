"""Registries: names, and where what they stand for is; ours first, then what installed packages bring.

A package brings a family, reward, network or study by an entry point in the group of that name, as in::

    [project.entry-points."incentivize.families"]
    sums = "incentivize_sums.family:Sums"

Nothing is imported before it is loaded, so that listing names stays quick.
"""

import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

T = TypeVar("T")


class LoadError(ValueError):
    """What another package brings cannot be imported."""


class Registry(Mapping[str, EntryPoint], Generic[T]):
    """From names to where things are, in the order of registration.

    Attributes:
        kind: what is registered, as the group of entry points is called: "families" of `incentivize.families`.
    """

    def __init__(self, kind: str, ours: Mapping[str, str]) -> None:
        """`ours` has "module:name", or a module, by name. Whatever else has a name that is taken is left out."""
        self.kind = kind
        group = f"incentivize.{kind}"
        self._entries = {name: EntryPoint(name, where, group) for name, where in ours.items()}
        for entry in sorted(entry_points(group=group), key=_whose):  # found in the order of folders, which is anybody's
            if self._entries.setdefault(entry.name, entry) != entry:
                warnings.warn(
                    f"{_whose(entry)} brings {kind} of a name that is taken, {entry.name!r}: left out", stacklevel=2
                )

    def __getitem__(self, name: str) -> EntryPoint:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def load(self, name: str) -> T:
        """What is registered under a name, imported.

        Raises:
            LoadError: where another package's cannot be imported.
        """
        entry = self[name]
        try:
            return entry.load()
        except Exception as error:
            if entry.dist is None:
                raise
            raise LoadError(
                f"{name!r} of {self.kind}, brought by {_whose(entry)}, cannot be loaded from {entry.value}: "
                f"{type(error).__name__}: {error}"
            ) from error


def _whose(entry: EntryPoint) -> str:
    return f"the package {entry.dist.name}" if entry.dist else "incentivize"
