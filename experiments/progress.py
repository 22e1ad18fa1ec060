"""Progress: a bar where a person watches, plain lines where nobody does. Does not import jax."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from experiments.cells import Cell


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
        self.count = self.total = 0

    def __enter__(self) -> "Progress":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def begin(self, waiting: Sequence[Cell], found: int) -> None:
        """Says what there is to do, before it is done."""
        steps = sum(cell.points[-1][0] for cell in waiting)
        self.total = len(waiting)
        self.bar.update(self.task, total=steps)
        already = f" ({found} found done)" if found else ""
        self.console.print(f"{len(waiting)} training runs to do{already}: {steps / 1e6:,.1f} million environment steps")

    def finished(self, cell: Cell, success: Mapping[str, float], seconds: float) -> None:
        """A cell is done: one line, with its last success by split."""
        self.count += 1
        self.bar.advance(self.task, cell.points[-1][0])
        shown = {split: success[split] for split in ("seen", "unseen") if split in success}
        text = "  ".join(f"{split} {value:.2f}" for split, value in shown.items())
        rate = cell.points[-1][0] / seconds / 1e3
        line = f"[{self.count:>3}/{self.total}] {cell.label:<58} {text:<24} {seconds:5.1f} s  {rate:4.0f} k steps/s"
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)
