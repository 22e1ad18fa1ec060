"""What is written down does not depend on which worker is first."""

import numpy as np
import pytest
from rich.console import Console

from experiments import presets, runner
from experiments.progress import Progress
from experiments.settings import load_file, resolve
from experiments.store import TASK_FIELDS, Store
from experiments.studies import task_count
from experiments.training import Trained


def results(cell):
    """Made-up counts of a finished cell: the blind one succeeds in half of its episodes."""
    splits = ("seen", "specialty") if cell.role == "specialist" else ("seen", "validation", "unseen", "specialty")
    won = 5 if cell.role == "blind" else int(cell.id, 16) % 11
    counts = [(cell.id, point, split, 0, won, won, 10) for point, _ in cell.points for split in splits]
    return Trained(cell, np.array(counts, TASK_FIELDS), 100, 1.0)


@pytest.mark.parametrize("order", [1, -1], ids=["blind first", "blind last"])
def test_scores_wait_for_the_blind_level(order, tiny_config, tmp_path, monkeypatch):
    base = {"study": "task-count", "preset": "quick"} | task_count.PRESETS["quick"]
    settings = resolve(base, presets.training("quick"), load_file(tiny_config))
    cells = task_count.cells(settings)
    store = Store(tmp_path / "run")
    store.open(settings)

    def all_at_once(groups, workers, deliver):
        assert groups[0][1][0].control == "blind"
        for _, group in groups[::order]:
            deliver([results(cell) for cell in group])

    monkeypatch.setattr(runner, "run_groups", all_at_once)
    runner.run(cells, settings, store, Progress(Console(quiet=True)), workers=1)
    rows = [row for row in store.rows() if row["role"] not in ("uniform", "scripted")]
    assert {row["cell"] for row in rows} == {cell.id for cell in cells}
    for row in rows:
        expected = None if row["role"] == "blind" else (row["success"] - 0.5) / 0.5
        assert row["score"] == (expected if expected is None else pytest.approx(expected))
