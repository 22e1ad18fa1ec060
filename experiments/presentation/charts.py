"""Charts: matplotlib without a display, colours that colour-blind readers can tell apart (Okabe & Ito 2008)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from incentivize.experiments.analysis.claim_guards import TEACHERS, teacher_level_of
from incentivize.experiments.analysis.comparisons import by_seed
from incentivize.experiments.analysis.estimates import t_interval
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.presentation.matplotlib_setup import with_shipped_defaults
from incentivize.experiments.settings.schema import PoolSize

if TYPE_CHECKING:  # matplotlib takes long to import, and studies are loaded before anything is drawn
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY, BLACK = "#0072B2", "#D55E00", "#009E73", "#7F7F7F", "#000000"
PURPLE = "#CC79A7"
CROWDED = 0.15  # of an axis: labels of pools that are closer would run into each other
NEW_TASKS_PLACE = 8.0  # times the largest finite pool: the place of "every episode a new task" on an axis of pools
STYLE: Any = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "svg.hashsalt": "incentivize",  # the same figure has the same bytes
    "svg.fonttype": "none",
}


def style() -> AbstractContextManager[None]:
    """Put the house style in force while a figure is made, whatever a `matplotlibrc` of the user's holds."""
    return with_shipped_defaults(STYLE)


def escape_mathtext(figure: Figure, names: Iterable[str]) -> None:
    """Escape the dollar signs in names: between two of them matplotlib takes text for mathematics.

    Args:
        figure: the figure whose texts hold the names; it is changed in place.
        names: the names, such as those of families.
    """
    from matplotlib.text import Text

    if priced := sorted((name for name in names if "$" in name), key=len, reverse=True):
        any_of = re.compile("|".join(map(re.escape, priced)))
        for artist in figure.findobj(Text):
            text: Any = artist
            text.set_text(any_of.sub(lambda name: name[0].replace("$", "\\$"), text.get_text()))


def save(figure: Figure, rows: Sequence[dict[str, Any]], folder: Path, name: str) -> None:
    """Write a figure as PNG and SVG, and the rows that it draws as CSV.

    Args:
        figure: the figure.
        rows: the rows drawn, all with the same keys, which are the CSV's columns.
        folder: the folder to write to.
        name: the files' name without its ending.
    """
    with style():
        figure.savefig(folder / f"{name}.png", dpi=160, metadata={"Software": None})
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["family"])
        writer.writeheader()
        writer.writerows(rows)


PlotRows = list[dict[str, Any]]
"""The rows that a figure draws, for its CSV."""


def new_figure(rows: int, columns: int, width: float = 4.2) -> tuple[Figure, Any]:
    """Make a figure of panels in the house style; `width` is a panel's, in inches.

    Returns:
        The figure, and its axes, an array of objects [rows, columns].
    """
    with style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width * columns, 3.4 * rows + 0.6), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False)


Points = Sequence[tuple[float | PoolSize, Mapping[int, float]]]
"""A curve: places on an axis (on an axis of pools: pools), each with its values by seed."""


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
    draw_seeds: bool = True,
) -> None:
    """Draw a curve of means over seeds, with a band of 95% Student t intervals where n >= 3.

    Args:
        axis: the panel.
        points: the curve; nothing is drawn where it is empty.
        label: the curve's label in the legend.
        colour: the curve's colour.
        drawn: the rows that the figure draws; the curve's are appended.
        family: the value of the column `family` in these rows.
        series: the value of the column `series` in these rows.
        line: matplotlib's line style.
        pools: the pools of the axis, if it is one of pools; None ("every episode a new task") stands at its end.
        draw_seeds: whether every seed is drawn as a dot.
    """
    if not points:
        return
    x = [place_of(place, pools) for place, _ in points]
    estimates = [t_interval([*values.values()]) for _, values in points]
    if draw_seeds:
        draw_dots(axis, [(at, values) for at, (_, values) in zip(x, points, strict=True)], label, colour)
    axis.plot(x, [e.mean for e in estimates], color=colour, linestyle=line, marker="o", markersize=4, label=label)
    if all(np.isfinite(e.low) for e in estimates):
        low, high = [e.low for e in estimates], [e.high for e in estimates]
        axis.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0, gid=label)
    axis.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    for (place, _), estimate in zip(points, estimates, strict=True):
        ends = [round(end, 6) if np.isfinite(end) else "" for end in (estimate.low, estimate.high)]
        row = {
            "family": family,
            "series": series,
            "x": "new" if place is None else place,
            "mean": round(estimate.mean, 6),
        }
        drawn.append(row | {"low": ends[0], "high": ends[1], "n": estimate.n})


def draw_dots(axis: Axes, points: Sequence[tuple[float, Mapping[int, float]]], arm: str, colour: str) -> None:
    """Draw every seed of an arm as faint dots, where there are several; their label names the seed, in no legend."""
    seeds = sorted({seed for _, values in points for seed in values})
    for seed in seeds if len(seeds) > 1 else ():
        x, y = zip(*[(at, values[seed]) for at, values in points if seed in values], strict=True)
        axis.scatter(x, y, s=7, color=colour, alpha=0.4, linewidths=0, label=f"_seed {seed}", gid=arm)


def describe_seeds(drawn: PlotRows) -> str:
    """Say how many seeds the drawn means rest on, from fewest to most: cells may be missing."""
    counts = {row["n"] for row in drawn} or {0}
    most = max(counts)
    words = f"{min(counts)} to {most}" if len(counts) > 1 else str(most)
    return f"{words} {'seed' if most == 1 else 'seeds'}"


def legend(figure: Figure, axes: Any, columns: int | None = None) -> None:
    """Draw one legend below all panels, with every label of any panel once.

    Args:
        figure: the figure.
        axes: the figure's axes, an array of objects [rows, columns].
        columns: the legend's columns; None for as many as the panels', two at most.
    """
    handles: dict[str, Any] = {}
    for axis in axes.flat:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        figure.legend(
            list(handles.values()),
            list(handles),
            loc="outside lower center",
            ncols=columns or min(2, axes.shape[1]),
            frameon=False,
            fontsize=8,
        )


def label_budget_axis(axis: Axes, steps: Sequence[int]) -> None:
    """Make a logarithmic x-axis of environment steps, marked at the evaluations, `steps`, if there are any."""
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
    """Draw a thin line at the success of the measured teacher.

    Returns:
        The teacher's name and success; None where no teacher was measured.
    """
    teacher = teacher_level_of(table, family)
    if teacher is None:
        return None
    name = TEACHERS.get(teacher.kind, teacher.kind)
    axis.axhline(teacher.success, color=GREEN, linestyle=(0, (6, 3)), linewidth=0.8, label=f"its teacher: the {name}")
    return name, teacher.success


Arms = Mapping[str, tuple[str, str, ResultsTable]]
"""Curves to draw, by their name in the CSV: label, colour, and rows of the run."""


def plot_by_budget(
    axis: Axes, arms: Arms, drawn: PlotRows, family: str, families_per_arm: Mapping[str, int] | None = None
) -> None:
    """Draw success against environment steps, a curve per arm.

    Args:
        axis: the panel.
        arms: the curves.
        drawn: the rows that the figure draws; the curves' are appended.
        family: the family's name.
        families_per_arm: the number of families that an arm plays, by the curve's name; the arm's steps are divided by
            this number. Arms that are left out play 1.
    """
    places: set[int] = set()
    for series, (label, colour, table) in arms.items():
        share = (families_per_arm or {}).get(series, 1)
        steps = sorted({row["env_steps"] for row in table.rows})
        points = [(step / share, by_seed(table.where(env_steps=step))) for step in steps]
        draw_curve(axis, points, label, colour, drawn, family=family, series=series)
        places.update(int(step) for step, _ in points)
    label_budget_axis(axis, sorted(places))
    axis.set_ylim(-0.02, 1.02)
    axis.set_ylabel("success, unseen tasks")


def end_of(pools: Sequence[PoolSize]) -> float:
    """Return the place of "every episode a new task" on an axis of these pools."""
    return max([*(size for size in pools if size is not None), 4]) * NEW_TASKS_PLACE


def place_of(pool: float | PoolSize, pools: Sequence[PoolSize]) -> float:
    """Return the place of a pool on an axis of these pools."""
    return end_of(pools) if pool is None else float(pool)


def label_pool_axis(axis: Axes, pools: Sequence[PoolSize]) -> None:
    """Make a logarithmic x-axis of pool sizes, with "every episode a new task" at its end."""
    axis.set_xscale("log")
    ticks = [float(size) for size in pools if size is not None]
    labels = [f"{size:,}" for size in pools if size is not None]
    if None in pools:
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
    """Draw success against the pool's size, a curve per arm.

    Args:
        axis: the panel.
        arms: the curves.
        drawn: the rows that the figure draws; the curves' are appended.
        family: the family's name.
        pools: the pools of the axis.
    """
    for series, (label, colour, table) in arms.items():
        points: Points = [(size, values) for size in pools if (values := by_seed(table.where(pool_size=size)))]
        draw_curve(axis, points, label, colour, drawn, family=family, series=series, pools=pools)
    label_pool_axis(axis, pools)
    axis.set_ylabel("success, unseen tasks")
