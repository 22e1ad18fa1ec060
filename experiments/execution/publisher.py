"""The publisher of a run: rows, task counts and ledger of its finished cells, written to the run directory."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from incentivize.experiments.analysis import result_rows as rw
from incentivize.experiments.analysis.ledger import ledger
from incentivize.experiments.cells import Cell
from incentivize.experiments.storage.cell_store import StoredCell
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.storage.schema import TASK_FIELDS, Row
from incentivize.experiments.training.build import family_of, network_of
from incentivize.experiments.training.flops import forward_flops


class ResultsPublisher:
    """Results of finished cells, in the order of the grid, whichever cell was finished first."""

    def __init__(self, cells: Sequence[Cell], directory: RunDirectory) -> None:
        self.cells, self.directory = cells, directory
        self.rows: dict[str, list[Row]] = {}
        self.task_counts: dict[str, np.ndarray] = {}
        self.ledger: dict[str, dict[str, Any]] = {}
        self.failures: dict[str, str] = {}

    def add(self, stored: StoredCell) -> None:
        """Add a finished cell, with rows for each of its roles in the study."""
        about, cell = stored.about, stored.cell
        if about["failure"]:
            self.failures[cell.id] = f"{cell.label}: {about['failure']}"
            return
        roles = dict.fromkeys(role for role in self.cells if role.id == cell.id)  # each once
        self.rows[cell.id] = [row for role in roles for row in rw.rows_of(role, stored.counts, about["n_params"])]
        self.task_counts[cell.id] = stored.counts[[name for name, _ in TASK_FIELDS]]
        family = family_of(cell)
        flops = forward_flops(network_of(cell.training, family))
        size = (family.num_actions, max(member.horizon for member in family.members), flops)
        cost = ledger(cell, *size, about["n_params"], about["episodes"], about["seconds"])
        self.ledger[cell.id] = cost | {"digest": about["digest"][:16]}

    def final_success(self, cell: Cell) -> dict[str, float]:
        """Return a cell's success at its last budget, by evaluated block."""
        return rw.final_success(self.rows[cell.id], cell)

    def publish(self, with_task_counts: bool) -> None:
        """Write rows, ledger and failures; and the counts per task, which are many, where asked for."""
        order = list(dict.fromkeys(cell.id for cell in self.cells))
        baselines = [row for rows in self.directory.meta().get("scripted", {}).values() for row in rows]
        rows = [*baselines, *(row for key in order for row in self.rows.get(key, ()))]
        levels, final = rw.blind_levels(rows, self.cells)
        rows = rw.with_scores(rows, {family: levels[family] for family in final})
        counts = [self.task_counts[key] for key in order if key in self.task_counts] or [np.empty(0, TASK_FIELDS)]
        self.directory.publish(
            rows,
            np.concatenate(counts) if with_task_counts else None,
            blind={family: level if family in final else None for family, level in levels.items()},
            uniform={row["family"]: row["success"] for row in baselines if row["role"] == "uniform"},
            ledger={key: self.ledger[key] for key in order if key in self.ledger},
            given_up={key: self.failures[key] for key in order if key in self.failures},
        )
