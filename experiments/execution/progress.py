"""Progress: a bar where a person watches, plain lines where nobody does. Does not import jax."""

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

RECENT = 256  # finished cells that paces are taken from
USUAL = 2**26  # bytes of a cell's file at most
Pace = tuple[tuple[Any, ...], float]  # what tells a finished cell from faster and slower ones, and its seconds a step


class Progress:
    """Reports a run's cells as they finish."""

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

    def begin(self, waiting: Sequence[Cell], done: int, elsewhere: int, paces: Iterable[Pace], workers: int) -> None:
        """Say what there is to do, before it is done.

        Args:
            waiting: cells to be trained.
            done: how many this run has done before.
            elsewhere: how many were found in other runs.
            paces: of cells that were finished here before.
            workers: cells trained at a time.
        """
        self.waiting = {cell.id: cell for cell in waiting}
        self.total, self.workers, self.paces = len(waiting), workers, list(paces)
        steps = sum(cell.evaluation_points[-1][0] for cell in waiting)
        self.bar.update(self.task, total=steps)
        found = [f"{count} found {where}" for count, where in ((done, "done"), (elsewhere, "in other runs")) if count]
        line = f"{len(waiting)} training runs to do"
        line += f" ({', '.join(found)})" * bool(found) + f": {steps / 1e6:,.1f} million environment steps"
        if waiting:
            line += f", {self.left() or 'how long will be seen when the first is done'}"
        self.say(line)

    def left(self) -> str:
        """How long the waiting cells will take, from the pace of others like them; empty where none is known."""
        known: dict[Any, list[float]] = {}
        for kind, pace in self.paces:
            known.setdefault(kind, []).append(pace)
        everything = [pace for paces in known.values() for pace in paces]
        if not everything:
            return ""
        total = 0.0
        for cell in self.waiting.values():
            mine = known.get(_kind(cell.identity), [] if max(cell.simulations) else everything)
            if not mine:  # what a search takes cannot be told from those without
                return ""
            total += cell.evaluation_points[-1][0] * sum(mine) / len(mine)
        minutes = total / self.workers / 60
        if minutes > 90:
            return f"about {minutes / 60:.1f} h left"
        return f"about {minutes:.0f} min left" if minutes > 1 else "less than a minute left"

    def finished(self, cell: Cell, success: Mapping[str, float], seconds: float) -> None:
        """A cell is done: one line, with its last success by split."""
        shown = {split: success[split] for split in ("seen", "unseen") if split in success}
        text = "  ".join(f"{split} {value:.2f}" for split, value in shown.items())
        self.paces.append(pace_of(cell.identity, seconds))
        rate = cell.evaluation_points[-1][0] / max(seconds, 1e-9) / 1e3
        self._line(cell, f"{text:<24} {seconds:5.1f} s  {rate:4.0f} k steps/s")

    def failed(self, cell: Cell, why: str) -> None:
        """A cell was given up: one line that says why."""
        self._line(cell, f"given up: {why}")

    def _line(self, cell: Cell, text: str) -> None:
        self.waiting.pop(cell.id, None)
        self.bar.advance(self.task, cell.evaluation_points[-1][0])
        left = f"  {self.left()}" * bool(self.waiting)
        self.say(f"[{self.total - len(self.waiting):>3}/{self.total}] {cell.label:<58} {text}{left}")

    def say(self, line: str) -> None:
        """A line as it is."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


def pace_of(computed: Mapping[str, Any], seconds: float) -> Pace:
    """The pace of a cell.

    Raises:
        Exception: of many kinds, where what it was computed from does not say.
    """
    kind, pace = _kind(computed), float(seconds) / max(int(computed["points"][-1]), 1)
    hash(kind)
    if not 0 <= pace < math.inf:
        raise ValueError(f"{seconds} seconds")
    return kind, pace


def _kind(computed: Mapping[str, Any]) -> tuple[Any, ...]:
    training = computed["training"]
    ways = (training[key] for key in ("network", "memory", "width", "depth", "num_envs"))
    return (computed["family"], computed["learner"], max(computed["simulations"]), *ways)


def paces_of(store: CellStore) -> list[Pace]:
    """Return the paces of the last cells of a run and of its siblings, to guess how long others take."""
    files = [*(store.run / "cells").glob("*.npz"), *(path for paths in store.sibling_files.values() for path in paths)]
    paces = []
    for path in sorted(files, key=_written_at)[-RECENT:]:
        with suppress(Exception), open_npz(path, USUAL) as archive:
            about = read_about(archive)
            paces.append(pace_of(about["computed"], about["seconds"]))
    return paces


def _written_at(path: Path) -> float:
    """Return when a file was written last; long ago where nobody can say."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
