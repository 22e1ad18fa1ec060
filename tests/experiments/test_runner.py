"""What is written down does not depend on which worker is first."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import envs
from experiments import archive, presets, runner, training
from experiments.archive import Archive
from experiments.progress import Progress
from experiments.results import final_success, measured
from experiments.settings import SettingsError, load_file, resolve
from experiments.store import Store
from experiments.studies import mixture, task_count
from experiments.table import Table
from experiments.training import Trained
from experiments.workers import Work
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
    """Settings, cells and an empty run directory."""
    base = {"study": "task-count", "preset": "quick"} | task_count.PRESETS["quick"]
    settings = resolve(base, presets.training("quick"), load_file(tiny_config))
    (tmp_path / "run").mkdir()
    return settings, task_count.cells(settings), Store(tmp_path / "run")


def run(study, monkeypatch, order=1, results=results, beside=None):
    """Runs a study with made-up results; returns how many cells were missing."""
    settings, cells, store = study
    progress = Progress(Console(quiet=True))

    def all_at_once(programs, work, deliver):
        for group in (group for groups in programs[::order] for group in groups):
            deliver([results(cell) for cell in group.cells])

    monkeypatch.setattr(runner, "run_groups", all_at_once)
    archive = Archive(store.path, beside, {"commit": "abc"})
    runner.run(cells, settings, store, archive, progress, Work(1), runner.find(cells, archive))
    return progress.total


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
    store.path.mkdir()
    study = settings, cells, store
    assert run(study, monkeypatch) == len(cells)
    mixed = [cell.id for cell in cells if cell.role == "mixture"]
    rows = [row for row in store.rows() if row["cell"] in mixed and row["split"] == "unseen"]
    assert {row["family"] for row in rows} == {"errands", "mazes"}
    for row in rows:
        assert row["success"] == (int(row["cell"], 16) + len(row["family"])) % 11 / 10
        blind = BLIND[row["family"]] / 10
        assert row["score"] == pytest.approx((row["success"] - blind) / (1 - blind))


def test_progress_tells_the_last_number_of_simulations(study):
    cell = replace(study[1][0], simulations=(0, 16))
    row = {"cell": cell.id, "env_steps": cell.points[-1][0], "split": "unseen"}
    rows = [row | {"simulations": count, "success": count / 16} for count in cell.simulations]
    assert final_success(rows, cell) == {"unseen": 1.0}


def test_rows_tell_success_by_attempt():
    counts = np.zeros(2, training.count_fields(life=3))
    counts["episodes"], counts["by_attempt"] = 10, [[0, 5, 10], [2, 5, 8]]
    assert measured(counts)["success_by_attempt"] == [0.1, 0.5, 0.9]


def damage(path):
    path.write_bytes(path.read_bytes()[:-50])


@pytest.mark.parametrize("how", [Path.unlink, damage, lambda path: path.write_bytes(b"")], ids=["gone", "cut", "empty"])
@pytest.mark.parametrize("which", ["cells/{}.npz", "checkpoints/{}.msgpack"])
def test_a_cell_that_is_not_whole_is_made_again_and_all_else_from_the_cells(how, which, study, monkeypatch, capsys):
    _, cells, store = study
    run(study, monkeypatch)
    whole, counts, meta = store.rows(), store.tasks(10**6), store.meta()
    assert run(study, monkeypatch) == 0
    how(store.path / which.format(cells[3].id))
    for name in ("results.jsonl", "tasks.npz", "meta.json"):
        (store.path / name).unlink()
    assert run(study, monkeypatch) == 1
    assert store.rows() == whole
    assert (store.tasks(10**6) == counts).all()
    assert store.meta() == meta
    lost = how is Path.unlink and which.startswith("cells")
    assert ("damaged, so this training run" in capsys.readouterr().err) != lost


def test_a_cell_under_another_name_is_not_taken_for_it(study, monkeypatch, capsys):
    _, cells, store = study
    run(study, monkeypatch)
    whole = store.rows()
    for name in ("cells/{}.npz", "checkpoints/{}.msgpack"):
        (store.path / name.format(cells[1].id)).replace(store.path / name.format(cells[3].id))
    assert run(study, monkeypatch) == 2
    assert "it is of another training run" in capsys.readouterr().err
    assert store.rows() == whole


def test_cells_of_other_runs_are_taken_over_where_they_mean_the_same(study, monkeypatch, tmp_path):
    settings, cells, store = study
    assert run(study, monkeypatch) == len(cells)
    more = settings.model_copy(update={"pools": (1, 2, 4, "new")})
    bigger = more, task_count.cells(more), Store(tmp_path / "bigger")
    bigger[2].path.mkdir()
    assert run(bigger, monkeypatch, beside=tmp_path) == 2  # the pools of two tasks
    assert {row["cell"] for row in store.rows()} < {row["cell"] for row in bigger[2].rows()}
    shutil.rmtree(store.path)  # what was taken over is there to stay
    assert run(bigger, monkeypatch) == 0
    other = more, bigger[1], Store(tmp_path / "other")
    other[2].path.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(archive, "code_of", lambda *_: "changed")
        assert run(other, patch, beside=tmp_path) == len(bigger[1])


def test_a_run_that_was_begun_with_other_code_is_not_gone_on_with(study, monkeypatch):
    _, cells, store = study
    run(study, monkeypatch)
    monkeypatch.setattr(archive, "code_of", lambda *_: "changed")
    assert run(study, monkeypatch) == 0  # there is nothing to do
    (store.path / "cells" / f"{cells[3].id}.npz").unlink()
    with pytest.raises(SettingsError, match="was begun with other code of this program \\(commit abc\\)"):
        run(study, monkeypatch)


def test_a_run_that_was_begun_with_other_settings_of_jax_is_not_gone_on_with(study, monkeypatch):
    _, cells, store = study
    run(study, monkeypatch)
    real = archive.code_of
    monkeypatch.setattr(archive, "code_of", lambda *what: f"{real(*what)} jax_enable_x64=True")
    (store.path / "cells" / f"{cells[3].id}.npz").unlink()
    with pytest.raises(
        SettingsError, match=r"begun where jax or XLA was told .*, and here .*jax_enable_x64=True: numbers"
    ):
        run(study, monkeypatch)


def test_a_cell_that_is_given_up_leaves_a_gap_and_is_not_tried_again(study, monkeypatch):
    settings, cells, store = study
    lost = next(cell for cell in cells if cell.role == "blind")

    def broken(cell):
        return results(cell)._replace(failure="loss is nan" if cell.id == lost.id else "")

    assert run(study, monkeypatch, results=broken) == len(cells)
    assert lost.id not in {row["cell"] for row in store.rows()}
    assert store.meta()["given_up"] == {lost.id: f"{lost.label}: loss is nan"}
    assert {row["score"] for row in store.rows()} == {None}  # the level lacks what was given up
    assert run(study, monkeypatch) == 0
    table = Table(store.rows(), store.tasks(10**6), store.meta())
    (store.path / "cells" / f"{lost.id}.npz").unlink()  # to try again, which goes well
    assert run(study, monkeypatch) == 1
    assert store.meta()["given_up"] == {}
    assert {claim.effect for claim in task_count.verdicts(table, settings) if "appears" in claim.claim} == {None}


def test_a_run_is_audited_and_a_leak_stops_it(study, monkeypatch):
    run(study, monkeypatch)
    found = study[2].meta()["audit"]["errands"]
    assert found["sound"]
    assert sum(found["nearest"].values()) == 8
    (study[2].path / "meta.json").unlink()
    shutil.rmtree(study[2].path / "cells")
    leak = envs.make("errands", "leak", **study[0].knobs["errands"])
    monkeypatch.setattr(runner, "chosen_family", lambda settings, name: leak)
    with pytest.raises(training.RunError, match="errands: 8 held-out tasks are drawn for training"):
        run(study, monkeypatch)
