"""Groups: cells that share a program and are trained side by side. The unit that is checkpointed and resumed."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from incentivize.experiments.cells import Cell
from incentivize.experiments.training.build import setup_of, teaching_of
from incentivize.experiments.training.evaluation import sizes_of

SIDE_BY_SIDE = 512  # environments per program on a CPU; more fill no core better


class Group(NamedTuple):
    """Cells that share shapes and points.

    Attributes:
        cells: at most `lanes`; lanes beyond them repeat the last one, unheeded.
        lanes: the number of cells that the program is compiled for.
    """

    cells: tuple[Cell, ...]
    lanes: int

    @property
    def id(self) -> str:
        """Tells it from others, 12 hexadecimal digits."""
        text = " ".join([str(self.lanes), *(cell.id for cell in self.cells)])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def lanes_of(cell: Cell, cells: int) -> int:
    """How many of so many cells like this one run side by side in one program."""
    most = max(1, SIDE_BY_SIDE // cell.training.num_envs) if jax.default_backend() == "cpu" else 64
    return min(most, cells)


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
