"""Plans: a study's cells, and the groups that they are trained in."""

from collections.abc import Sequence
from typing import Any

from incentivize.experiments import studies
from incentivize.experiments.cells import Cell
from incentivize.experiments.errors import SettingsError
from incentivize.experiments.execution.unused_settings import check_idle
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.training.build import setup_of, sizes_of, teaching_of
from incentivize.experiments.training.groups import Group, lanes_of


def groups_of(cells: Sequence[Cell]) -> list[list[Group]]:
    """All groups, those of one program together, the blind and those with the most work first.

    They are cut from the whole grid, whatever is done already, so that a run which goes on computes what an
    uninterrupted one does.
    """
    programs: dict[Any, list[Cell]] = {}
    for cell in {cell.id: cell for cell in cells}.values():
        points = tuple(steps for steps, _ in cell.points)
        kind = (setup_of(cell), teaching_of(cell), cell.training.taught_steps, sizes_of(cell), points)
        programs.setdefault(kind, []).append(cell)
    ordered = sorted(
        programs.values(), key=lambda mine: (mine[0].control != "blind", -sum(cell.points[-1][0] for cell in mine))
    )
    return [_cut(mine, lanes_of(mine[0], len(mine))) for mine in ordered]


def _cut(cells: Sequence[Cell], lanes: int) -> list[Group]:
    return [Group(tuple(cells[start : start + lanes]), lanes) for start in range(0, len(cells), lanes)]


def planned(settings: Settings) -> tuple[list[Cell], list[list[Group]]]:
    """A study's cells, and the groups that they are trained in.

    Raises:
        SettingsError: where settings do not go together, or one would do nothing.
    """
    try:
        cells = studies.load(settings.study).cells(settings)
        groups = groups_of(cells)
    except ValueError as error:  # from families, networks or learners, of what goes together
        raise SettingsError(str(error)) from None
    check_idle(settings, cells)
    return cells, groups
