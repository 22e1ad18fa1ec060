"""Reports: figures, verdicts and one HTML file from a run directory, and the tables a terminal shows."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from plotly.offline import get_plotlyjs
from rich.console import Console

from incentivize.experiments import studies
from incentivize.experiments.analysis.claims import Claim
from incentivize.experiments.analysis.guards import guard_claims
from incentivize.experiments.analysis.table import ResultsTable
from incentivize.experiments.cells import Cell, describe_variant
from incentivize.experiments.errors import InputError, check_name, escape_control_characters
from incentivize.experiments.presentation import charts
from incentivize.experiments.presentation.html import render_page
from incentivize.experiments.presentation.plotly_panels import plotly_panels
from incentivize.experiments.presentation.tables import rich_table
from incentivize.experiments.reporting import claim_context, heatmap
from incentivize.experiments.settings.loading import dump
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.cell_store import CellStore, max_count_rows
from incentivize.experiments.storage.io import write_atomic
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.storage.schema import Row
from incentivize.experiments.studies import cells_of_run
from incentivize.experiments.viewing.replays import scenes, to_json

WATCHED = 3  # held-out tasks that are replayed


def report(store: RunDirectory, console: Console, out: Path | None = None) -> list[dict[str, Any]]:
    """Judge the claims and prints them with the tables; then draws the figure and writes `report.html`.

    Args:
        store: a run directory.
        console: where the tables go.
        out: where the files go; the run directory itself where None.

    Returns:
        The rows of `claims.json`.

    Raises:
        SettingsError: where the directory holds no results.
    """
    settings = store.settings()
    check_name("study", settings.study, studies.names())
    study = studies.load(settings.study)
    try:
        store.check_digests()
    except InputError as error:
        raise InputError(f"{error}; the same `incentivize run` mends it") from None
    cells = cells_of_run(store, settings)
    table, missing = _table(store, cells)
    given_up = {str(key): str(why) for key, why in dict(table.meta.get("given_up") or {}).items()}
    if missing:
        console.print(f"{missing} training runs are missing: the report shows what there is")
    judged = [
        _judged(_explain_given_up(claim, cells, given_up), table, settings, cells)
        for claim in guard_claims(study.verdicts(table, settings), table, settings)
    ]
    tables = study.tables(table, settings)
    target = RunDirectory(out or store.path)
    target.path.mkdir(parents=True, exist_ok=True)
    write_atomic(target.path / "claims.json", json.dumps(judged, indent=1) + "\n")
    write_atomic(target.path / "tables.json", json.dumps(tables, indent=1) + "\n")
    _print_report(settings, tables, judged, console)  # and all of this whatever becomes of the drawing
    with charts.style():
        figure, drawn = study.figure(table, settings)
        charts.escape_mathtext(figure, settings.families)
        charts.save(figure, drawn, target.figures, settings.study)
        shown = {"tables": tables, "drawn": drawn, "question": study.QUESTION, "panels": plotly_panels(figure)}
        shown["heat"] = _heat(target, table, settings)
    shown["claims"] = list(map(claim_context.with_control_summary, judged))
    shown["spent"] = claim_context.cost_by_arm(cells, table.meta.get("ledger") or {})
    shown["scenes"], shown["left_out"] = _scenes(store, settings, cells)
    text = _page(target, settings, table, missing=missing, given_up=list(given_up.values()), **shown)
    write_atomic(target.path / "report.html", text)
    console.print(
        f"{target.path / 'report.html'} and figures/ hold the figure, the table drawn and the ledger", soft_wrap=True
    )
    return judged


def _print_report(
    settings: Settings, tables: dict[str, Any], judged: Sequence[dict[str, Any]], console: Console
) -> None:
    """Print tables and verdicts."""
    for title, lines in tables.items():
        console.print(rich_table(f"{settings.study}: {title}", lines))
    for claim in judged:
        console.print(_claim_line(claim), highlight=False, markup=False, soft_wrap=True)


def _table(store: RunDirectory, cells: Sequence[Cell]) -> tuple[ResultsTable, int]:
    """What a run has found so far, and the number of its cells that are missing.

    Raises:
        SettingsError: where all are, or what belongs to them.
    """
    rows = store.rows()
    table = ResultsTable(rows, _counts(store, rows, cells), store.meta())
    wanted = {cell.id for cell in cells}
    missing = wanted - {row["cell"] for row in table.rows}
    if missing == wanted:
        raise InputError(f"{store.path}: has no results yet; `incentivize run` makes them")
    for key in ("blind", "uniform", "tasks"):
        if not isinstance(table.meta.get(key), dict):
            raise InputError(f"{store.path / 'meta.json'}: lacks the table {key!r}; the run has to be made again")
    return table, len(missing)


def _scenes(store: RunDirectory, settings: Settings, cells: Sequence[Cell]) -> tuple[list[dict[str, Any]], list[str]]:
    """Replay of every family whose agents worth watching are there whole; and of all others, why there is none."""
    found, left_out = [], []
    for family in settings.families:
        try:
            mine = [to_json(scene) for scene in scenes(store, cells, family, WATCHED)]
        except InputError as error:  # of parameters that are missing, as those of unfinished cells are, or damaged
            left_out.append(f"{family} has no replays: {str(error).replace(f'{store.path}/', '')}")
            continue
        found += mine
        if not mine:
            left_out.append(f"{family} has no replays: no generalist of this study plays it alone and in no control")
    return found, left_out


def _heat(target: RunDirectory, table: ResultsTable, settings: Settings) -> dict[str, Any] | None:
    """The heat map as a page shows it, with its files beside the figure's; None where there is none."""
    if (found := heatmap.heat_map(table, settings)) is None:
        return None
    figure, drawn = found
    charts.escape_mathtext(figure, settings.families)
    charts.save(figure, drawn, target.figures, "heatmap")
    return {"panels": heatmap.interactive_panels(figure, drawn), "image": _image(target, "heatmap"), "drawn": drawn}


def _image(target: RunDirectory, name: str) -> str:
    return base64.b64encode((target.figures / f"{name}.png").read_bytes()).decode()


def _page(target: RunDirectory, settings: Settings, table: ResultsTable, **shown: Any) -> str:
    """The text of `report.html`, with the figure that lies in the directory."""
    meta = table.meta
    return render_page(
        "report.html",
        study=settings.study,
        plotly=get_plotlyjs(),
        image=_image(target, settings.study),
        ledger=list(meta.get("ledger", {}).values()),
        audit=[{"family": name, **found} for name, found in meta.get("audit", {}).items()],
        control="" if settings.control == "none" else settings.control,
        config=dump(settings),
        environment={key: meta.get(key) for key in ("versions", "devices", "cores", "commit")},
        **shown,
    )


def _counts(store: RunDirectory, rows: Sequence[Row], cells: Sequence[Cell]) -> np.ndarray:
    """Count per task, of TASK_FIELDS: of those cells too that were finished after `tasks.npz` was last written."""
    each = {cell.id: cell for cell in cells}
    counts = store.tasks(sum(map(max_count_rows, each.values())))
    late = {row["cell"] for row in rows}.difference(np.unique(counts["cell"]).tolist())
    archive = CellStore(store.path, None, {})
    found = (archive.load(cell) for cell in each.values() if cell.id in late)
    return np.concatenate([counts, *(one.counts[list(counts.dtype.names or ())] for one in found if one is not None)])


def _judged(claim: Claim, table: ResultsTable, settings: Settings, cells: Sequence[Cell]) -> dict[str, Any]:
    """A claim as `claims.json` has it, with what it holds for, what it took and what its controls say."""
    more = {"env_steps": _cost(claim, cells), "setting": _setting(claim, settings)}
    return claim.row() | more | {"controls": claim_context.control_results(table, settings, claim)}


def _setting(claim: Claim, settings: Settings) -> str:
    """What a claim holds for: the preset; and a control, another reward, a life, knobs of its family if there are."""
    control = "" if settings.control == "none" else f"control {settings.control}"
    training = settings.training.get(claim.family)
    reward = f"reward {training.reward}" if training and training.reward != "sparse" else ""
    changed = describe_variant(settings.knobs.get(claim.family, {}), settings.life)
    return ", ".join(filter(None, (settings.preset, control, reward, changed)))


def _cost(claim: Claim, cells: Sequence[Cell]) -> int:
    """The environment steps of the training runs behind a claim: those of its family, or all where it is about all."""
    each = {cell.id: cell for cell in cells}.values()
    mine = [cell for cell in each if claim.family in cell.members] or each
    return sum(cell.evaluation_points[-1][0] for cell in mine)


def _explain_given_up(claim: Claim, cells: Sequence[Cell], given_up: Mapping[str, str]) -> Claim:
    """A claim that says which training runs of its family were given up, where some are missing: nothing is imputed."""
    whose = {cell.id: cell.members for cell in cells}
    families = {member for members in whose.values() for member in members}
    mine = {claim.family} & families or families  # or of all, where it is about all
    why = [why for key, why in given_up.items() if mine.intersection(whose.get(key, ()))]
    if claim.effect is not None or not why:
        return claim
    more = f"; and {len(why) - 2} more" if len(why) > 2 else ""
    return replace(claim, reason=f"{claim.reason}; given up: {'; '.join(why[:2])}{more}")


def _claim_line(claim: dict[str, Any]) -> str:
    """A verdict in two lines, for the terminal."""
    interval = "" if claim["low"] is None else f" [{claim['low']:+.2f}, {claim['high']:+.2f}]"
    effect = "" if claim["effect"] is None else f", effect {claim['effect']:+.2f}{interval}, n = {claim['n']}"
    return escape_control_characters(
        f"{claim['verdict']}: {claim['family']}: {claim['claim']}\n    {claim['reason']}{effect}"
    )
