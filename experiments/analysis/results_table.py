"""A run's results as studies read them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from incentivize.experiments.storage.schema import Row


@dataclass(frozen=True)
class ResultsTable:
    """A run's rows, counts and facts.

    Attributes:
        rows: rows of `results.jsonl`, some or all.
        tasks: counts per task of `tasks.npz`, a structured array [T] with the fields of `storage.schema.TASK_FIELDS`.
        meta: the content of `meta.json`.
    """

    rows: Sequence[Row]
    tasks: np.ndarray
    meta: dict[str, Any]

    def where(self, test: Callable[[Row], bool] | None = None, **values: Any) -> "ResultsTable":
        """Keep the rows that have these values, and that pass a test where one is given."""
        kept = self.rows
        for key, value in values.items():
            kept = [row for row in kept if row.get(key) == value]
        return ResultsTable([row for row in kept if test is None or test(row)], self.tasks, self.meta)

    def final(self) -> "ResultsTable":
        """Keep the rows at the largest budget of their cell."""
        last: dict[str, int] = {}
        for row in self.rows:
            last[row["cell"]] = max(last.get(row["cell"], 0), row["env_steps"])
        return self.where(lambda row: row["env_steps"] == last[row["cell"]])

    def values(self, key: str = "success") -> list[float]:
        """Return a column, without the rows that have no value in it."""
        return [row[key] for row in self.rows if row[key] is not None]

    def per_task(self, block: str) -> dict[int, float]:
        """Return success by task ordinal over all rows, each at its cell, budget and number of simulations."""
        totals: dict[int, list[int]] = {}
        for row in self.rows:
            place = {key: row[key] for key in ("cell", "family", "env_steps")}
            place |= {"simulations": row.get("simulations") or 0, "evaluated_on": block}
            selected = np.logical_and.reduce([self.tasks[key] == value for key, value in place.items()])
            for task in self.tasks[selected]:
                total = totals.setdefault(int(task["ordinal"]), [0, 0])
                total[0] += int(task["successes"])
                total[1] += int(task["episodes"])
        return {ordinal: won / played for ordinal, (won, played) in sorted(totals.items())}
