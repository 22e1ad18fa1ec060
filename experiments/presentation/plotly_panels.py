"""Figures to explore: what matplotlib has drawn, panel by panel, as Plotly draws it in a page.

A study draws once, with matplotlib; this reads its artists. Lines, bands, dots, error bars, reference lines and the
tiles of a heat map are known, which is all that is drawn. What has no label of its own belongs to the label in its
`gid`, or else to the last one of its colour: a page switches all of it on and off together.
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
    """The visible panels of a figure: `title`, `data` (traces), `layout`, and `arms` (label, colour, dash), as JSON.

    Whoever knows more may add `text` to a trace, which then is what hovering tells, `named` to an axis whose ticks are
    to be kept, and `height` (pixels) to a layout.
    """
    figure.draw_without_rendering()  # places of ticks and ends of axes are settled only then
    shown = (axis for axis in figure.axes if axis.get_visible() and axis.axison)
    return [_panel(axis) for axis in shown if axis.get_label() != "<colorbar>"]


def _panel(axis: Axes) -> dict[str, Any]:
    layout = {"xaxis": _axis(axis.xaxis, axis.get_xlim()), "yaxis": _axis(axis.yaxis, axis.get_ylim())}
    known: dict[str, str] = {}  # the last label of a colour
    groups = {part: str(whole.get_label()) for whole in axis.containers for part in whole.get_children()}
    traces = []
    for artist in axis.get_children():
        for trace in _traces(axis, artist):
            own = groups.get(artist, str(artist.get_label()))
            label = own if own and not own.startswith("_") else artist.get_gid() or known.get(trace["ink"], "")
            known[trace["ink"]] = label
            traces.append(trace | {"arm": label})
    arms: dict[str, list[str]] = {}
    for trace in traces:
        if trace["arm"] and "lines" in trace.get("mode", "") and "fill" not in trace:
            arms.setdefault(trace["arm"], [trace["arm"], trace["ink"], trace["line"].get("dash", "solid")])
    return {"title": _plain(axis.get_title()), "data": traces, "layout": layout, "arms": list(arms.values())}


def _axis(axis: Axis, limits: tuple[float, float]) -> dict[str, Any]:
    """An axis; `range` is as Plotly has it, in powers of ten where it is logarithmic; ticks that are seen."""
    low, high = map(float, sorted(limits))
    ticks = ((float(tick.get_loc()), tick.label1) for tick in axis.get_major_ticks())
    shown = [(at, _plain(label.get_text())) for at, label in ticks if low <= at <= high and label.get_visible()]
    scale = "log" if axis.get_scale() == "log" else "linear"
    ends = [math.log10(end) if scale == "log" else float(end) for end in limits]
    # Plotly reads tags in both, and characters that are spelt out, as HTML does.
    ticked = {"tickvals": [at for at, _ in shown], "ticktext": [_escaped(text) for _, text in shown]}
    return {"title": _escaped(_plain(axis.get_label_text())), "type": scale, "range": ends, **ticked}


def _traces(axis: Axes, artist: Artist) -> Iterator[Trace]:
    """What an artist has drawn, if it is one that is known."""
    from matplotlib.collections import LineCollection, PathCollection, PolyCollection, QuadMesh
    from matplotlib.lines import Line2D

    if isinstance(artist, Line2D):
        yield from _line(axis, artist)
    elif isinstance(artist, PathCollection):
        x, y = np.asarray(artist.get_offsets(), float).T
        colour = _hex(artist.get_facecolor()[0])
        marker = {"color": colour, "size": 5, "opacity": 0.6}
        label = str(artist.get_label())
        seed = {"seed": label[1:]} if label.startswith("_seed ") else {}  # as `figures.dots` names them
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
    """Tiles between edges; one without a value is empty."""
    corners, values = np.asarray(mesh.get_coordinates(), float), np.ma.filled(np.ma.asarray(mesh.get_array()), np.nan)
    low, high = mesh.get_clim()
    colours: Trace = {"colorscale": mesh.get_cmap().name.capitalize(), "zmin": low, "zmax": high}  # alike in Plotly
    colours["colorbar"] = {"thickness": 10, "outlinewidth": 0, "x": 1.01, "xpad": 4, "tickformat": ".1f"}
    z = [[round(value, 4) if math.isfinite(value) else None for value in row] for row in values.tolist()]
    return _trace(corners[0, :, 0], corners[:, 0, 1], "", type="heatmap", z=z, **colours)


def _line(axis: Axes, line: Line2D) -> Iterator[Trace]:
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
    finite = [[value if math.isfinite(value) else None for value in values.tolist()] for values in (x, y)]
    return {"x": finite[0], "y": finite[1], "ink": colour, **drawn}


def _hex(colour: Any) -> str:
    from matplotlib.colors import to_hex

    return to_hex(colour)


def _escaped(text: str) -> str:
    return escape(text, quote=False).replace("\n", "<br>")


def _plain(text: str) -> str:
    """Text as matplotlib shows it, mathematics in plain characters, as far as titles and ticks of ours have any."""
    parts = re.split(r"(?<!\\)\$", text)
    if len(parts) % 2:  # or else the last dollar sign is one
        parts[1::2] = map(_spelt, parts[1::2])
        text = "".join(parts)
    return text.replace("\\$", "$")


def _spelt(formula: str) -> str:
    """A formula of matplotlib's in plain characters."""
    formula = formula.replace("\\times", "\u00d7").replace("\\mathdefault", "")
    raised = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
    formula = re.sub(r"\^\{?(-?\d+)\}?", lambda match: match[1].translate(raised), formula)
    return re.sub(r"[{}]", "", formula)
