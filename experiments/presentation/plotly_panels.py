"""Figures to explore: the panels of a matplotlib figure as Plotly draws them in a page.

A study draws once, with matplotlib; this module reads the figure's artists. It knows lines, bands, dots, error bars,
reference lines and the tiles of a heat map, which is all that studies draw. An artist without a label of its own
belongs to the label in its `gid`, or else to the last label of its colour: a page switches all of these together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
MARKERS = {
    "o": "circle",
    "s": "square",
    "D": "diamond",
    "^": "triangle-up",
    "v": "triangle-down",
    "x": "x",
    "P": "cross",
}
Trace = dict[str, Any]


def plotly_panels(figure: Figure) -> list[dict[str, Any]]:
    """Return the visible panels of a figure as JSON: `title`, `data` (traces), `layout`, `arms` (label, colour, dash).

    A caller may add `text` to a trace, which hovering then shows, `named` to an axis whose ticks are to be kept, and
    `height` (pixels) to a layout.
    """
    figure.draw_without_rendering()  # places of ticks and ends of axes are settled only then
    visible = (axis for axis in figure.axes if axis.get_visible() and axis.axison)
    return [_panel(axis) for axis in visible if axis.get_label() != "<colorbar>"]


def _panel(axis: Axes) -> dict[str, Any]:
    layout = {"xaxis": _axis(axis.xaxis, axis.get_xlim()), "yaxis": _axis(axis.yaxis, axis.get_ylim())}
    last_label: dict[str, str] = {}  # by colour
    groups = {part: str(whole.get_label()) for whole in axis.containers for part in whole.get_children()}
    traces = []
    for artist in axis.get_children():
        for trace in _traces(axis, artist):
            label = groups.get(artist, str(artist.get_label()))
            if not label or label.startswith("_"):
                label = artist.get_gid() or last_label.get(trace["ink"], "")
            last_label[trace["ink"]] = label
            traces.append(trace | {"arm": label})
    arms: dict[str, list[str]] = {}
    for trace in traces:
        if trace["arm"] and "lines" in trace.get("mode", "") and "fill" not in trace:
            arms.setdefault(trace["arm"], [trace["arm"], trace["ink"], trace["line"].get("dash", "solid")])
    return {"title": _plain(axis.get_title()), "data": traces, "layout": layout, "arms": list(arms.values())}


def _axis(axis: Axis, limits: tuple[float, float]) -> dict[str, Any]:
    """Return an axis with its visible ticks; a logarithmic `range` is in powers of ten, as Plotly has it."""
    low, high = map(float, sorted(limits))
    ticks = [(float(tick.get_loc()), tick.label1) for tick in axis.get_major_ticks()]
    visible = [(at, _plain(label.get_text())) for at, label in ticks if low <= at <= high and label.get_visible()]
    scale = "log" if axis.get_scale() == "log" else "linear"
    ends = [math.log10(end) if scale == "log" else float(end) for end in limits]
    # Plotly reads tags in titles and ticks, and characters that are spelt out, as HTML does.
    ticked = {"tickvals": [at for at, _ in visible], "ticktext": [_escaped(text) for _, text in visible]}
    return {"title": _escaped(_plain(axis.get_label_text())), "type": scale, "range": ends, **ticked}


def _traces(axis: Axes, artist: Artist) -> Iterator[Trace]:
    """Yield the traces of an artist; none where it is of no kind that studies draw."""
    from matplotlib.collections import LineCollection, PathCollection, PolyCollection, QuadMesh
    from matplotlib.lines import Line2D

    if isinstance(artist, Line2D):
        yield from _line(axis, artist)
    elif isinstance(artist, PathCollection):
        x, y = np.asarray(artist.get_offsets(), float).T
        colour = _hex(artist.get_facecolor()[0])
        marker = {"color": colour, "size": 5, "opacity": 0.6}
        label = str(artist.get_label())
        seed = {"seed": label[1:]} if label.startswith("_seed ") else {}  # as `charts.draw_dots` names them
        yield _trace(x, y, colour, mode="markers", marker=marker, **seed)
    elif isinstance(artist, PolyCollection):
        colour = _hex(artist.get_facecolor()[0])
        for path in artist.get_paths():
            x, y = np.asarray(path.vertices, float).T
            light = {"fill": "toself", "fillcolor": colour + "22", "line": {"width": 0}}
            yield _trace(x, y, colour, mode="lines", hoverinfo="skip", **light)
    elif isinstance(artist, LineCollection):  # error bars
        colour = _hex(artist.get_colors()[0])
        for segment in artist.get_segments():
            x, y = np.asarray(segment, float).T
            yield _trace(x, y, colour, mode="lines", hoverinfo="skip", line={"color": colour, "width": 1})
    elif isinstance(artist, QuadMesh):
        yield _tiles(artist)


def _tiles(mesh: QuadMesh) -> Trace:
    """Return the tiles of a heat map as a trace; a tile without a value is empty."""
    corners, values = np.asarray(mesh.get_coordinates(), float), np.ma.filled(np.ma.asarray(mesh.get_array()), np.nan)
    low, high = mesh.get_clim()
    colours: Trace = {"colorscale": mesh.get_cmap().name.capitalize(), "zmin": low, "zmax": high}  # alike in Plotly
    colours["colorbar"] = {"thickness": 10, "outlinewidth": 0, "x": 1.01, "xpad": 4, "tickformat": ".1f"}
    z = [[round(value, 4) if math.isfinite(value) else None for value in row] for row in values.tolist()]
    return _trace(corners[0, :, 0], corners[:, 0, 1], "", type="heatmap", z=z, **colours)


def _line(axis: Axes, line: Line2D) -> Iterator[Trace]:
    """Yield the trace of a curve or a reference line."""
    x, y = (np.asarray(values, float) for values in (line.get_xdata(), line.get_ydata()))
    if line.get_transform() != axis.transData:  # a reference line, from one end of the panel to the other
        vertical = len(set(x)) == 1
        x, y = (x, np.array(axis.get_ylim())) if vertical else (np.array(axis.get_xlim()), y)
    colour, marker = _hex(line.get_color()), MARKERS.get(str(line.get_marker()))
    dash = DASHES.get(str(line.get_linestyle()), "solid")  # patterns of one's own count as dashes
    drawn = {"line": {"color": colour, "width": max(float(line.get_linewidth()), 1.0), "dash": dash}}
    if marker:
        drawn["marker"] = {"color": colour, "symbol": marker, "size": float(line.get_markersize()) + 1}
    yield _trace(x, y, colour, mode="lines+markers" if marker else "lines", **drawn)


def _trace(x: np.ndarray, y: np.ndarray, colour: str, **drawn: Any) -> Trace:
    """Return a trace through points, both float64 [n], with gaps where they are not finite."""
    finite = [[value if math.isfinite(value) else None for value in values.tolist()] for values in (x, y)]
    return {"x": finite[0], "y": finite[1], "ink": colour, **drawn}


def _hex(colour: Any) -> str:
    from matplotlib.colors import to_hex

    return to_hex(colour)


def _escaped(text: str) -> str:
    return escape(text, quote=False).replace("\n", "<br>")


def _plain(text: str) -> str:
    """Return a text as matplotlib shows it, with the mathematics of our titles and ticks in plain characters."""
    parts = re.split(r"(?<!\\)\$", text)
    if len(parts) % 2:  # dollar signs come in pairs: a single one is no mathematics
        parts[1::2] = map(_spelt, parts[1::2])
        text = "".join(parts)
    return text.replace("\\$", "$")


def _spelt(formula: str) -> str:
    """Spell a formula of matplotlib's in plain characters."""
    formula = formula.replace("\\times", "\u00d7").replace("\\mathdefault", "")
    raised = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
    formula = re.sub(r"\^\{?(-?\d+)\}?", lambda match: match[1].translate(raised), formula)
    return re.sub(r"[{}]", "", formula)
