"""Every study shows what there is where cells are missing, whichever they are, and claims nothing from them."""

import zlib

import matplotlib.pyplot as plt
import numpy as np
import pytest

from incentivize.experiments import studies
from incentivize.experiments.analysis import result_rows as rw
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from tests.helpers.counts import counted

OWN = {
    "task-count": {"families": ("errands", "codebooks"), "seeds": 3, "control_seeds": 3, "pools": (1, 16, 1024, "new")},
    "mixture": {"families": ("errands", "mazes")},
    "signal-and-scope": {"families": ("errands", "codebooks")},
    "slopes": {"families": ("mazes",)},
    "weak-incentive": {"families": ("mazes",)},
    "threshold-prediction": {"families": ("puzzles", "mazes"), "pools": (4, 16, 256, 4096, "new")},
}


def won(cell, *where):
    """Successes, of 10: as many as chance has it, but the same every time."""
    return zlib.crc32(repr((cell.id, *where)).encode()) % 11


def made_up(cell):
    """Rows of a finished cell."""
    alone = cell.pool_split != "training"
    splits = ("seen", "specialty") if alone else ("seen", "validation", "unseen", "specialty")
    theirs = range(cell.pool_first, cell.pool_first + min(cell.pool_size or 0, cell.eval_specialists))
    tasks = theirs if alone else range(cell.eval_specialists)
    parts = []
    for family in cell.members:
        for simulations in cell.simulations:
            told = [
                (cell.id, point, split, task, won(cell, family, point, split, task), 10)
                for point, _ in cell.evaluation_points
                for split in splits
                for task in tasks
            ]
            counts = counted(*told, family=family)
            counts["simulations"], counts["steps"], counts["expert_steps"] = simulations, 7, 6
            parts.append(counts)
    return np.concatenate(parts)


@pytest.fixture(params=studies.STUDIES, scope="module")
def grid(request):
    """A study, its settings, its cells, and what came of each: counts and rows."""
    study = studies.load(request.param)
    base = {"study": request.param, "preset": "quick"} | study.PRESETS["quick"]
    settings = resolve(base, presets.training_defaults("quick"), OWN.get(request.param, {}))
    cells = study.cells(settings)
    counts = {cell.id: made_up(cell) for cell in cells}
    return study, settings, cells, counts, [rw.rows_of(cell, counts[cell.id], 100) for cell in cells]


def shown(grid, missing, drawn=True):
    """Verdicts of a study without some cells, and its figure and tables where they are asked for."""
    study, settings, cells, counts, known = grid
    kept = [cell for cell in cells if cell.id not in missing]
    rows = [row for cell, mine in zip(cells, known, strict=True) if cell.id not in missing for row in mine]
    for family in settings.families:
        level = {"family": family, "role": "uniform", "evaluated_on": "unseen", "env_steps": 0, "success": 0.1}
        rows.append(
            level | {"success_greedy": None, "cell": f"uniform-{family}", "simulations": 0, "seed": None, "variant": ""}
        )
    levels, sure = rw.blind_levels(rows, cells)
    rows = rw.with_scores(rows, {family: levels[family] for family in sure})
    tasks = np.concatenate([counts[cell.id] for cell in kept]) if kept else made_up(cells[0])[:0]
    uniform = dict.fromkeys(settings.families, 0.1)
    blind = {family: level if family in sure else None for family, level in levels.items()}
    meta = {"blind": blind, "uniform": uniform, "tasks": dict.fromkeys(settings.families, 10**12)}
    meta["ledger"] = {cell.id: {"supervision_bits": 1000, "env_steps": cell.evaluation_points[-1][0]} for cell in kept}
    table = ResultsTable(rows, tasks, meta)
    claims = study.verdicts(table, settings)
    if drawn:
        figure, _ = study.figure(table, settings)
        plt.close(figure)
        study.tables(table, settings)
    return claims


def parts(cells):
    """Cells to be without: all of a role, all of a seed, those of some budgets, all."""
    for role in dict.fromkeys(cell.role for cell in cells):
        yield {cell.id for cell in cells if cell.role == role}
    part = cells[-1].role, cells[-1].family, cells[-1].evaluation_points
    yield {cell.id for cell in cells if (cell.role, cell.family, cell.evaluation_points) == part}
    yield {cell.id for cell in cells if cell.seed == 0}
    yield {cell.id for cell in cells}


def more_parts(cells):
    """More cells to be without: the first and the last of every role, and those of any budgets."""
    for role in dict.fromkeys(cell.role for cell in cells):
        first, *_, last = [cell.id for cell in cells if cell.role == role] * 2
        yield from ({first}, {last})
    for part in dict.fromkeys((cell.role, cell.family, cell.evaluation_points) for cell in cells):
        yield {cell.id for cell in cells if (cell.role, cell.family, cell.evaluation_points) == part}


def check(grid, drawn, named):
    """Check that a study claims nothing else without some cells; return what it claims without the last of them."""
    whole = shown(grid, set(), drawn)
    for missing in dict.fromkeys(map(frozenset, named)):
        claims = shown(grid, missing, drawn)
        assert len(claims) == len(whole)
        for claim, before in zip(claims, whole, strict=True):
            assert claim.effect is None or claim.effect == pytest.approx(before.effect), (claim, before)
            assert claim.verdict in ("inconclusive", before.verdict), (claim, before)
    return claims


def test_a_study_lives_with_missing_cells(grid):
    """Draw a study without some cells, and judge it without more: the slow suite draws it without these, too."""
    check(grid, False, more_parts(grid[2]))
    claims = check(grid, True, parts(grid[2]))
    assert all(claim.verdict == "inconclusive" for claim in claims)  # without any cell


@pytest.mark.slow
def test_a_study_is_drawn_without_more_cells(grid):
    """`test_a_study_lives_with_missing_cells` draws it without fewer."""
    check(grid, True, more_parts(grid[2]))
