"""Groups: cells that share a program and are trained side by side. The unit that is checkpointed and resumed."""

import hashlib
from typing import NamedTuple

import jax

from incentivize.experiments.cells import Cell

ENVS_PER_PROGRAM = 512  # environments per program on a CPU; more fill no core better


class CellGroup(NamedTuple):
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
    most = max(1, ENVS_PER_PROGRAM // cell.training.num_envs) if jax.default_backend() == "cpu" else 64
    return min(most, cells)
