"""Plans: the cells of a study, and the groups in which they are trained."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from incentivize.experiments import studies
from incentivize.experiments.cells import Cell
from incentivize.experiments.errors import InputError
from incentivize.experiments.execution.unused_settings import check_unused_settings
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.training.build import build_setup, build_warm_start, evaluation_config
from incentivize.experiments.training.groups import CellGroup, lanes_of


class Plan(NamedTuple):
    """Plan of a run. It is made once and does not depend on finished cells.

    Attributes:
        cells: all cells in the order of the grid; a cell with several roles appears once per role.
        groups: one list of groups per compiled program, in the order of training. Every cell id is in one group.
    """

    cells: list[Cell]
    groups: list[list[CellGroup]]


def plan(settings: Settings) -> Plan:
    """Plan a study.

    Raises:
        InputError: if settings contradict each other, or a setting has no effect.
    """
    try:
        cells = studies.load(settings.study).cells(settings)
        groups = plan_groups(cells)
    except ValueError as error:  # of families, networks or learners that do not fit together
        raise InputError(str(error)) from None
    check_unused_settings(settings, cells)
    return Plan(cells, groups)


def plan_groups(cells: Sequence[Cell]) -> list[list[CellGroup]]:
    """Divide cells into groups, one list per program: the blind cells first, then the programs with most work.

    Groups are cut from the whole grid, whatever is finished already. So a resumed run computes the same as an
    uninterrupted one.
    """
    programs: dict[Any, list[Cell]] = {}
    for cell in {cell.id: cell for cell in cells}.values():
        points = tuple(steps for steps, _ in cell.evaluation_points)
        kind = (build_setup(cell), build_warm_start(cell), cell.training.taught_steps, evaluation_config(cell), points)
        programs.setdefault(kind, []).append(cell)
    ordered = sorted(
        programs.values(),
        key=lambda alike: (alike[0].control != "blind", -sum(cell.evaluation_points[-1][0] for cell in alike)),
    )
    return [_cut(alike, lanes_of(alike[0], len(alike))) for alike in ordered]


def _cut(cells: Sequence[Cell], lanes: int) -> list[CellGroup]:
    return [CellGroup(tuple(cells[start : start + lanes]), lanes) for start in range(0, len(cells), lanes)]
