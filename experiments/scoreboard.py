"""The scoreboard: one row per claim of several runs, as a table, a figure, a page and a CSV."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from experiments.failures import printable
from experiments.figures import BLUE, GREY, ORANGE, canvas, save
from experiments.files import write
from experiments.pages import page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = dict[str, Any]
MARKS = {"supported": (BLUE, "^"), "refuted": (ORANGE, "v"), "inconclusive": (GREY, "o")}
"""Colour and marker by verdict: told apart without colour too."""
CHANCE = "Every interval is a 95% one by itself: of many claims a few are settled by chance."
EDGE = 1.15  # of the axis: effects beyond are drawn at its end, with their value beside


def scoreboard(claims: Sequence[Row], console: Console, out: Path | None) -> None:
    """Prints one row per claim, and where `out` is a directory, draws and writes them too.

    Args:
        claims: rows of `claims.json`, of any number of runs.
        console: where the table goes.
        out: where `scoreboard.html` and `figures/scoreboard.*` go; nowhere if None.
    """
    if not claims:
        return
    count = {verdict: sum(claim["verdict"] == verdict for claim in claims) for verdict in MARKS}
    title = "scoreboard: " + ", ".join(f"{many} {verdict}" for verdict, many in count.items())
    console.print(title, style="bold", highlight=False)
    console.print(CHANCE, highlight=False)
    for study, mine in groupby(claims, key=lambda claim: claim["study"]):
        console.print(f"\n{study}", style="bold", highlight=False)
        for claim in mine:
            console.print(_line(claim), highlight=False, markup=False, soft_wrap=True)
    if out is None:
        return
    (out / "figures").mkdir(parents=True, exist_ok=True)
    drawing, axes = canvas(1, 1, width=10.0)
    drawing.set_size_inches(10, 1.2 + 0.36 * len(claims))
    _draw(axes[0, 0], claims)
    save(drawing, claims, out / "figures", "scoreboard")
    image = base64.b64encode((out / "figures" / "scoreboard.png").read_bytes()).decode()
    write(out / "scoreboard.html", page("scoreboard.html", image=image, claims=claims, title=title, chance=CHANCE))
    console.print(f"{out / 'scoreboard.html'} and figures/scoreboard.* hold it, with its rules", soft_wrap=True)


def _line(claim: Row) -> str:
    """A claim as a terminal shows it: what came of it, and below what was claimed."""
    effect = "-" if claim["effect"] is None else f"{claim['effect']:+.2f}"
    interval = "" if claim["low"] is None else f"[{claim['low']:+.2f}, {claim['high']:+.2f}]"
    found = f"{claim['verdict']:<13} {claim['family']:<11} {effect:>6} {interval:<17} n = {claim['n']:<4}"
    return printable(f"{found} {cost(claim['env_steps'])} steps\n    {claim['claim']} ({claim['setting']})")


def cost(steps: int) -> str:
    """Environment steps in a few signs."""
    if steps < 1e6:
        return f"{steps / 1e3:,.0f} k"
    return f"{steps / 1e6:,.0f} M" if steps >= 1e7 else f"{steps / 1e6:.1f} M"


def _draw(axis: Axes, claims: Sequence[Row]) -> None:
    """Effects with their intervals, one below the other."""
    for place, claim in enumerate(claims):
        colour, mark = MARKS[claim["verdict"]]
        effect, low, high = (claim[key] for key in ("effect", "low", "high"))
        if effect is None:
            axis.text(-EDGE, place, "nothing to show: " + claim["reason"][:60], fontsize=7, color=GREY, va="center")
            continue
        if low is not None:
            ends = [min(max(end, -EDGE), EDGE) for end in (low, high)]
            axis.plot(ends, [place, place], color=colour, linewidth=1.6)
        at = min(max(effect, -EDGE), EDGE)
        axis.plot([at], [place], marker=mark, color=colour, markersize=6)
        if at != effect:
            axis.annotate(f"{effect:+.1f}", (at, place), (4, 3), textcoords="offset points", fontsize=7, color=colour)
    axis.axvline(0, color="black", linewidth=0.8)
    words = [
        f"{claim['study']}: {claim['claim']}\n{claim['family']}, {claim['setting']}, n = {claim['n']}"
        for claim in claims
    ]
    axis.set_yticks(range(len(claims)), words, fontsize=7.5)
    axis.set_ylim(len(claims) - 0.5, -0.5)
    axis.set_xlim(-EDGE * 1.08, EDGE * 1.08)
    axis.set_xlabel("effect, each with its rule's 95% interval")
    axis.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    handles = [
        axis.plot([], [], marker=mark, color=colour, linestyle="-", label=verdict)[0]
        for verdict, (colour, mark) in MARKS.items()
    ]
    axis.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=8)
