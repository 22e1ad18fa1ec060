"""Figures: matplotlib without a display, colours that colour-blind readers can tell apart (Okabe & Ito 2008)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from incentivize.experiments.analysis.comparisons import by_seed
from incentivize.experiments.analysis.estimates import t_interval
from incentivize.experiments.analysis.guards import TEACHERS, teacher_level_of
from incentivize.experiments.analysis.table import ResultsTable
from incentivize.experiments.presentation.plotter import with_shipped_defaults
from incentivize.experiments.settings.schema import PoolSize

if TYPE_CHECKING:  # matplotlib takes long to import, and studies are loaded before anything is drawn
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY, BLACK = "#0072B2", "#D55E00", "#009E73", "#7F7F7F", "#000000"
PURPLE = "#CC79A7"
STYLE: Any = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "svg.hashsalt": "incentivize",  # the same figure has the same bytes
    "svg.fonttype": "none",
}


def style() -> AbstractContextManager[None]:
    """The house style, while a figure is made: nobody's `matplotlibrc` has a say in it."""
    return with_shipped_defaults(STYLE)


def escape_mathtext(figure: Figure, names: Iterable[str]) -> None:
    """Have dollar signs in names be dollar signs: between two of them matplotlib takes text for mathematics."""
    from matplotlib.text import Text

    if dear := sorted((name for name in names if "$" in name), key=len, reverse=True):
        any_of = re.compile("|".join(map(re.escape, dear)))
        for text in figure.findobj(Text):
            said: Any = text
            said.set_text(any_of.sub(lambda name: name[0].replace("$", "\\$"), said.get_text()))


def save(figure: Figure, rows: Sequence[dict[str, Any]], folder: Path, name: str) -> None:
    """Write the figure as PNG and SVG, and what it shows as CSV."""
    with style():
        figure.savefig(folder / f"{name}.png", dpi=160, metadata={"Software": None})
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["family"])
        writer.writeheader()
        writer.writerows(rows)


PlotRows = list[dict[str, Any]]


def new_figure(rows: int, columns: int, width: float = 4.2) -> tuple[Figure, Any]:
    """A figure of panels in the house style, and its axes [rows, columns]."""
    with style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width * columns, 3.4 * rows + 0.6), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False)


Points = Sequence[tuple[float | PoolSize, Mapping[int, float]]]
"""Where on an axis (on one of pools, a pool), and what every seed has there."""


def draw_curve(
    axis: Axes,
    points: Points,
    label: str,
    colour: str,
    drawn: PlotRows,
    *,
    family: str,
    series: str,
    line: str = "-",
    pools: Sequence[PoolSize] = (),
    each: bool = True,
) -> None:
    """Means with a band where n >= 3, and `each` seed as dots.

    Means are noted down in `drawn` for the CSV; "new" is the end of an axis of `pools`.
    """
    if not points:
        return
    x, found = [place_of(place, pools) for place, _ in points], [t_interval([*values.values()]) for _, values in points]
    if each:
        draw_dots(axis, [(at, values) for at, (_, values) in zip(x, points, strict=True)], label, colour)
    axis.plot(x, [e.mean for e in found], color=colour, linestyle=line, marker="o", markersize=4, label=label)
    if all(np.isfinite(e.low) for e in found):
        axis.fill_between(
            x, [e.low for e in found], [e.high for e in found], color=colour, alpha=0.12, linewidth=0, gid=label
        )
    axis.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    for (place, _), estimate in zip(points, found, strict=True):
        low, high = (round(b, 6) if np.isfinite(b) else "" for b in (estimate.low, estimate.high))
        row = {
            "family": family,
            "series": series,
            "x": place,
            "mean": round(estimate.mean, 6),
        }
        drawn.append(row | {"low": low, "high": high, "n": estimate.n})


def draw_dots(axis: Axes, points: Sequence[tuple[float, Mapping[int, float]]], arm: str, colour: str) -> None:
    """Every seed of an arm, where there are several, as faint dots; their label, in no legend, says which it is."""
    every = sorted({seed for _, values in points for seed in values})
    for seed in every if len(every) > 1 else ():
        x, y = zip(*[(at, values[seed]) for at, values in points if seed in values], strict=True)
        axis.scatter(x, y, s=7, color=colour, alpha=0.4, linewidths=0, label=f"_seed {seed}", gid=arm)


def describe_seeds(drawn: PlotRows) -> str:
    """How many seeds points rest on, in words: cells may be missing."""
    counts = {row["n"] for row in drawn} or {0}
    most = max(counts)
    words = f"{min(counts)} to {most}" if len(counts) > 1 else str(most)
    return f"{words} seed{'s' * (most != 1)}"


def legend(figure: Figure, axes: Any, columns: int | None = None) -> None:
    """One legend below all panels, of whatever is in any of them."""
    known: dict[str, Any] = {}
    for axis in axes.flat:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            known.setdefault(label, handle)
    if known:
        handles, labels = list(known.values()), list(known)
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=columns or min(2, axes.shape[1]),
            frameon=False,
            fontsize=8,
        )


def label_budget_axis(axis: Axes, steps: Sequence[int]) -> None:
    """Make a logarithmic x-axis of environment steps, marked where there was an evaluation, if there was any."""
    if not steps:
        return
    axis.set_xscale("log")
    axis.set_xticks(steps, [f"{step / 1e6:.2g} M" for step in steps])
    if len(steps) > 6:
        for label in axis.get_xticklabels()[-2::-2]:
            label.set_visible(False)
    from matplotlib.ticker import NullLocator

    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("environment steps")


def draw_teacher_level(axis: Axes, table: ResultsTable, family: str) -> tuple[str, float] | None:
    """Draw a thin line at the success of the measured teacher; gives its name and the value, if it was measured."""
    teacher = teacher_level_of(table, family)
    if teacher is None:
        return None
    name = TEACHERS.get(teacher.kind, teacher.kind)
    axis.axhline(teacher.success, color=GREEN, linestyle=(0, (6, 3)), linewidth=0.8, label=f"its teacher: the {name}")
    return name, teacher.success


Arms = Mapping[str, tuple[str, str, ResultsTable]]
"""Curves to draw, by their name in the CSV: label, colour, and the rows that they are of."""


def plot_by_budget(axis: Axes, arms: Arms, drawn: PlotRows, family: str, each: Mapping[str, int] | None = None) -> None:
    """Success against environment steps, a curve per arm; `each` divides those of arms with several families."""
    every: set[int] = set()
    for series, (label, colour, table) in arms.items():
        share = (each or {}).get(series, 1)
        steps = sorted({row["env_steps"] for row in table.rows})
        points = [(step / share, by_seed(table.where(env_steps=step))) for step in steps]
        draw_curve(axis, points, label, colour, drawn, family=family, series=series)
        every.update(int(step) for step, _ in points)
    label_budget_axis(axis, sorted(every))
    axis.set_ylim(-0.02, 1.02)
    axis.set_ylabel("success, unseen tasks")


CROWDED = 0.15  # of an axis: labels of pools that are closer would run into each other


NEW_TASKS_PLACE = 8.0  # times the largest pool that ends, where "every episode a new task" stands


def end_of(pools: Sequence[PoolSize]) -> float:
    """Where "every episode a new task" stands on an axis of pools."""
    return max([*(size for size in pools if size != "new"), 4]) * NEW_TASKS_PLACE


def place_of(pool: float | PoolSize, pools: Sequence[PoolSize]) -> float:
    """Where a pool stands on that axis."""
    return end_of(pools) if pool == "new" else float(pool)


def label_pool_axis(axis: Axes, pools: Sequence[PoolSize]) -> None:
    """Make a logarithmic x-axis of pool sizes, with "every episode a new task" at its end."""
    axis.set_xscale("log")
    ticks = [float(size) for size in pools if size != "new"]
    labels = [f"{size:,}" for size in pools if size != "new"]
    if "new" in pools:
        ticks, labels = [*ticks, end_of(pools)], [*labels, "every\nepisode\nnew"]
    axis.set_xticks(ticks, labels)
    nearest = np.diff(np.log(ticks)).min(initial=np.inf) / np.log(ticks[-1] / ticks[0]) if len(ticks) > 1 else 1
    if nearest < CROWDED:
        for label in axis.get_xticklabels()[1:-1:2]:
            label.set_visible(False)
    axis.minorticks_off()
    axis.set_ylim(-0.02, 1.02)
    axis.set_xlabel("training tasks (pool size N)")
    axis.grid(axis="y", color="#DDDDDD", linewidth=0.6)


def plot_by_pool(axis: Axes, arms: Arms, drawn: PlotRows, family: str, pools: Sequence[PoolSize]) -> None:
    """Success against the pool's size, a curve per arm."""
    for series, (label, colour, table) in arms.items():
        points: Points = [
            (size, values)
            for size in pools
            if (values := by_seed(table.where(pool_size=None if size == "new" else size)))
        ]
        draw_curve(axis, points, label, colour, drawn, family=family, series=series, pools=pools)
    label_pool_axis(axis, pools)
    axis.set_ylabel("success, unseen tasks")
