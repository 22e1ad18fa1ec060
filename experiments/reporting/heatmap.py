"""The heat map of a run: success on unseen tasks by pool and budget, and N* at every budget, as figure and as rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from incentivize.experiments.analysis.comparisons import by_seed, why_unscored
from incentivize.experiments.analysis.pool_curves import n_star
from incentivize.experiments.analysis.table import ResultsTable
from incentivize.experiments.analysis.thresholds import Location
from incentivize.experiments.presentation.charts import (
    NEW_TASKS_PLACE,
    PlotRows,
    describe_seeds,
    label_pool_axis,
    new_figure,
    place_of,
)
from incentivize.experiments.presentation.plotly_panels import plotly_panels
from incentivize.experiments.settings.schema import PoolSize, Settings, size_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROLE = "generalist"  # what studies call the incentivized agent that each of them varies the pool of
FOUND = "logistic in log N, 95% by leaving seeds out in turn"
COLOURS = "viridis"  # told apart by the colour-blind, and from dark paper
INSIDE, OUTLINE = "#ffffff", "#111111"  # of the line, which is seen on every colour
NSTAR = f"N*: the pool with half of the score at every episode new; gaps: not identified ({FOUND})"
APART = math.log(NEW_TASKS_PLACE) / 2.4  # half of a tile's width at most: "every episode new" stands by itself


def heat_map(table: ResultsTable, settings: Settings) -> tuple[Figure, PlotRows] | None:
    """A panel per family that has incentivized generalists on several pools, evaluated at several budgets.

    Returns:
        The figure, and a row for each of its tiles: `family, pool, budget, success, n, N*, low, high, method`, of which
        the last four are the budget's. None where there is no such family.
    """
    mine = table.where(role=ROLE, evaluated_on="unseen", simulations=0)
    grids = {family: _Grid(table, mine.where(family=family), settings, family) for family in settings.families}
    grids = {family: grid for family, grid in grids.items() if len(grid.pools) > 1 and len(grid.budgets) > 1}
    if not grids:
        return None
    columns = min(len(grids), 3)
    figure, axes = new_figure(-(-len(grids) // columns), columns, width=5.0)
    drawn: PlotRows = []
    for axis, grid in zip_longest(axes.flat, grids.values()):
        if grid is None:
            axis.set_visible(False)
            continue
        grid.draw(axis)
        drawn += grid.rows()
    figure.colorbar(axes.flat[0].collections[0], ax=axes, label="success, unseen tasks", shrink=0.9)
    told = f"incentivized generalist, mean of {describe_seeds(drawn)}"
    if any(row["N*"] for row in drawn):
        from matplotlib.lines import Line2D

        line: Any = tuple(Line2D([], [], **_stroke(colour)) for colour in (OUTLINE, INSIDE))  # one over the other
        words = NSTAR.replace(" (", "\n(")
        figure.legend([line], [words], loc="outside lower center", frameon=False, fontsize=8)
    else:
        told += "; N* is not identified at any budget"
    figure.suptitle(told, fontsize=9)
    return figure, drawn


def _stroke(colour: str) -> dict[str, Any]:
    """The style of the line, or of its outline."""
    wider = 2.0 * (colour == OUTLINE)
    return {"color": colour, "marker": "o", "markersize": 3.5 + wider / 2, "linewidth": 1.6 + wider}


def interactive_panels(figure: Figure, drawn: PlotRows) -> list[dict[str, Any]]:
    """The panels for a page (`interactive.panels`), in which tiles and the places of N* say what they are."""
    found = plotly_panels(figure)
    for panel, family in zip(found, dict.fromkeys(row["family"] for row in drawn), strict=True):
        mine = {(row["pool"], row["budget"]): row for row in drawn if row["family"] == family}
        pools = sorted({pool for pool, _ in mine}, key=lambda pool: math.inf if pool == "new" else pool)
        budgets = sorted({steps for _, steps in mine})
        for trace in panel["data"]:
            if trace.get("type") == "heatmap":
                rows = [[mine.get((pool, steps)) for pool in _columns(pools)] for steps in budgets]
                trace["text"] = [[_tooltip(row) if row else "" for row in line] for line in rows]
            elif trace["ink"] == INSIDE and "marker" in trace:
                known = {row["budget"]: row for row in mine.values()}
                trace["text"] = [_nstar_tooltip(known[steps]) for steps in budgets]
            else:
                trace["hoverinfo"] = "skip"
        panel["layout"]["yaxis"]["named"] = True
        panel["arms"] = [[arm, INSIDE, dash] for arm, _, dash in panel["arms"]]
    return found


def _tooltip(row: dict[str, Any]) -> str:
    """A tile in words."""
    pool = "every episode new" if row["pool"] == "new" else f"pool {row['pool']:,}"
    n = f"n = {row['n']} seed{'s' * (row['n'] != 1)}"
    return f"{pool}<br>{row['budget']:,} steps<br>success {row['success']:.3f}<br>{n}"


def _nstar_tooltip(row: dict[str, Any]) -> str:
    """N* at a budget in words."""
    if row["N*"] == "":
        return ""
    low, high = ("open" if row[end] == "" else f"{row[end]:,.0f}" for end in ("low", "high"))
    return f"N* {row['N*']:,.0f}<br>95%: {low} to {high}<br>{row['budget']:,} steps"


class _Grid:
    """One family: where it was evaluated, what came of it, and N* at every budget."""

    def __init__(self, table: ResultsTable, mine: ResultsTable, settings: Settings, family: str) -> None:
        self.family, self.axis_pools = family, settings.pools
        at = {(row["pool_size"], row["env_steps"]) for row in mine.rows}
        self.pools: list[PoolSize] = [pool for pool in settings.pools if any(size_of(pool) == size for size, _ in at)]
        self.budgets = sorted({steps for _, steps in at if steps})
        self.values = [
            [[*by_seed(mine.where(pool_size=size_of(pool), env_steps=steps)).values()] for pool in self.pools]
            for steps in self.budgets
        ]
        self.places = [n_star(table, settings, family, ROLE, steps) for steps in self.budgets]
        few = "fewer than 4 pools beside every-episode-new, or cells are missing"
        self.why = why_unscored(table, family) or few

    def rows(self) -> PlotRows:
        """What is drawn: a row a tile."""
        found = []
        for steps, values, place in zip(self.budgets, self.values, self.places, strict=True):
            nstar = self._nstar(place)
            for pool, each in zip(self.pools, values, strict=True):
                if each:
                    tile = {"family": self.family, "pool": pool, "budget": steps}
                    found.append(tile | {"success": round(float(np.mean(each)), 6), "n": len(each)} | nstar)
        return found

    def _nstar(self, place: Location | None) -> dict[str, Any]:
        if place is None or place.at is None:
            why = self.why if place is None else place.why
            return {"N*": "", "low": "", "high": "", "method": f"not identified: {why}"}
        low, high = (round(end, 2) if math.isfinite(end) else "" for end in (place.low, place.high))
        return {"N*": round(place.at, 2), "low": low, "high": high, "method": place.why or FOUND}

    def draw(self, axis: Axes) -> None:
        """Tiles, their values, and the line."""
        x, y = [place_of(pool, self.axis_pools) for pool in self.pools], [float(steps) for steps in self.budgets]
        across, up = _edges(x), _edges(y)
        if "new" in self.pools:
            across = _edges(x[:-1])
            half_wide = across[-1] / x[-2]
            across += [x[-1] / half_wide, x[-1] * half_wide]
        means = np.array([[np.mean(each) if each else np.nan for each in values] for values in self.values])
        whole = np.insert(means, _columns(self.pools).index(None), np.nan, axis=1) if "new" in self.pools else means
        axis.pcolormesh(across, up, whole, cmap=COLOURS, vmin=0, vmax=1)
        for (row, column), mean in np.ndenumerate(means):
            if np.isfinite(mean):
                ink = "white" if mean < 0.6 else "black"
                axis.text(x[column], y[row], f"{mean:.2f}", color=ink, fontsize=6.5, ha="center", va="center")
        self._line(axis, y)
        label_pool_axis(axis, self.axis_pools)
        axis.set_yscale("log")
        axis.set_yticks(y, [f"{step / 1e6:.2g} M" for step in y])
        axis.minorticks_off()
        axis.grid(visible=False)
        axis.set_xlim(across[0], across[-1])
        axis.set_ylim(up[0], up[-1])
        axis.set_ylabel("environment steps")
        axis.set_title(self.family)

    def _line(self, axis: Axes, y: Sequence[float]) -> None:
        """N* by budget, with gaps where it is not identified; an interval's open end is that of the pools."""
        ending = [float(pool) for pool in self.pools if pool != "new"]
        at = [math.nan if place is None or place.at is None else place.at for place in self.places]
        if not np.isfinite(at).any():
            return
        bars: list[tuple[float, float]] = []
        for place, steps in zip(self.places, y, strict=True):
            if place is not None and place.at is not None and (math.isfinite(place.low) or math.isfinite(place.high)):
                bars += [(max(place.low, ending[0]), steps), (min(place.high, ending[-1]), steps), (math.nan, math.nan)]
        for colour in (OUTLINE, INSIDE):
            style: Any = _stroke(colour) | {"gid": NSTAR, "zorder": 3}
            plain: Any = style | {"marker": "", "solid_capstyle": "butt"}
            if bars:
                axis.plot(*zip(*bars, strict=True), **plain)
            axis.plot(at, y, **style)


def _columns(pools: Sequence[PoolSize]) -> list[PoolSize | None]:
    """The columns of tiles: before that of every episode new there is an empty one."""
    return [*pools[:-1], None, "new"] if "new" in pools else list(pools)


def _edges(places: Sequence[float]) -> list[float]:
    """The edges of tiles around places on a logarithmic axis: one more than there are places."""
    logs = np.log(places)
    between = (logs[1:] + logs[:-1]) / 2
    first, last = np.minimum(np.diff(logs)[[0, -1]] / 2, APART) if len(logs) > 1 else (APART, APART)
    return np.exp([logs[0] - first, *between, logs[-1] + last]).tolist()
