"""The scoreboard: a row for every claim of several runs, as a table, a figure, a page and a CSV file."""

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
"""Colour and marker by verdict; the markers alone tell verdicts apart."""
CHANCE = "Each interval is a 95% interval on its own; among many claims, a few are settled by chance."
MAX_EFFECT = 1.15  # larger effects are drawn at the end of the axis, with their value beside them


def scoreboard(claims: Sequence[Row], console: Console, out: Path | None) -> None:
    """Print a row for every claim, and write the page and the figure if a directory is given.

    Args:
        claims: rows of `claims.json` of any number of runs, each with the name of its run under `run`.
        console: where the table is printed.
        out: the directory for `scoreboard.html` and `figures/scoreboard.*`, in which every run has a folder with its
            report; None to write nothing.
    """
    if not claims:
        return
    claims = group_claims([with_control_summary(claim) for claim in claims])
    title = f"scoreboard: {count_verdicts(claims)}"
    console.print(title, style="bold", highlight=False)
    console.print(CHANCE, highlight=False)
    for study, study_claims in groupby(claims, key=lambda claim: claim["study"]):
        console.print(f"\n{study}", style="bold", highlight=False)
        for claim in study_claims:
            console.print(_line(claim), highlight=False, markup=False, soft_wrap=True)
    if out is None:
        return
    (out / "figures").mkdir(parents=True, exist_ok=True)
    with style():
        figure = draw_scoreboard(claims)
        save(figure, claims, out / "figures", "scoreboard")
        panels = interactive_panels(figure, claims)
    page = render_page(
        "scoreboard.html",
        claims=_numbered(claims),
        image=base64.b64encode((out / "figures" / "scoreboard.png").read_bytes()).decode(),
        panels=panels,
        plotly=get_plotlyjs(),
        title=title,
        chance=CHANCE,
    )
    write_atomic(out / "scoreboard.html", page)
    console.print(f"{out / 'scoreboard.html'} and figures/scoreboard.* contain it, with its rules", soft_wrap=True)


def count_verdicts(claims: Sequence[Row]) -> str:
    """Describe how many claims have each verdict; those that do not stand as judged are counted apart."""
    verdicts = [claim["verdict"] for claim in claims if not claim.get("withdrawn")]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in MARKS)
    withdrawn = len(claims) - len(verdicts)
    if not withdrawn:
        return counts
    return f"{counts}; {withdrawn} {'does' if withdrawn == 1 else 'do'} not stand as judged"


def group_claims(claims: Sequence[Row]) -> list[Row]:
    """Sort claims by study, then by the sentence claimed, each in order of first appearance."""
    studies = list(dict.fromkeys(claim["study"] for claim in claims))
    names = list(dict.fromkeys((claim["study"], claim["claim"]) for claim in claims))
    return sorted(
        claims, key=lambda claim: (studies.index(claim["study"]), names.index((claim["study"], claim["claim"])))
    )


def _rows(claims: Sequence[Row]) -> list[dict[str, Row]]:
    """Arrange claims as rows of the figure, by family: the same claim under the same setting shares a row."""
    rows: dict[tuple[str, str, str, int], dict[str, Row]] = {}
    for claim in claims:
        for repetition in count():  # a second run of the same claim has a row of its own
            row = rows.setdefault((claim["study"], claim["claim"], claim["setting"], repetition), {})
            if claim["family"] not in row:
                row[claim["family"]] = claim
                break
    return list(rows.values())


def _numbered(claims: Sequence[Row]) -> list[Row]:
    """Add the number of its row in the figure to every claim."""
    places = {id(claim): place for place, row in enumerate(_rows(claims), start=1) for claim in row.values()}
    return [claim | {"row": places[id(claim)]} for claim in claims]


def interactive_panels(figure: Figure, claims: Sequence[Row]) -> list[dict[str, Any]]:
    """Convert the figure to the panels of a page (`plotly_panels`): numbered rows with tooltips, by family."""
    rows, families = _rows(claims), list(dict.fromkeys(claim["family"] for claim in claims))
    panels = plotly_panels(figure)
    for panel, family in zip(panels, families, strict=True):
        # From a row's place in the figure to its place in the panel, which has only the family's rows.
        places = {place: at for at, place in enumerate(place for place, row in enumerate(rows) if family in row)}
        ticks = {"tickvals": list(places.values()), "ticktext": [str(place + 1) for place in places]}
        panel["layout"]["yaxis"] |= ticks | {"named": True, "range": [len(places) - 0.5, -0.5]}
        panel["layout"]["xaxis"]["title"] = "effect"
        panel["layout"]["height"] = 140 + 20 * len(places)
        for trace in panel["data"]:
            if not trace["arm"]:  # the line at 0, across all rows
                trace |= {"y": [-0.5, len(places) - 0.5], "hoverinfo": "skip"}
                continue
            in_figure = [round(place) for place in trace["y"]]
            trace["y"] = [places[place] for place in in_figure]
            trace["text"] = [_tooltip(rows[place][family]) for place in in_figure]
    return panels


def _tooltip(claim: Row) -> str:
    """Describe a claim and its effect in HTML."""
    interval = "" if claim["low"] is None else f" [{claim['low']:+.2f}, {claim['high']:+.2f}]"
    withdrawn = f"does not stand as judged: {claim['withdrawn']}" if claim.get("withdrawn") else ""
    lines = [
        *wrap(f"{claim['study']}: {claim['claim']} ({claim['setting']})", 44),
        f"{claim['verdict']}: {claim['effect']:+.2f}{interval}, n = {claim['n']}",
        *wrap(withdrawn, 44),
    ]
    return "<br>".join(map(escape, lines))


def _line(claim: Row) -> str:
    """Format a claim for the terminal: the verdict, and on the next line the claim."""
    effect = "-" if claim["effect"] is None else f"{claim['effect']:+.2f}"
    interval = "" if claim["low"] is None else f"[{claim['low']:+.2f}, {claim['high']:+.2f}]"
    verdict = f"{claim['verdict']:<13} {claim['family']:<11} {effect:>6} {interval:<17} n = {claim['n']:<4}"
    withdrawn = f"\n    does not stand as judged: {claim['withdrawn']}" if claim.get("withdrawn") else ""
    return escape_control_characters(
        f"{verdict} {describe_steps(claim['env_steps'])} steps\n    {claim['claim']} ({claim['setting']}){withdrawn}"
    )


def describe_steps(steps: int) -> str:
    """Format a number of environment steps in thousands (k) or millions (M)."""
    if steps < 1e6:
        return f"{steps / 1e3:,.0f} k"
    return f"{steps / 1e6:,.0f} M" if steps >= 1e7 else f"{steps / 1e6:.1f} M"


def draw_scoreboard(claims: Sequence[Row]) -> Figure:
    """Draw a row for every claim, in a panel for every family."""
    rows, families = _rows(claims), list(dict.fromkeys(claim["family"] for claim in claims))
    figure, axes = new_figure(1, len(families))
    figure.set_size_inches(6 + 2.4 * len(families), 1.6 + 0.36 * len(rows))
    for axis, family in zip(axes[0], families, strict=True):
        for place, row in enumerate(rows):
            if family in row:
                _draw(axis, place, row[family])
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_yticks(range(len(rows)), [""] * len(rows))
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_xlim(-MAX_EFFECT * 1.08, MAX_EFFECT * 1.08)
        axis.grid(color="#DDDDDD", linewidth=0.6)
        axis.set_title(family.replace("+", ",\n"), fontsize=9, parse_math=False)
    axes[0, 0].set_yticks(range(len(rows)), list(map(_label, rows)), fontsize=7.5, parse_math=False)
    figure.supxlabel("effect with the 95% interval of its rule", fontsize=9)
    handles = [
        axes[0, 0].plot([], [], marker=mark, color=colour, linestyle="-", label=verdict)[0]
        for verdict, (colour, mark) in MARKS.items()
    ]
    if any(claim.get("withdrawn") for claim in claims):
        hollow: dict[str, Any] = {"marker": "o", "color": BLACK, "markerfacecolor": "white", "linestyle": ":"}
        handles += axes[0, 0].plot([], [], label="hollow: does not stand as judged", **hollow)
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), frameon=False, fontsize=8)
    return figure


def _label(row: dict[str, Row]) -> str:
    """Name the claim of a row, its setting and its n (seeds or settings): once, or by family where they differ."""
    claim, sizes = next(iter(row.values())), [claim["n"] for claim in row.values()]
    n = str(sizes[0]) if len(set(sizes)) == 1 else ", ".join(map(str, sizes))
    return f"{claim['study']}: {claim['claim']}\n{claim['setting']}, n = {n}"


def _draw(axis: Axes, place: int, claim: Row) -> None:
    """Draw an effect with its interval."""
    colour, mark = MARKS[claim["verdict"]]
    effect, low, high = (claim[key] for key in ("effect", "low", "high"))
    if effect is None:
        axis.text(
            0, place, " no effect measured ", fontsize=7, color=GREY, ha="center", va="center", backgroundcolor="white"
        )
        return
    if low is not None:
        ends = [min(max(end, -MAX_EFFECT), MAX_EFFECT) for end in (low, high)]
        line = ":" if claim.get("withdrawn") else "-"
        axis.plot(ends, [place, place], color=colour, linewidth=1.6, linestyle=line, gid=claim["verdict"])
    at = min(max(effect, -MAX_EFFECT), MAX_EFFECT)
    face = "white" if claim.get("withdrawn") else colour
    axis.plot([at], [place], marker=mark, color=colour, markerfacecolor=face, markersize=6, gid=claim["verdict"])
    if at != effect:
        away = {"xytext": (-4, 3), "ha": "right"} if at > 0 else {"xytext": (4, 3), "ha": "left"}
        axis.annotate(f"{effect:+.1f}", (at, place), textcoords="offset points", fontsize=7, color=colour, **away)
