"""Parameters in files: saved whole, loaded with suspicion, and what fine-tuning starts from."""

import tomllib
from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import serialization

from incentivize.experiments.cli.main import main
from incentivize.experiments.errors import InputError
from incentivize.experiments.storage import parameters
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.studies import task_count
from incentivize.experiments.training import loop
from incentivize.experiments.training.groups import CellGroup

PARAMS = {"encoder": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}, "memory": {}, "heads": np.ones(3, "f4")}


@pytest.fixture
def saved(tmp_path):
    """A file with PARAMS."""
    path = tmp_path / "checkpoints" / "first.msgpack"
    parameters.save(path, PARAMS)
    return path


@pytest.fixture(scope="module")
def generalist(tiny_run):
    """A finished cell, and its file."""
    cell = next(
        c for c in task_count.cells(RunDirectory(tiny_run).settings()) if c.role == "generalist" and not c.pool_size
    )
    return cell, tiny_run / "checkpoints" / f"{cell.id}.msgpack"


def params_equal(first, second):
    return all(jax.tree.leaves(jax.tree.map(np.array_equal, first, second)))


def test_what_is_saved_is_loaded(saved):
    loaded = parameters.load(str(saved), PARAMS)
    assert jax.tree.structure(loaded) == jax.tree.structure(PARAMS)
    assert params_equal(loaded, PARAMS)
    assert [path.name for path in saved.parent.iterdir()] == ["first.msgpack"]


def whole():
    return serialization.to_bytes(PARAMS)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "cannot be read as parameters"),
        (b"\x80\x04\x95garbage", "cannot be read as parameters"),
        (whole()[:-5], "cannot be read as parameters"),
        (whole() + b"\x00", "cannot be read as parameters"),
        (b"\x91" * 5000, "cannot be read as parameters"),
        (serialization.to_bytes(PARAMS | {"heads": np.ones(4, "f4")}), "heads is float32 [4], expected float32 [3]"),
        (serialization.to_bytes(PARAMS | {"heads": np.ones(3, "f8")}), "heads is float64 [3], expected float32 [3]"),
        (serialization.to_bytes(PARAMS | {"heads": 3}), "heads is int, expected float32 [3]"),
        (serialization.to_bytes(PARAMS | {"encoder": {}}), "encoder/kernel is missing, expected float"),
        (serialization.to_bytes(PARAMS | {"more\x1b": np.ones(1)}), "more\\x1b is float64 [1], expected missing"),
        (serialization.to_bytes(PARAMS | {"heads": np.full(3, np.nan, "f4")}), "parameters that are not finite"),
        (whole() + bytes(2**20 + 1), "it is larger than it can be"),
    ],
    ids=range(12),
)
def test_a_file_that_will_not_do_is_refused_by_name(content, named, saved):
    saved.write_bytes(content)
    with pytest.raises(InputError) as caught:
        parameters.load(str(saved), PARAMS)
    assert str(caught.value).startswith(f"{saved}: ")
    assert named in str(caught.value)


def test_a_file_that_changes_is_refused(saved):
    assert params_equal(parameters.load(f"{saved}#sha256={parameters.short_digest(whole())}", PARAMS), PARAMS)
    with pytest.raises(InputError, match="its content has changed"):
        parameters.load(f"{saved}#sha256={'0' * 16}", PARAMS)


@pytest.mark.parametrize("name", ["none.msgpack", "", "a\0b", "."])
def test_what_is_no_file_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        parameters.load(name, PARAMS)


def test_every_cell_leaves_its_parameters(tiny_run):
    cells = task_count.cells(RunDirectory(tiny_run).settings())
    assert {path.stem for path in (tiny_run / "checkpoints").iterdir()} == {cell.id for cell in cells}


def test_fine_tuning_starts_from_exactly_the_saved_parameters_and_trains_on(generalist, tiny_run):
    cell, path = generalist
    own = cell.training.model_copy(update={"start_from": str(path)})
    last = cell.evaluation_points[-1][0]
    tuned = replace(cell, training=own, pool_size=4, pool_seed=7, evaluation_points=((0, "total"), (last, "total")))
    fresh = replace(tuned, training=cell.training)  # beside it in the same program
    start, other = loop.train(
        CellGroup(tuple(replace(c, evaluation_points=((0, "total"),)) for c in (tuned, fresh)), 2)
    )
    saved = parameters.load(str(path), start.params)
    assert params_equal(start.params, saved)
    assert not params_equal(other.params, saved)
    after, _ = loop.train(CellGroup((tuned, fresh), 2))
    counts = RunDirectory(tiny_run).tasks(10**6)
    for split in ("validation", "unseen", "specialty"):  # the tasks and instances that both are evaluated on
        before = counts[(counts["cell"] == cell.id) & (counts["env_steps"] == last) & (counts["evaluated_on"] == split)]
        begin = after.counts[(after.counts["env_steps"] == 0) & (after.counts["evaluated_on"] == split)]
        for key in ("ordinal", "successes", "successes_greedy", "steps"):
            assert (before[key] == begin[key]).all()
    assert not params_equal(after.params, saved)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after.params))


def test_a_study_starts_from_a_file_and_goes_on_only_with_the_same(
    generalist, tiny_run, tiny_config, tmp_path, capsys, monkeypatch
):
    cell, path = generalist
    mine, out = tmp_path / "mine.msgpack", tmp_path / "run"
    mine.write_bytes(path.read_bytes())
    arguments = ["run", "test-time", "--config", str(tiny_config), "--out", str(out), "--workers", "1", "--seeds", "1"]
    arguments += ["--simulations", "0", "--attempts", "1", "--start-from", str(mine)]
    assert main([*arguments, "--debug"]) == 0
    begin = RunDirectory(out).tasks(10**6)
    begin = begin[(begin["env_steps"] == 0) & (begin["evaluated_on"] == "unseen")]
    end = RunDirectory(tiny_run).tasks(10**6)
    end = end[
        (end["cell"] == cell.id)
        & (end["env_steps"] == cell.evaluation_points[-1][0])
        & (end["evaluated_on"] == "unseen")
    ]
    assert len(begin)
    assert (begin["successes"] == end["successes"]).all()
    noted = tomllib.loads((out / "config.toml").read_text())["training"]["errands"]["start_from"]
    assert noted.startswith(f"{mine}#sha256=")
    assert main(arguments) == 0
    assert "0 cells to train" in capsys.readouterr().out
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")  # by another path, from another folder
    for same in ("../mine.msgpack", str(tmp_path / "sub" / ".." / "mine.msgpack")):
        assert main([*arguments[:-1], same]) == 0
        assert "0 cells to train" in capsys.readouterr().out
    monkeypatch.undo()
    mine.unlink()
    for way in (arguments, [*arguments[:2], "--config", str(out / "config.toml"), "--out", str(out)]):
        assert main(way) == 0  # it is finished, and left as it is
        assert "0 cells to train" in capsys.readouterr().out
    assert main([*arguments, "--out", str(tmp_path / "new")]) == 2
    assert f"{mine}: there is no such file" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    kept = next((out / "cells").iterdir())
    content = kept.read_bytes()
    kept.unlink()
    assert main(arguments) == 2
    assert f"start_from = '{mine}': the file no longer exists" in capsys.readouterr().err
    assert RunDirectory(out).status()["state"] == "done"  # nothing was begun
    kept.write_bytes(content)
    other = next(p for p in sorted(path.parent.iterdir()) if p != path and p.stat().st_size == path.stat().st_size)
    mine.write_bytes(other.read_bytes())
    assert main(arguments) == 2
    text = capsys.readouterr().err
    assert "holds a run of other settings (training.errands.start_from: " in text
    assert text.count("#sha256=") == 2


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--start-from", "none.msgpack"], "training.errands.start_from = none.msgpack: there is no such file"),
        (["--start-from", "FILE", "--width", "16"], "is of another network: "),
        (["--start-from", "FILE", "--network", "mlp"], "is of another network: "),
        (["--start-from", "BROKEN"], "cannot be read as parameters"),
    ],
)
def test_bad_files_are_refused_before_anything_compiles(more, named, generalist, tiny_config, tmp_path, capsys):
    broken = tmp_path / "broken.msgpack"
    broken.write_bytes(generalist[1].read_bytes()[:-100])
    files = {"FILE": str(generalist[1]), "BROKEN": str(broken)}
    arguments = ["run", "task-count", "--config", str(tiny_config), "--out", str(tmp_path / "run")]
    assert main([*arguments, *(files.get(word, word) for word in more)]) == 2
    text = capsys.readouterr().err
    assert named in text
    assert text.count("\n") == 1
    assert not (tmp_path / "run").exists()
