"""The figure of task-count: general versus specialist, against the number of training tasks."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from incentivize.experiments.analysis.comparisons import by_seed, specialty_matrix
from incentivize.experiments.analysis.estimates import Estimate, jackknife, t_interval
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.cells import describe_variant
from incentivize.experiments.design.specialists import MET, specialist_points
from incentivize.experiments.presentation.charts import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    PlotRows,
    describe_seeds,
    draw_dots,
    draw_teacher_level,
    end_of,
    label_pool_axis,
    legend,
    style,
)
from incentivize.experiments.settings.schema import Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_task_count(table: ResultsTable, settings: Settings) -> tuple[Figure, PlotRows]:
    """Draw success against the number of training tasks, a panel per family: generalists, controls and specialists."""
    from matplotlib.figure import Figure

    drawn: PlotRows = []

    with style():
        panels = len(settings.families)
        columns = panels if panels <= 3 else 2
        rows = -(-panels // columns)
        below = 1.8 if columns > 1 else 2.8  # for the legend, which one panel has in one column
        figure = Figure(figsize=(0.8 + 4.6 * columns, below + 3.6 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axis, family in zip_longest(axes.flat, settings.families):
            if family is None:
                axis.set_visible(False)
            else:
                drawn += _Panel(axis, table.where(family=family), settings, family).draw()
        for axis in axes[:, 0]:
            axis.set_ylabel("success")
        legend(figure, axes, columns=min(columns, 2))
    return figure, drawn


class _Panel:
    """One family's panel."""

    def __init__(self, axis: Axes, table: ResultsTable, settings: Settings, family: str) -> None:
        self.axis, self.table, self.settings, self.family = axis, table, settings, family
        self.end = end_of(settings.pools)
        self.budget = settings.training[family].budget
        self.rows: PlotRows = []

    def draw(self) -> PlotRows:
        """Draw all curves and lines, and return the rows drawn."""
        final = self.table.final()

        def count(role: str) -> str:
            unseen = final.where(role=role, evaluated_on="unseen")
            sizes = [unseen.where(pool_size=size).rows for size in {row["pool_size"] for row in unseen.rows}]
            return describe_seeds([{"n": len({row["seed"] for row in rows})} for rows in sizes])

        taught = self.settings.training[self.family].taught_steps
        words = f"generalist taught for {taught:,} steps, then incentivized" if taught else "incentivized generalist"
        label = f"{words}, unseen tasks ({count('generalist')}, 95% Student t where 3 at least)"
        self.curve(final, "generalist", "unseen", label, BLUE, "-", "o", 2.2)
        self.curve(final, "generalist", "seen", "the same, tasks in its pool", BLUE, ":", "o", 1.2)
        label = "the same, the specialists' tasks, which it never met (jackknife over seeds and tasks)"
        self.curve(final, "generalist", "specialty", label, BLUE, "--", ".", 0.8)
        self.curve(final, MET, "specialty", "one that met the specialists' tasks, on these", BLUE, "", "P", 1.2)
        label = f"taught generalist, unseen tasks ({count('taught')})"
        self.curve(final, "taught", "unseen", label, GREEN, "-", "D", 1.4)
        label = f"taught by one who knows the hidden rule ({count('informed')})"
        self.curve(final, "informed", "unseen", label, GREEN, (0, (4, 2)), "x", 1.2)
        label = f"control: descriptions shuffled, or rule redrawn, unseen tasks ({count('control')})"
        self.curve(final, "control", "unseen", label, GREY, "-", "s", 1.4)
        self.specialists()
        meta = self.table.meta
        if (blind := meta["blind"][self.family]) is not None:
            self.level(blind, "blind level: best without the description", ":")
        self.level(meta["uniform"][self.family], "uniform actions", (0, (1, 6)))
        if (teacher := draw_teacher_level(self.axis, self.table, self.family)) is not None:
            self.record_point(teacher[0], None, 0, teacher[1], -np.inf, np.inf, 1)
        self.label_axes()
        return self.rows

    def place(self, size: int | None) -> float:
        """Return the place of a pool size on the axis."""
        return self.end if size is None else float(size)

    def record_point(
        self, series: str, x: float | None, steps: int, value: float, low: float, high: float, n: int
    ) -> None:
        """Keep a drawn point for the CSV; a line has no pool_size, and "every episode a new task" is "new"."""
        size = "" if x is None else "new" if x == self.end else int(x)
        bounds = [round(b, 6) if np.isfinite(b) else "" for b in (low, high)]
        row = {"family": self.family, "series": series, "pool_size": size, "env_steps": steps}
        row["success"] = round(value, 6)
        self.rows.append(row | {"low": bounds[0], "high": bounds[1], "n": n})

    def curve(
        self, final: ResultsTable, role: str, block: str, label: str, colour: str, line: Any, marker: str, width: float
    ) -> None:
        """Draw means over seeds with an interval where n >= 3, and every seed as a dot; the axis' end is set apart."""
        arm = final.where(role=role, evaluated_on=block)
        sizes = sorted({row["pool_size"] for row in arm.rows}, key=self.place)
        points, dots = [], []
        for size in sizes:
            rows = arm.where(pool_size=size)
            estimate = self.estimate(rows, block)
            points.append((self.place(size), estimate))
            self.record_point(f"{role}, {block}", self.place(size), rows.rows[0]["env_steps"], *estimate)
            dots.append((self.place(size), by_seed(rows)))
        if not points:
            return
        draw_dots(self.axis, dots, label, colour)
        style: Any = {"color": colour, "linestyle": line, "marker": marker, "linewidth": width, "markersize": 3 + width}
        style["gid"] = label
        finite = [point for point in points if point[0] != self.end]
        self.axis.plot([x for x, _ in finite], [e.mean for _, e in finite], label=label, **style)
        self.axis.plot(
            [x for x, _ in points[-2:]], [e.mean for _, e in points[-2:]], **style | {"linestyle": (0, (1, 3))}
        )
        self.axis.plot([x for x, _ in points[-1:]], [e.mean for _, e in points[-1:]], **style)
        if all(np.isfinite(e.low) for _, e in points):
            low, high = (np.clip(side, 0, 1) for side in zip(*[(e.low, e.high) for _, e in points], strict=True))
            self.axis.fill_between([x for x, _ in points], low, high, color=colour, alpha=0.12, linewidth=0, gid=label)

    def estimate(self, rows: ResultsTable, block: str) -> Estimate:
        """Estimate the mean over seeds; in the specialty, as claims do, over seeds x tasks where counts are known."""
        success = specialty_matrix(rows, self.settings) if block == "specialty" else None
        if success is None:
            return t_interval([*by_seed(rows).values()])
        return jackknife(lambda *kept: success[np.ix_(*kept)].mean(), success.shape)

    def specialists(self) -> None:
        """Draw supervised specialists, and incentivized ones where there are any."""
        count = self.settings.specialists
        full = len(by_seed(self.table.where(role="specialist", evaluated_on="specialty", budget_kind="full")))
        labels = {
            "full": f"supervised specialists, B steps each (mean of {full} {'task' if full == 1 else 'tasks'})",
            "equal_share": f"specialists, B/{count} steps each",
            "share": "specialists, a share B/N (ends where it is less than one update)",
        }
        self.specialist("specialist", labels, ORANGE, "^")
        labels = {"full": "incentivized specialists, B steps each", "share": "incentivized specialists, a share B/N"}
        self.specialist("incentivized specialist", labels, PURPLE, "v")

    def specialist(self, role: str, labels: dict[str, str], colour: str, marker: str) -> None:
        """Draw lines for the full and the divided budget, and a curve for the share, which ends where it is censored.

        All are of the instances that generalists play in the specialty, as in the claims.
        """
        arm = self.table.where(role=role, evaluated_on="specialty")
        for kind, line in (("full", "-"), ("equal_share", "--")):
            rows = arm.where(budget_kind=kind)
            if rows.rows and kind in labels:
                estimate = t_interval([*by_seed(rows).values()])  # by task
                self.axis.axhline(estimate.mean, color=colour, linestyle=line, linewidth=1.3, label=labels[kind])
                self.record_point(f"{role}, {kind}", None, rows.rows[0]["env_steps"], *estimate)
        curve = []
        for size, steps in specialist_points(self.settings, self.settings.training[self.family]).shares.items():
            by_task = by_seed(arm.where(env_steps=steps))
            if by_task:
                estimate = t_interval([*by_task.values()])
                curve.append((float(size), estimate.mean))
                self.record_point(f"{role}, share", float(size), steps, *estimate)
        if curve:
            x, y = zip(*curve, strict=True)
            style: Any = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.3, "linestyle": "-."}
            self.axis.plot(x, y, label=labels["share"], **style)

    def level(self, value: float, label: str, line: Any) -> None:
        """Draw a reference line."""
        self.axis.axhline(value, color=BLACK, linestyle=line, linewidth=1.0, label=label)
        self.record_point(label.partition(":")[0], None, 0, value, -np.inf, np.inf, 1)

    def label_axes(self) -> None:
        """Label the axes, and give the panel its title."""
        axis = self.axis
        label_pool_axis(axis, self.settings.pools)
        tasks = self.table.meta["tasks"][self.family]
        mantissa, _, exponent = f"{tasks:.1e}".partition("e+")
        count = f"${mantissa} \\times 10^{{{int(exponent)}}}$" if tasks >= 1e6 else f"{tasks:,}"
        changed = describe_variant(self.settings.knobs.get(self.family, {}), self.settings.life)
        name = f"{self.family} ({changed})" if changed else self.family
        axis.set_title(f"{name}: {count} tasks, B = {self.budget / 1e6:.2g} M steps")
