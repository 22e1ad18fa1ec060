"""Progress of a run: a bar in a terminal, plain lines elsewhere. Does not import jax."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from incentivize.experiments.cells import Cell
from incentivize.experiments.storage.cell_store import CellStore, read_about
from incentivize.experiments.storage.io import open_npz

RECENT_CELLS = 256  # finished cells whose paces are read; more would delay the start and tell no more
MAX_CELL_BYTES = 2**26  # larger files of cells are not opened for their pace
Pace = tuple[tuple[Any, ...], float]
"""The kind of a finished cell, on which its speed depends, and its seconds per environment step."""


class Progress:
    """Progress of a run: a bar, and a line for every finished cell."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self.task = self.bar.add_task("training", total=None)
        self.total, self.workers = 0, 1
        self.waiting: dict[str, Cell] = {}
        self.paces: list[Pace] = []

    def __enter__(self) -> "Progress":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def begin(self, missing: Sequence[Cell], finished: int, imported: int, paces: Iterable[Pace], workers: int) -> None:
        """Show how much there is to train.

        Args:
            missing: cells to be trained.
            finished: number of cells that this run finished before.
            imported: number of cells imported from other runs.
            paces: paces of cells that were finished before.
            workers: number of groups trained at a time.
        """
        self.waiting = {cell.id: cell for cell in missing}
        self.total, self.workers, self.paces = len(missing), workers, list(paces)
        steps = sum(cell.evaluation_points[-1][0] for cell in missing)
        self.bar.update(self.task, total=steps)
        counts = ((finished, "finished before"), (imported, "reused from other runs"))
        details = ", ".join(f"{count} {origin}" for count, origin in counts if count)
        line = f"{len(missing)} cells to train"
        if details:
            line += f" ({details})"
        line += f", {steps / 1e6:,.1f} million environment steps"
        if missing:
            line += f"; {self.time_left() or 'time left unknown until the first one finishes'}"
        self.say(line)

    def time_left(self) -> str:
        """Estimate how long the waiting cells take, from the paces of similar ones; empty where none is known."""
        paces_by_kind: dict[Any, list[float]] = {}
        for kind, pace in self.paces:
            paces_by_kind.setdefault(kind, []).append(pace)
        all_paces = [pace for paces in paces_by_kind.values() for pace in paces]
        if not all_paces:
            return ""
        total = 0.0
        for cell in self.waiting.values():
            paces = paces_by_kind.get(_kind(cell.identity), [] if max(cell.simulations) else all_paces)
            if not paces:  # cells without a search tell nothing about the time of a search
                return ""
            total += cell.evaluation_points[-1][0] * sum(paces) / len(paces)
        minutes = total / self.workers / 60
        if minutes > 90:
            return f"about {minutes / 60:.1f} h left"
        return f"about {minutes:.0f} min left" if minutes > 1 else "less than a minute left"

    def finished(self, cell: Cell, success: Mapping[str, float], seconds: float) -> None:
        """Print a line for a finished cell, with its last success by evaluated block."""
        text = "  ".join(f"{block} {success[block]:.2f}" for block in ("seen", "unseen") if block in success)
        self.paces.append(pace_of(cell.identity, seconds))
        rate = cell.evaluation_points[-1][0] / max(seconds, 1e-9) / 1e3
        self._line(cell, f"{text:<24} {seconds:5.1f} s  {rate:4.0f} k steps/s")

    def failed(self, cell: Cell, reason: str) -> None:
        """Print a line for a cell that was given up."""
        self._line(cell, f"given up: {reason}")

    def _line(self, cell: Cell, text: str) -> None:
        self.waiting.pop(cell.id, None)
        self.bar.advance(self.task, cell.evaluation_points[-1][0])
        line = f"[{self.total - len(self.waiting):>3}/{self.total}] {cell.label:<58} {text}"
        self.say(f"{line}  {self.time_left()}" if self.waiting else line)

    def say(self, line: str) -> None:
        """Print a line without markup."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


def pace_of(identity: Mapping[str, Any], seconds: float) -> Pace:
    """Return the pace of a cell.

    Args:
        identity: identity of the cell, as `Cell.identity` or a file has it.
        seconds: training time of the cell, in seconds.

    Raises:
        Exception: of many kinds, where a file's identity lacks an entry or holds a wrong value.
    """
    kind, pace = _kind(identity), float(seconds) / max(int(identity["points"][-1]), 1)
    hash(kind)  # raises where a value from a file is a list or a table
    if not 0 <= pace < math.inf:
        raise ValueError(f"{seconds} seconds")
    return kind, pace


def _kind(identity: Mapping[str, Any]) -> tuple[Any, ...]:
    training = identity["training"]
    values = (training[key] for key in ("network", "memory", "width", "depth", "num_envs"))
    return (identity["family"], identity["learner"], max(identity["simulations"]), *values)


def paces_of(cell_store: CellStore) -> list[Pace]:
    """Return the paces of the cells that a run and its siblings finished last; unreadable files are left out."""
    files = [
        *(cell_store.run / "cells").glob("*.npz"),
        *(path for paths in cell_store.sibling_files.values() for path in paths),
    ]
    paces = []
    for path in sorted(files, key=_written_at)[-RECENT_CELLS:]:
        with suppress(Exception), open_npz(path, MAX_CELL_BYTES) as archive:
            about = read_about(archive)
            paces.append(pace_of(about["computed"], about["seconds"]))
    return paces


def _written_at(path: Path) -> float:
    """Return the time at which a file was last written; 0 where it cannot be found out."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
