"""The book of a run: what is known of its cells so far, as the files of its directory say it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from incentivize.experiments.analysis import rows as rw
from incentivize.experiments.analysis.ledger import ledger
from incentivize.experiments.cells import Cell
from incentivize.experiments.storage.cell_store import CellStore, StoredCell
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.storage.schema import TASK_FIELDS, Row
from incentivize.experiments.training.build import family_of, network_of
from incentivize.experiments.training.flops import forward_flops


class ResultsPublisher:
    """Rows, ledger and failures of finished cells. They are kept in the order of the grid, whichever was first."""

    def __init__(self, cells: Sequence[Cell], store: RunDirectory, archive: CellStore) -> None:
        self.cells, self.store, self.archive = cells, store, archive
        self.rows: dict[str, list[Row]] = {}
        self.ledger: dict[str, dict[str, Any]] = {}
        self.failures: dict[str, str] = {}

    def add(self, found: StoredCell) -> None:
        """Take in a finished cell, for every part that it plays in the study."""
        about, cell = found.about, found.cell
        if about["failure"]:
            self.failures[cell.id] = f"{cell.label}: {about['failure']}"
            return
        parts = dict.fromkeys(part for part in self.cells if part.id == cell.id)  # each once
        self.rows[cell.id] = [row for part in parts for row in rw.rows_of(part, found.counts, about["n_params"])]
        family = family_of(cell)
        flops = forward_flops(network_of(cell.training, family))
        size = (family.num_actions, max(member.horizon for member in family.members), flops)
        spent = ledger(cell, *size, about["n_params"], about["episodes"], about["seconds"])
        self.ledger[cell.id] = spent | {"digest": about["digest"][:16]}

    def final_success(self, cell: Cell) -> dict[str, float]:
        """A cell's success at its last budget, by split."""
        return rw.final_success(self.rows[cell.id], cell)

    def publish(self, with_task_counts: bool) -> None:
        """Write down what there is; counts per task, which are many, only where the `whole` is asked for."""
        order = list(dict.fromkeys(cell.id for cell in self.cells))
        ground = [row for rows in self.store.meta().get("scripted", {}).values() for row in rows]
        rows = [*ground, *(row for key in order for row in self.rows.get(key, ()))]
        levels, sure = rw.blind_levels(rows, self.cells)
        rows = rw.with_scores(rows, {family: levels[family] for family in sure})
        self.store.publish(
            rows,
            self._counts() if with_task_counts else None,
            blind={family: level if family in sure else None for family, level in levels.items()},
            uniform={row["family"]: row["success"] for row in ground if row["role"] == "uniform"},
            ledger={key: self.ledger[key] for key in order if key in self.ledger},
            given_up={key: self.failures[key] for key in order if key in self.failures},
        )

    def _counts(self) -> np.ndarray:
        fields = [name for name, _ in TASK_FIELDS]
        kept = {cell.id: cell for cell in self.cells if cell.id in self.rows}
        counts = [found.counts[fields] for cell in kept.values() if (found := self.archive.load(cell)) is not None]
        return np.concatenate(counts) if counts else np.empty(0, TASK_FIELDS)
