"""Plans: a study's cells, and the groups that they are trained in."""

from collections.abc import Sequence
from typing import Any

from incentivize.experiments import studies
from incentivize.experiments.cells import Cell
from incentivize.experiments.errors import InputError
from incentivize.experiments.execution.unused_settings import check_unused_settings
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.training.build import build_setup, build_warm_start, evaluation_config
from incentivize.experiments.training.groups import CellGroup, lanes_of


def plan_groups(cells: Sequence[Cell]) -> list[list[CellGroup]]:
    """All groups, those of one program together, the blind and those with the most work first.

    They are cut from the whole grid, whatever is done already, so that a run which goes on computes what an
    uninterrupted one does.
    """
    programs: dict[Any, list[Cell]] = {}
    for cell in {cell.id: cell for cell in cells}.values():
        points = tuple(steps for steps, _ in cell.evaluation_points)
        kind = (build_setup(cell), build_warm_start(cell), cell.training.taught_steps, evaluation_config(cell), points)
        programs.setdefault(kind, []).append(cell)
    ordered = sorted(
        programs.values(),
        key=lambda mine: (mine[0].control != "blind", -sum(cell.evaluation_points[-1][0] for cell in mine)),
    )
    return [_cut(mine, lanes_of(mine[0], len(mine))) for mine in ordered]


def _cut(cells: Sequence[Cell], lanes: int) -> list[CellGroup]:
    return [CellGroup(tuple(cells[start : start + lanes]), lanes) for start in range(0, len(cells), lanes)]


def plan(settings: Settings) -> tuple[list[Cell], list[list[CellGroup]]]:
    """A study's cells, and the groups that they are trained in.

    Raises:
        SettingsError: where settings do not go together, or one would do nothing.
    """
    try:
        cells = studies.load(settings.study).cells(settings)
        groups = plan_groups(cells)
    except ValueError as error:  # from families, networks or learners, of what goes together
        raise InputError(str(error)) from None
    check_unused_settings(settings, cells)
    return cells, groups
