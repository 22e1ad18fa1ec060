"""Groups of cells that share a program and are trained side by side: the unit of checkpoints and resumption."""

import hashlib
from typing import NamedTuple

import jax

from incentivize.experiments.cells import Cell

ENVS_PER_PROGRAM = 512  # environments per program on a CPU; more do not use a core better


class CellGroup(NamedTuple):
    """Cells that share shapes and evaluation points.

    Attributes:
        cells: at most `lanes`. Further lanes repeat the last cell; their results are discarded.
        lanes: number of cells that the program is compiled for.
    """

    cells: tuple[Cell, ...]
    lanes: int

    @property
    def id(self) -> str:
        """Hash of the lanes and the cells, 12 hexadecimal digits."""
        text = " ".join([str(self.lanes), *(cell.id for cell in self.cells)])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def lanes_of(cell: Cell, cells: int) -> int:
    """Return how many of `cells` cells like this one run side by side in one program."""
    max_lanes = max(1, ENVS_PER_PROGRAM // cell.training.num_envs) if jax.default_backend() == "cpu" else 64
    return min(max_lanes, cells)
