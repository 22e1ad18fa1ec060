"""Finished cells: taken from sibling runs where they can be used, and said where they cannot."""

import errno

import numpy as np
import pytest

from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import load_file, resolve
from incentivize.experiments.storage import cell_store as cell_store_module
from incentivize.experiments.storage.cell_store import CellResult, CellStore
from incentivize.experiments.storage.code_version import CodeVersion
from incentivize.experiments.storage.schema import count_fields
from incentivize.experiments.studies import task_count


@pytest.fixture
def cell_stores(tiny_config, tmp_path, monkeypatch):
    """A cell, an empty run, and a sibling that has finished the cell."""
    monkeypatch.setattr(cell_store_module, "code_version", lambda *_: CodeVersion("0123456789abcdef"))
    base = {"study": "task-count", "preset": "quick"} | task_count.PRESETS["quick"]
    cell = task_count.cells(resolve(base, presets.training_defaults("quick"), load_file(tiny_config)))[0]
    counts = np.zeros(1, count_fields(cell.life))
    counts["cell"], counts["family"], counts["evaluated_on"] = cell.id, cell.family, "seen"
    counts["env_steps"], counts["episodes"] = cell.evaluation_points[0][0], 4
    for name in ("run", "sibling"):
        (tmp_path / name).mkdir()
    empty, sibling = (CellStore(tmp_path / name, tmp_path, {}) for name in ("run", "sibling"))
    sibling.save(CellResult(cell, counts, 5, 1.5, {"kernel": np.ones(3, np.float32)}))
    return cell, empty, sibling


def test_a_cell_of_a_sibling_is_copied_with_its_parameters(cell_stores, capsys):
    cell, cell_store, sibling = cell_stores
    assert cell_store.load(cell) is None
    imported = cell_store.import_from_siblings(cell)
    assert imported is not None
    assert imported.about["episodes"] == 5
    parameters = f"checkpoints/{cell.id}.msgpack"
    assert (cell_store.run / parameters).read_bytes() == (sibling.run / parameters).read_bytes()
    loaded = cell_store.load(cell)
    assert loaded is not None
    assert loaded.about == imported.about
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["cells/{}.npz", "checkpoints/{}.msgpack"])
def test_a_damaged_cell_of_a_sibling_is_named_in_one_line(name, cell_stores, capsys):
    cell, cell_store, sibling = cell_stores
    path = sibling.run / name.format(cell.id)
    path.write_bytes(path.read_bytes()[:-9])
    assert cell_store.import_from_siblings(cell) is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{sibling.run}/cells/{cell.id}.npz: cannot be used")
    assert not (cell_store.run / "cells").exists()


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(errno.EMFILE, "Too many open files"), AttributeError("a bug")]
)
def test_neither_want_of_resources_nor_a_bug_is_taken_for_damage(error, cell_stores, monkeypatch):
    cell, cell_store, _ = cell_stores

    def fail(*_):
        raise error

    monkeypatch.setattr(cell_store_module, "_read", fail)
    with pytest.raises(type(error)):
        cell_store.import_from_siblings(cell)


def test_a_full_disk_is_not_taken_for_a_damaged_file(cell_stores, monkeypatch):
    cell, cell_store, _ = cell_stores

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cell_store_module, "write_atomic", fail)
    with pytest.raises(OSError, match="No space left"):
        cell_store.import_from_siblings(cell)
