"""What is written down does not depend on which worker is first."""

import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

import envs
from experiments import presets, runner, training
from experiments.progress import Progress
from experiments.settings import load_file, resolve
from experiments.store import Store
from experiments.studies import mixture, task_count
from experiments.training import Trained
from tests.experiments.counts import counted

BLIND = {"errands": 5, "mazes": 7}  # successes in ten episodes


def results(cell):
    """Made-up counts of a finished cell, other ones in each of its families."""
    splits = ("seen", "specialty") if cell.role == "specialist" else ("seen", "validation", "unseen", "specialty")
    found = []
    for family in cell.members:
        won = BLIND[family] if cell.role == "blind" else (int(cell.id, 16) + len(family)) % 11
        counts = [(cell.id, point, split, 0, won, 10) for point, _ in cell.points for split in splits]
        found.append(counted(*counts, family=family))
    return Trained(cell, np.concatenate(found), 100, 1.0)


@pytest.fixture
def study(tiny_config, tmp_path):
    """Settings, cells and an empty store."""
    base = {"study": "task-count", "preset": "quick"} | task_count.PRESETS["quick"]
    settings = resolve(base, presets.training("quick"), load_file(tiny_config))
    store = Store(tmp_path / "run")
    store.open(settings)
    return settings, task_count.cells(settings), store


def run(study, monkeypatch, order=1):
    """Runs a study with made-up results; returns how many cells were waiting."""
    settings, cells, store = study

    def all_at_once(groups, workers, deliver):
        for _, group in groups[::order]:
            deliver([results(cell) for cell in group])

    monkeypatch.setattr(runner, "run_groups", all_at_once)
    return runner.run(cells, settings, store, Progress(Console(quiet=True)), workers=1)


@pytest.mark.parametrize("order", [1, -1], ids=["blind first", "blind last"])
def test_scores_wait_for_the_blind_level(order, study, monkeypatch):
    _, cells, store = study
    assert run(study, monkeypatch, order) == len(cells)
    rows = [row for row in store.rows() if row["role"] not in ("uniform", "scripted")]
    assert {row["cell"] for row in rows} == {cell.id for cell in cells}
    for row in rows:
        expected = None if row["role"] == "blind" else (row["success"] - 0.5) / 0.5
        assert row["score"] == (expected if expected is None else pytest.approx(expected))


def test_an_agent_of_several_families_has_rows_and_scores_in_each(tiny_config, tmp_path, monkeypatch):
    base = {"study": "mixture", "preset": "quick"} | mixture.PRESETS["quick"]
    own = {"families": ("errands", "mazes"), "pools": ("new",), "control_pools": (), "taught_pools": ()}
    settings = resolve(base, presets.training("quick"), load_file(tiny_config), own)
    cells, store = mixture.cells(settings), Store(tmp_path / "run")
    store.open(settings)
    study = settings, cells, store
    assert run(study, monkeypatch) == len(cells)
    mixed = [cell.id for cell in cells if cell.role == "mixture"]
    rows = [row for row in store.rows() if row["cell"] in mixed and row["split"] == "unseen"]
    assert {row["family"] for row in rows} == {"errands", "mazes"}
    for row in rows:
        assert row["success"] == (int(row["cell"], 16) + len(row["family"])) % 11 / 10
        blind = BLIND[row["family"]] / 10
        assert row["score"] == pytest.approx((row["success"] - blind) / (1 - blind))
    lines = (store.path / "results.jsonl").read_text().splitlines(keepends=True)
    (store.path / "results.jsonl").write_text(
        "".join(line for line in lines if mixed[0] not in line or '"errands"' in line)
    )
    assert run(study, monkeypatch) == 1
    assert sorted(map(str, store.rows())) == sorted(map(str, map(json.loads, lines)))


def test_progress_tells_the_last_number_of_simulations(study):
    cell = replace(study[1][0], simulations=(0, 16))
    row = {"cell": cell.id, "env_steps": cell.points[-1][0], "split": "unseen"}
    rows = [row | {"simulations": count, "success": count / 16} for count in cell.simulations]
    assert runner.final_success(rows, cell) == {"unseen": 1.0}


def test_rows_tell_success_by_attempt():
    counts = np.zeros(2, training.count_fields(life=3))
    counts["episodes"], counts["by_attempt"] = 10, [[0, 5, 10], [2, 5, 8]]
    assert runner._measured(counts, None)["success_by_attempt"] == [0.1, 0.5, 0.9]


def test_a_cell_that_is_not_whole_is_made_again(study, monkeypatch):
    _, cells, store = study
    run(study, monkeypatch)
    whole, counts, meta = store.rows(), store.tasks(), store.meta()
    assert run(study, monkeypatch) == 0
    text = (store.path / "results.jsonl").read_text()
    (store.path / "results.jsonl").write_text(text[:-50])  # in the middle of the last row
    assert run(study, monkeypatch) == 1
    assert store.rows() == whole
    (store.path / "tasks.npz").unlink()
    assert run(study, monkeypatch) == len(cells)
    assert (np.sort(store.tasks()) == np.sort(counts)).all()
    (store.path / "meta.json").unlink()
    assert run(study, monkeypatch) == 0
    assert store.meta()["blind"] == meta["blind"]


def test_a_run_is_audited_and_a_leak_stops_it(study, monkeypatch):
    run(study, monkeypatch)
    found = study[2].meta()["audit"]["errands"]
    assert found["sound"]
    assert sum(found["nearest"].values()) == 8
    (study[2].path / "meta.json").unlink()
    leak = envs.make("errands", "leak", **study[0].knobs["errands"])
    monkeypatch.setattr(runner, "family_of", lambda settings, name: leak)
    with pytest.raises(training.RunError, match="errands: 8 held-out tasks are drawn for training"):
        run(study, monkeypatch)
