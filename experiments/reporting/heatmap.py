"""The heat map of a run: success on unseen tasks by pool and budget, with N* at every budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from incentivize.experiments.analysis.comparisons import by_seed, why_unscored
from incentivize.experiments.analysis.pool_curves import n_star
from incentivize.experiments.analysis.results_table import ResultsTable
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
from incentivize.experiments.settings.schema import PoolSize, Settings, pool_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROLE = "generalist"  # the role of the incentivized agent whose pool a study varies
METHOD = "logistic in log N, 95% by leaving seeds out in turn"
COLOUR_MAP = "viridis"  # readable for the colour-blind
LINE_COLOUR, OUTLINE_COLOUR = "#ffffff", "#111111"  # together visible on every colour of the map
GAP = "gap"  # a column without tiles
NSTAR = f"N*: the pool with half of the score at every episode new; gaps: not identified ({METHOD})"
MAX_HALF_TILE = math.log(NEW_TASKS_PLACE) / 2.4  # in log N; narrow enough to leave "every episode new" apart


def heat_map(table: ResultsTable, settings: Settings) -> tuple[Figure, PlotRows] | None:
    """Draw a panel for every family with incentivized generalists on several pools and at several budgets.

    Returns:
        The figure, and a row for each of its tiles: `family, pool, budget, success, n, N*, low, high, method`. The last
        four belong to the budget, not to the tile. None where there is no such family.
    """
    generalists = table.where(role=ROLE, evaluated_on="unseen", simulations=0)
    grids = {family: _Grid(table, generalists.where(family=family), settings, family) for family in settings.families}
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
    title = f"incentivized generalist, mean of {describe_seeds(drawn)}"
    if any(row["N*"] for row in drawn):
        from matplotlib.lines import Line2D

        line: Any = tuple(Line2D([], [], **_stroke(colour)) for colour in (OUTLINE_COLOUR, LINE_COLOUR))
        figure.legend([line], [NSTAR.replace(" (", "\n(")], loc="outside lower center", frameon=False, fontsize=8)
    else:
        title += "; N* is not identified at any budget"
    figure.suptitle(title, fontsize=9)
    return figure, drawn


def _stroke(colour: str) -> dict[str, Any]:
    """Return the style of the line of N*, or of its wider outline."""
    wider = 2.0 if colour == OUTLINE_COLOUR else 0.0
    return {"color": colour, "marker": "o", "markersize": 3.5 + wider / 2, "linewidth": 1.6 + wider}


def interactive_panels(figure: Figure, drawn: PlotRows) -> list[dict[str, Any]]:
    """Convert the figure to the panels of a page (`plotly_panels`), with tooltips on tiles and on N*."""
    panels = plotly_panels(figure)
    for panel, family in zip(panels, dict.fromkeys(row["family"] for row in drawn), strict=True):
        tiles = {(row["pool"], row["budget"]): row for row in drawn if row["family"] == family}
        pools = sorted({pool for pool, _ in tiles}, key=lambda pool: math.inf if pool == "new" else pool)
        by_budget = {steps: tiles[pool, steps] for pool, steps in sorted(tiles, key=lambda tile: tile[1])}
        for trace in panel["data"]:
            if trace.get("type") == "heatmap":
                rows = [[tiles.get((pool, steps)) for pool in _columns(pools)] for steps in by_budget]
                trace["text"] = [[_tooltip(row) if row else "" for row in line] for line in rows]
            elif trace["ink"] == LINE_COLOUR and "marker" in trace:
                trace["text"] = [_nstar_tooltip(row) for row in by_budget.values()]
            else:
                trace["hoverinfo"] = "skip"
        panel["layout"]["yaxis"]["named"] = True
        panel["arms"] = [[arm, LINE_COLOUR, dash] for arm, _, dash in panel["arms"]]
    return panels


def _tooltip(row: dict[str, Any]) -> str:
    """Describe a tile."""
    pool = "every episode new" if row["pool"] == "new" else f"pool {row['pool']:,}"
    seeds = "1 seed" if row["n"] == 1 else f"{row['n']} seeds"
    return f"{pool}<br>{row['budget']:,} steps<br>success {row['success']:.3f}<br>n = {seeds}"


def _nstar_tooltip(row: dict[str, Any]) -> str:
    """Describe N* at a budget; empty where it is not identified."""
    if row["N*"] == "":
        return ""
    low, high = ("open" if row[end] == "" else f"{row[end]:,.0f}" for end in ("low", "high"))
    return f"N* {row['N*']:,.0f}<br>95%: {low} to {high}<br>{row['budget']:,} steps"


class _Grid:
    """The panel of one family.

    Attributes:
        pools: pools with results, in the order of the settings.
        budgets: environment steps, rising.
        values: successes [budget][pool][seed]; no seeds where results are missing.
        places: N* at every budget; None where it cannot be estimated.
        reason: why N* is None, if it is.
    """

    def __init__(self, table: ResultsTable, generalists: ResultsTable, settings: Settings, family: str) -> None:
        self.family, self.axis_pools = family, settings.pools
        sizes = {row["pool_size"] for row in generalists.rows}
        self.pools: list[PoolSize] = [pool for pool in settings.pools if pool in sizes]
        self.budgets = sorted({row["env_steps"] for row in generalists.rows if row["env_steps"]})
        self.values = [
            [[*by_seed(generalists.where(pool_size=pool, env_steps=steps)).values()] for pool in self.pools]
            for steps in self.budgets
        ]
        self.places = [n_star(table, settings, family, ROLE, steps) for steps in self.budgets]
        too_few = "fewer than 4 pools beside every-episode-new, or cells are missing"
        self.reason = why_unscored(table, family) or too_few

    def rows(self) -> PlotRows:
        """Return a row for every tile that has results."""
        rows = []
        for steps, values, place in zip(self.budgets, self.values, self.places, strict=True):
            nstar = self._nstar(place)
            for pool, successes in zip(self.pools, values, strict=True):
                if successes:
                    tile = {"family": self.family, "pool": pool_name(pool), "budget": steps}
                    rows.append(tile | {"success": round(float(np.mean(successes)), 6), "n": len(successes)} | nstar)
        return rows

    def _nstar(self, place: Location | None) -> dict[str, Any]:
        """Return the columns of N* at one budget."""
        if place is None or place.at is None:
            reason = self.reason if place is None else place.why
            return {"N*": "", "low": "", "high": "", "method": f"not identified: {reason}"}
        low, high = (round(end, 2) if math.isfinite(end) else "" for end in (place.low, place.high))
        return {"N*": round(place.at, 2), "low": low, "high": high, "method": place.why or METHOD}

    def draw(self, axis: Axes) -> None:
        """Draw the tiles, their values, and the line of N*."""
        x, y = [place_of(pool, self.axis_pools) for pool in self.pools], [float(steps) for steps in self.budgets]
        across, up = _edges(x), _edges(y)
        if None in self.pools:
            across = _edges(x[:-1])
            half_wide = across[-1] / x[-2]
            across += [x[-1] / half_wide, x[-1] * half_wide]
        means = np.array([[np.mean(tile) if tile else np.nan for tile in values] for values in self.values])
        tiles = np.insert(means, _columns(self.pools).index(GAP), np.nan, axis=1) if None in self.pools else means
        axis.pcolormesh(across, up, tiles, cmap=COLOUR_MAP, vmin=0, vmax=1)
        for (row, column), mean in np.ndenumerate(means):
            if np.isfinite(mean):
                colour = "white" if mean < 0.6 else "black"
                axis.text(x[column], y[row], f"{mean:.2f}", color=colour, fontsize=6.5, ha="center", va="center")
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
        """Draw N* by budget, with gaps where it is not identified; an open interval ends with the pools."""
        finite = [float(pool) for pool in self.pools if pool is not None]
        at = [math.nan if place is None or place.at is None else place.at for place in self.places]
        if not np.isfinite(at).any():
            return
        bars: list[tuple[float, float]] = []
        for place, steps in zip(self.places, y, strict=True):
            if place is not None and place.at is not None and (math.isfinite(place.low) or math.isfinite(place.high)):
                bars += [(max(place.low, finite[0]), steps), (min(place.high, finite[-1]), steps), (math.nan, math.nan)]
        for colour in (OUTLINE_COLOUR, LINE_COLOUR):
            style: Any = _stroke(colour) | {"gid": NSTAR, "zorder": 3}
            plain: Any = style | {"marker": "", "solid_capstyle": "butt"}
            if bars:
                axis.plot(*zip(*bars, strict=True), **plain)
            axis.plot(at, y, **style)


def _columns(pools: Sequence[Any]) -> list[Any]:
    """Return the columns of tiles, pools or their names, with a GAP before every-episode-new."""
    return [*pools[:-1], GAP, pools[-1]] if pools[-1] in (None, "new") else list(pools)


def _edges(places: Sequence[float]) -> list[float]:
    """Return the edges of tiles around n places on a logarithmic axis, n + 1 numbers."""
    logs = np.log(places)
    between = (logs[1:] + logs[:-1]) / 2
    first, last = (
        np.minimum(np.diff(logs)[[0, -1]] / 2, MAX_HALF_TILE) if len(logs) > 1 else (MAX_HALF_TILE, MAX_HALF_TILE)
    )
    return np.exp([logs[0] - first, *between, logs[-1] + last]).tolist()
