"""Registries: names of objects that are imported on demand, built-in ones first, then those of other packages.

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
    """An object of another package cannot be imported."""


class Registry(Mapping[str, EntryPoint], Generic[T]):
    """A mapping from names to entry points, in the order of registration.

    Attributes:
        kind: the last part of the name of its group of entry points: "families" of `incentivize.families`.
    """

    def __init__(self, kind: str, built_in: Mapping[str, str]) -> None:
        """Register built-in objects, then those of installed packages whose names are free.

        Args:
            kind: the last part of the name of a group of entry points, such as "families".
            built_in: "module:object", or "module", by name.
        """
        self.kind = kind
        self.left_out: list[str] = []  # said at the first use of the registry, not where a package is imported
        group = f"incentivize.{kind}"
        self._entries = {name: EntryPoint(name, where, group) for name, where in built_in.items()}
        for entry in sorted(entry_points(group=group), key=_package):  # `sys.path` decides their order otherwise
            if self._entries.setdefault(entry.name, entry) != entry:
                message = f"{entry.name!r} of {kind}, from {_package(entry)}: the name is taken. Rename it."
                self.left_out.append(message)

    def _warn_of_left_out(self) -> None:
        """Warn once of every entry point that was left out."""
        while self.left_out:
            warnings.warn(self.left_out.pop(0), stacklevel=3)

    def entries(self) -> Mapping[str, EntryPoint]:
        """Return all entry points by name, without a warning of those that were left out."""
        return self._entries

    def __getitem__(self, name: str) -> EntryPoint:
        self._warn_of_left_out()
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        self._warn_of_left_out()
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def load(self, name: str) -> T:
        """Import the object of a name.

        Raises:
            KeyError: if the name is not registered.
            LoadError: if the object is another package's and cannot be imported.
        """
        entry = self[name]
        try:
            return entry.load()
        except Exception as error:
            if entry.dist is None:
                raise
            raise LoadError(
                f"{name!r} of {self.kind}, from {_package(entry)}: cannot be loaded from {entry.value} "
                f"({type(error).__name__}: {error}). Reinstall {entry.dist.name}."
            ) from error


def _package(entry: EntryPoint) -> str:
    """Return the package of an entry point, in words."""
    return f"the package {entry.dist.name}" if entry.dist else "incentivize"
