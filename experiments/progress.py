"""Progress: a bar where a person watches, plain lines where nobody does. Does not import jax."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from experiments.cells import Cell

Pace = tuple[Mapping[str, Any], float]  # what a finished cell was computed from, and its seconds


class Progress:
    """Reports a run's cells as they finish."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar = RichProgress(
            TextColumn("{task.description}"),
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
        """Says what there is to do, before it is done.

        Args:
            waiting: cells to be trained.
            done: how many this run has done before.
            elsewhere: how many were found in other runs.
            paces: of cells that were finished here before.
            workers: cells trained at a time.
        """
        self.waiting = {cell.id: cell for cell in waiting}
        self.total, self.workers, self.paces = len(waiting), workers, list(paces)
        steps = sum(cell.points[-1][0] for cell in waiting)
        self.bar.update(self.task, total=steps)
        found = [f"{count} found {where}" for count, where in ((done, "done"), (elsewhere, "in other runs")) if count]
        line = f"{len(waiting)} training runs to do"
        line += f" ({', '.join(found)})" * bool(found) + f": {steps / 1e6:,.1f} million environment steps"
        if waiting:
            line += f", {self.left() or 'how long will be seen when the first is done'}"
        self.say(line)

    def left(self) -> str:
        """How long the waiting cells will take, from the pace of others like them; empty where none is known."""
        seconds = steps = 0.0
        known: dict[Any, list[float]] = {}
        for computed, took in self.paces:
            known.setdefault(_kind(computed), []).append(took / computed["points"][-1])
            seconds, steps = seconds + took, steps + computed["points"][-1]
        if not steps:
            return ""
        usual, total = seconds / steps, 0.0
        for cell in self.waiting.values():
            mine = known.get(_kind(cell.computed), [usual])
            total += cell.points[-1][0] * sum(mine) / len(mine)
        minutes = total / self.workers / 60
        if minutes > 90:
            return f"about {minutes / 60:.1f} h left"
        return f"about {minutes:.0f} min left" if minutes > 1 else "less than a minute left"

    def finished(self, cell: Cell, success: Mapping[str, float], seconds: float) -> None:
        """A cell is done: one line, with its last success by split."""
        shown = {split: success[split] for split in ("seen", "unseen") if split in success}
        text = "  ".join(f"{split} {value:.2f}" for split, value in shown.items())
        self.paces.append((cell.computed, seconds))
        rate = cell.points[-1][0] / max(seconds, 1e-9) / 1e3
        self._line(cell, f"{text:<24} {seconds:5.1f} s  {rate:4.0f} k steps/s")

    def failed(self, cell: Cell, why: str) -> None:
        """A cell was given up: one line that says why."""
        self._line(cell, f"given up: {why}")

    def _line(self, cell: Cell, text: str) -> None:
        self.waiting.pop(cell.id, None)
        self.bar.advance(self.task, cell.points[-1][0])
        left = f"  {self.left()}" * bool(self.waiting)
        self.say(f"[{self.total - len(self.waiting):>3}/{self.total}] {cell.label:<58} {text}{left}")

    def say(self, line: str) -> None:
        """A line as it is."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


def _kind(computed: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells fast cells from slow ones."""
    training = computed["training"]
    ways = (training[key] for key in ("network", "memory", "width", "depth", "num_envs"))
    return (computed["family"], computed["learner"], *ways)
