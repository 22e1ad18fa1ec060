"""The report of a run directory: verdicts, tables, figures and one HTML file."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from plotly.offline import get_plotlyjs
from rich.console import Console

from incentivize.experiments import studies
from incentivize.experiments.analysis.claim_guards import guard_claims
from incentivize.experiments.analysis.claims import Claim
from incentivize.experiments.analysis.results_table import ResultsTable
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
from incentivize.experiments.studies import cells_of_run
from incentivize.experiments.viewing.replays import play_scenes, to_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPLAYED_TASKS = 3  # held-out tasks of every family


class RunResults(NamedTuple):
    """All that a report reads from a run directory, except parameters.

    Attributes:
        settings: the settings of the run.
        cells: the cells of its study; one that has several roles is listed once for each.
        table: rows, counts per task, and `meta.json`.
        missing: how many cells have no rows.
        given_up: the reason why a cell was given up, by the cell's id.
    """

    settings: Settings
    cells: list[Cell]
    table: ResultsTable
    missing: int
    given_up: dict[str, str]


def report(directory: RunDirectory, console: Console, out: Path | None = None) -> list[dict[str, Any]]:
    """Judge the claims and print them with the tables; then draw the figures and write `report.html`.

    Args:
        directory: a run directory.
        console: where the tables are printed.
        out: the directory for all files; the run directory itself if None.

    Returns:
        The rows of `claims.json`.

    Raises:
        InputError: where the run directory holds no results, or not what the run wrote.
    """
    results = load_results(directory)
    settings, table = results.settings, results.table
    study = studies.load(settings.study)
    if results.missing:
        console.print(f"{results.missing} cells are missing; the report covers the rest")
    claims = [_judge(claim, results) for claim in guard_claims(study.verdicts(table, settings), table, settings)]
    tables = study.tables(table, settings)
    target = RunDirectory(out or directory.path)
    target.path.mkdir(parents=True, exist_ok=True)
    write_atomic(target.path / "claims.json", json.dumps(claims, indent=1) + "\n")
    write_atomic(target.path / "tables.json", json.dumps(tables, indent=1) + "\n")
    _print_report(settings, tables, claims, console)  # before the drawing, which may fail
    with charts.style():
        figure, drawn = study.figure(table, settings)
        image = _save_figure(target, figure, drawn, settings.study, settings)
        panels, heat = plotly_panels(figure), _heat_map(target, table, settings)
    replayed, left_out = replay_families(directory, settings, results.cells)
    text = _page(
        results,
        question=study.QUESTION,
        tables=tables,
        claims=list(map(claim_context.with_control_summary, claims)),
        drawn=drawn,
        image=image,
        panels=panels,
        heat=heat,
        scenes=replayed,
        left_out=left_out,
    )
    write_atomic(target.path / "report.html", text)
    contents = "the figure, its numbers and the cost of every cell"
    console.print(f"{target.path / 'report.html'} and figures/ contain {contents}", soft_wrap=True)
    return claims


def _print_report(
    settings: Settings, tables: dict[str, Any], claims: Sequence[dict[str, Any]], console: Console
) -> None:
    """Print tables and verdicts."""
    for title, lines in tables.items():
        console.print(rich_table(f"{settings.study}: {title}", lines))
    for claim in claims:
        console.print(_claim_line(claim), highlight=False, markup=False, soft_wrap=True)


def load_results(directory: RunDirectory) -> RunResults:
    """Read a run directory, once for the whole report.

    Raises:
        InputError: where no cell has results, or files are damaged or incomplete.
    """
    settings = directory.settings()
    check_name("study", settings.study, studies.names())
    directory.check_digests()
    cells = cells_of_run(directory, settings)
    rows = directory.rows()
    ids, finished = {cell.id for cell in cells}, {row["cell"] for row in rows}
    table = ResultsTable(rows, _task_counts(directory, finished, cells), directory.meta())
    missing = ids - finished
    if missing == ids:
        raise InputError(f"{directory.path}: has no results yet. Run the study first.")
    for key in ("blind", "uniform", "tasks"):
        if not isinstance(table.meta.get(key), dict):
            raise InputError(f"{directory.path / 'meta.json'}: lacks the table {key!r}. Run the study again.")
    given_up = {str(key): str(why) for key, why in dict(table.meta.get("given_up") or {}).items()}
    return RunResults(settings, cells, table, len(missing), given_up)


def _task_counts(directory: RunDirectory, finished: set[str], cells: Sequence[Cell]) -> np.ndarray:
    """Read the counts per task (TASK_FIELDS) of finished cells, also of those that `tasks.npz` does not hold yet."""
    by_id = {cell.id: cell for cell in cells}
    counts = directory.tasks(sum(map(max_count_rows, by_id.values())))
    late = finished.difference(np.unique(counts["cell"]).tolist())
    cell_store = CellStore(directory.path, None, {})
    stored = (cell_store.load(cell) for key, cell in by_id.items() if key in late)
    return np.concatenate([counts, *(cell.counts[list(counts.dtype.names or ())] for cell in stored if cell)])


def replay_families(
    directory: RunDirectory, settings: Settings, cells: Sequence[Cell]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Replay every family that has agents to watch, as JSON, and say for every other family why it has no replays."""
    replayed, left_out = [], []
    for family in settings.families:
        try:
            family_scenes = [to_json(scene) for scene in play_scenes(directory, cells, family, REPLAYED_TASKS)]
        except InputError as error:  # parameters are damaged, or missing because the cell is not finished
            left_out.append(f"{family} has no replays: {str(error).replace(f'{directory.path}/', '')}")
            continue
        replayed += family_scenes
        if not family_scenes:
            left_out.append(f"{family} has no replays: outside controls, no generalist plays this family alone")
    return replayed, left_out


def _heat_map(target: RunDirectory, table: ResultsTable, settings: Settings) -> dict[str, Any] | None:
    """Draw and save the heat map, and return it for the page; None where there is none."""
    if (heat := heatmap.heat_map(table, settings)) is None:
        return None
    figure, drawn = heat
    image = _save_figure(target, figure, drawn, "heatmap", settings)
    return {"panels": heatmap.interactive_panels(figure, drawn), "image": image, "drawn": drawn}


def _save_figure(target: RunDirectory, figure: Figure, drawn: charts.PlotRows, name: str, settings: Settings) -> str:
    """Save a figure and its rows under a name, and return the PNG in base64."""
    charts.escape_mathtext(figure, settings.families)
    charts.save(figure, drawn, target.figures, name)
    return base64.b64encode((target.figures / f"{name}.png").read_bytes()).decode()


def _page(results: RunResults, **shown: Any) -> str:
    """Render `report.html`."""
    settings, meta = results.settings, results.table.meta
    ledger = meta.get("ledger") or {}
    return render_page(
        "report.html",
        study=settings.study,
        missing=results.missing,
        given_up=list(results.given_up.values()),
        plotly=get_plotlyjs(),
        ledger=list(ledger.values()),
        costs=claim_context.cost_by_arm(results.cells, ledger),
        audit=[{"family": name, **entry} for name, entry in meta.get("audit", {}).items()],
        control="" if settings.control == "none" else settings.control,
        config=dump(settings),
        provenance={key: meta.get(key) for key in ("versions", "devices", "cores", "commit")},
        **shown,
    )


def _judge(claim: Claim, results: RunResults) -> dict[str, Any]:
    """Make a row of `claims.json`: a claim with its setting, its cost and the results of its controls."""
    of_family = [cell for cell in results.cells if claim.family in cell.members]
    cells = {cell.id: cell for cell in of_family or results.cells}  # a claim of no single family rests on all cells
    given_up = [why for key, why in results.given_up.items() if key in cells]
    return _explain_given_up(claim, given_up).row() | {
        "env_steps": sum(cell.evaluation_points[-1][0] for cell in cells.values()),
        "setting": _describe_setting(claim, results.settings),
        "controls": claim_context.control_results(results.table, results.settings, claim),
    }


def _describe_setting(claim: Claim, settings: Settings) -> str:
    """Name the preset, and the control, reward, life and knobs of the claim's family where they are not the usual."""
    control = "" if settings.control == "none" else f"control {settings.control}"
    training = settings.training.get(claim.family)
    reward = f"reward {training.reward}" if training and training.reward != "sparse" else ""
    variant = describe_variant(settings.knobs.get(claim.family, {}), settings.life)
    return ", ".join(filter(None, (settings.preset, control, reward, variant)))


def _explain_given_up(claim: Claim, given_up: Sequence[str]) -> Claim:
    """Add the reasons why cells were given up to a claim without an effect: nothing is imputed."""
    if claim.effect is not None or not given_up:
        return claim
    more = f"; and {len(given_up) - 2} more" if len(given_up) > 2 else ""
    return replace(claim, reason=f"{claim.reason}; given up: {'; '.join(given_up[:2])}{more}")


def _claim_line(claim: dict[str, Any]) -> str:
    """Format a verdict in two lines, for the terminal."""
    interval = "" if claim["low"] is None else f" [{claim['low']:+.2f}, {claim['high']:+.2f}]"
    effect = "" if claim["effect"] is None else f", effect {claim['effect']:+.2f}{interval}, n = {claim['n']}"
    return escape_control_characters(
        f"{claim['verdict']}: {claim['family']}: {claim['claim']}\n    {claim['reason']}{effect}"
    )
