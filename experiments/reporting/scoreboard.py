"""The scoreboard: one row per claim of several runs, as a table, a figure, a page and a CSV."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from itertools import count, groupby
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from plotly.offline import get_plotlyjs
from rich.console import Console

from incentivize.experiments.errors import escape_control_characters
from incentivize.experiments.presentation.charts import BLACK, BLUE, GREY, ORANGE, new_figure, save, style
from incentivize.experiments.presentation.html import render_page
from incentivize.experiments.presentation.plotly_panels import plotly_panels
from incentivize.experiments.reporting.claim_context import with_control_summary
from incentivize.experiments.storage.io import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = dict[str, Any]
MARKS = {"supported": (BLUE, "^"), "refuted": (ORANGE, "v"), "inconclusive": (GREY, "o"), "void": (BLACK, "X")}
"""Colour and marker by verdict: told apart without colour too."""
CHANCE = "Every interval is a 95% one by itself: of many claims a few are settled by chance."
EDGE = 1.15  # of the axis: effects beyond are drawn at its end, with their value beside


def scoreboard(claims: Sequence[Row], console: Console, out: Path | None) -> None:
    """Print one row per claim, and where `out` is a directory, draws and writes them too.

    Args:
        claims: rows of `claims.json`, of any number of runs, with the `run` that each is from.
        console: where the table goes.
        out: where `scoreboard.html` and `figures/scoreboard.*` go, beside a folder for every run's report; nowhere if
            None.
    """
    if not claims:
        return
    claims = group_claims([with_control_summary(claim) for claim in claims])
    title = f"scoreboard: {count_verdicts(claims)}"
    console.print(title, style="bold", highlight=False)
    console.print(CHANCE, highlight=False)
    for study, mine in groupby(claims, key=lambda claim: claim["study"]):
        console.print(f"\n{study}", style="bold", highlight=False)
        for claim in mine:
            console.print(_line(claim), highlight=False, markup=False, soft_wrap=True)
    if out is None:
        return
    (out / "figures").mkdir(parents=True, exist_ok=True)
    with style():
        drawing = _figure(claims)
        save(drawing, claims, out / "figures", "scoreboard")
        numbered, shown = _numbered(claims), interactive_panels(drawing, claims)
    image = base64.b64encode((out / "figures" / "scoreboard.png").read_bytes()).decode()
    told_with = {"image": image, "panels": shown, "plotly": get_plotlyjs(), "title": title, "chance": CHANCE}
    write_atomic(out / "scoreboard.html", render_page("scoreboard.html", claims=numbered, **told_with))
    console.print(f"{out / 'scoreboard.html'} and figures/scoreboard.* hold it, with its rules", soft_wrap=True)


def count_verdicts(claims: Sequence[Row]) -> str:
    """How many claims have each verdict, in words; those that do not stand as judged are told apart."""
    standing = [claim for claim in claims if not claim.get("withdrawn")]
    found = {verdict: sum(claim["verdict"] == verdict for claim in standing) for verdict in MARKS}
    words = ", ".join(f"{many} {verdict}" for verdict, many in found.items())
    fallen = len(claims) - len(standing)
    return words + f"; {fallen} {'does' if fallen == 1 else 'do'} not stand as judged" * bool(fallen)


def group_claims(claims: Sequence[Row]) -> list[Row]:
    """The claims of a study side by side, and those of its families that say the same, otherwise as they come."""
    studies = list(dict.fromkeys(claim["study"] for claim in claims))
    said = list(dict.fromkeys((claim["study"], claim["claim"]) for claim in claims))
    return sorted(
        claims, key=lambda claim: (studies.index(claim["study"]), said.index((claim["study"], claim["claim"])))
    )


def _rows(claims: Sequence[Row]) -> list[dict[str, Row]]:
    """The figure's rows, by family: those that say the same of several families under one setting share one."""
    rows: dict[tuple[str, str, str, int], dict[str, Row]] = {}
    for claim in claims:
        for turn in count():  # a second run of the same has a row of its own
            row = rows.setdefault((claim["study"], claim["claim"], claim["setting"], turn), {})
            if claim["family"] not in row:
                row[claim["family"]] = claim
                break
    return list(rows.values())


def _numbered(claims: Sequence[Row]) -> list[Row]:
    """The claims with the number of their row in the figure."""
    places = {id(claim): place for place, row in enumerate(_rows(claims), start=1) for claim in row.values()}
    return [claim | {"row": places[id(claim)]} for claim in claims]


def interactive_panels(drawing: Figure, claims: Sequence[Row]) -> list[dict[str, Any]]:
    """The figure's panels for a page (`interactive.panels`): a family's own rows, by number, with effects in words."""
    rows, families = _rows(claims), list(dict.fromkeys(claim["family"] for claim in claims))
    found = plotly_panels(drawing)
    for panel, family in zip(found, families, strict=True):
        mine = {place: at for at, place in enumerate(place for place, row in enumerate(rows) if family in row)}
        ticks = {"tickvals": list(mine.values()), "ticktext": [str(place + 1) for place in mine]}
        panel["layout"]["yaxis"] |= ticks | {"named": True, "range": [len(mine) - 0.5, -0.5]}
        panel["layout"]["xaxis"]["title"] = "effect"
        panel["layout"]["height"] = 140 + 20 * len(mine)
        for trace in panel["data"]:
            if not trace["arm"]:  # the line at 0, across all rows
                trace |= {"y": [-0.5, len(mine) - 0.5], "hoverinfo": "skip"}
                continue
            places = [round(place) for place in trace["y"]]
            trace["y"] = [mine[place] for place in places]
            trace |= {"text": [_tooltip(rows[place][family]) for place in places]}
    return found


def _tooltip(claim: Row) -> str:
    """A claim for whoever points at its effect."""
    interval = "" if claim["low"] is None else f" [{claim['low']:+.2f}, {claim['high']:+.2f}]"
    fallen = f"does not stand as judged: {claim['withdrawn']}" if claim.get("withdrawn") else ""
    said = [
        *wrap(f"{claim['study']}: {claim['claim']} ({claim['setting']})", 44),
        f"{claim['verdict']}: {claim['effect']:+.2f}{interval}, n = {claim['n']}",
        *wrap(fallen, 44),
    ]
    return "<br>".join(map(escape, said))


def _line(claim: Row) -> str:
    """A claim as a terminal shows it: what came of it, and below what was claimed."""
    effect = "-" if claim["effect"] is None else f"{claim['effect']:+.2f}"
    interval = "" if claim["low"] is None else f"[{claim['low']:+.2f}, {claim['high']:+.2f}]"
    found = f"{claim['verdict']:<13} {claim['family']:<11} {effect:>6} {interval:<17} n = {claim['n']:<4}"
    fallen = f"\n    does not stand as judged: {claim['withdrawn']}" if claim.get("withdrawn") else ""
    return escape_control_characters(
        f"{found} {describe_cost(claim['env_steps'])} steps\n    {claim['claim']} ({claim['setting']}){fallen}"
    )


def describe_cost(steps: int) -> str:
    """Environment steps in a few signs."""
    if steps < 1e6:
        return f"{steps / 1e3:,.0f} k"
    return f"{steps / 1e6:,.0f} M" if steps >= 1e7 else f"{steps / 1e6:.1f} M"


def _figure(claims: Sequence[Row]) -> Figure:
    """A row per claim, a panel per family."""
    rows, families = _rows(claims), list(dict.fromkeys(claim["family"] for claim in claims))
    drawing, axes = new_figure(1, len(families))
    drawing.set_size_inches(6 + 2.4 * len(families), 1.6 + 0.36 * len(rows))
    for axis, family in zip(axes[0], families, strict=True):
        for place, row in enumerate(rows):
            if family in row:
                _draw(axis, place, row[family])
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_yticks(range(len(rows)), [""] * len(rows))
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_xlim(-EDGE * 1.08, EDGE * 1.08)
        axis.grid(color="#DDDDDD", linewidth=0.6)
        axis.set_title(family.replace("+", ",\n"), fontsize=9, parse_math=False)
    axes[0, 0].set_yticks(range(len(rows)), list(map(_label, rows)), fontsize=7.5, parse_math=False)
    drawing.supxlabel("effect, each with its rule's 95% interval", fontsize=9)
    handles = [
        axes[0, 0].plot([], [], marker=mark, color=colour, linestyle="-", label=verdict)[0]
        for verdict, (colour, mark) in MARKS.items()
    ]
    if any(claim.get("withdrawn") for claim in claims):
        hollow: dict[str, Any] = {"marker": "o", "color": BLACK, "markerfacecolor": "white", "linestyle": ":"}
        handles += axes[0, 0].plot([], [], label="hollow: does not stand as judged", **hollow)
    drawing.legend(handles=handles, loc="outside upper right", ncols=len(handles), frameon=False, fontsize=8)
    return drawing


def _label(row: dict[str, Row]) -> str:
    """What a row claims, of how many seeds (or settings): by family where they differ."""
    one, sizes = next(iter(row.values())), [claim["n"] for claim in row.values()]
    seeds = str(sizes[0]) if len(set(sizes)) == 1 else ", ".join(map(str, sizes))
    return f"{one['study']}: {one['claim']}\n{one['setting']}, n = {seeds}"


def _draw(axis: Axes, place: int, claim: Row) -> None:
    """An effect with its interval."""
    colour, mark = MARKS[claim["verdict"]]
    effect, low, high = (claim[key] for key in ("effect", "low", "high"))
    if effect is None:
        axis.text(
            0, place, " nothing to show ", fontsize=7, color=GREY, ha="center", va="center", backgroundcolor="white"
        )
        return
    if low is not None:
        ends = [min(max(end, -EDGE), EDGE) for end in (low, high)]
        line = ":" if claim.get("withdrawn") else "-"
        axis.plot(ends, [place, place], color=colour, linewidth=1.6, linestyle=line, gid=claim["verdict"])
    at = min(max(effect, -EDGE), EDGE)
    face = "white" if claim.get("withdrawn") else colour
    axis.plot([at], [place], marker=mark, color=colour, markerfacecolor=face, markersize=6, gid=claim["verdict"])
    if at != effect:
        away = {"xytext": (-4, 3), "ha": "right"} if at > 0 else {"xytext": (4, 3), "ha": "left"}
        axis.annotate(f"{effect:+.1f}", (at, place), textcoords="offset points", fontsize=7, color=colour, **away)
