"""A run directory from somebody else is data: nothing in it is executed, unpacked without bounds, or left unescaped."""

import io
import json
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest

from incentivize.experiments.cli.main import main
from incentivize.experiments.errors import InputError
from incentivize.experiments.storage import parameters, run_directory
from incentivize.experiments.storage.cell_store import CellStore
from incentivize.experiments.storage.io import MAX_SETTINGS_BYTES
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.studies import task_count
from incentivize.experiments.training.checkpoints import GroupCheckpointer
from incentivize.experiments.training.groups import CellGroup
from tests.helpers.damage import copy
from tests.helpers.drawing import leave_out_pictures

SCRIPT = "<script>alert(1)</script>\x1b[31m"


class Evil:
    """Makes a directory when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def run(tiny_run, tmp_path):
    return copy(tiny_run, tmp_path / "run")


@pytest.fixture
def undrawn(monkeypatch):
    """Reports without pictures."""
    leave_out_pictures(monkeypatch)


def objects(evil):
    """An .npz whose array has to be unpickled."""
    buffer = io.BytesIO()
    np.savez(buffer, tasks=np.array([evil], object), counts=np.array([evil], object), about=np.array([evil], object))
    return buffer.getvalue()


def again(run, tiny_config):
    return main(["run", "task-count", "--config", str(tiny_config), "--out", str(run), "--alone"])


def test_it_would_be_noticed(tmp_path):
    pickle.loads(pickle.dumps(Evil(tmp_path / "hurt")))
    assert (tmp_path / "hurt").exists()


@pytest.mark.parametrize("content", [objects, pickle.dumps], ids=["npz", "pickle"])
def test_nothing_is_unpickled(content, undrawn, run, tiny_config, trained, tmp_path, capsys):
    evil = content(Evil(tmp_path / "hurt"))
    files = ["tasks.npz", "meta.json", "config.toml", "results.jsonl", "status.json"]
    cell = task_count.cells(RunDirectory(run).settings())[3].id
    files += [f"cells/{cell}.npz", f"checkpoints/{cell}.msgpack"]
    for name in files:
        kept = (run / name).read_bytes()
        (run / name).write_bytes(evil)
        assert main(["report", str(run), "--out", str(tmp_path / "report")]) in (0, 2)
        assert again(run, tiny_config) in (0, 2)
        (run / name).write_bytes(kept)
    (run / "params.msgpack").write_bytes(evil)
    with pytest.raises(InputError, match="cannot be read as parameters"):
        parameters.load(str(run / "params.msgpack"), {"kernel": np.zeros(10_000, np.float32)})
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "hurt").exists()


def test_counts_that_have_to_be_unpickled_are_refused_though_they_are_what_was_written(run, tmp_path, capsys):
    directory = RunDirectory(run)
    (run / "tasks.npz").write_bytes(objects(Evil(tmp_path / "hurt")))
    directory.publish(directory.rows())  # with the digest of these
    assert main(["report", str(run)]) == 2
    assert "tasks.npz: cannot be read as part of a run" in capsys.readouterr().err
    assert not (tmp_path / "hurt").exists()


def test_a_checkpoint_of_pickles_is_no_checkpoint(tiny_run, tmp_path, capsys):
    (cell, *_) = task_count.cells(RunDirectory(tiny_run).settings())
    group = CellGroup((cell,), 1)
    keeper = GroupCheckpointer(tmp_path, group, 0)
    for name in ("sealed.json", "manifest.ocdbt", "_METADATA", "default/_METADATA"):
        path = tmp_path / group.id / "512" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(Evil(tmp_path / "hurt")))
    keeper.manager.reload()
    assert keeper.load(None, lambda number: ()) is None  # type: ignore[arg-type]
    keeper.close()
    assert "damaged" in capsys.readouterr().err
    assert not (tmp_path / "hurt").exists()


def test_a_file_that_unpacks_to_more_than_it_can_hold_is_not_unpacked(tiny_run, run, capsys):
    cell = task_count.cells(RunDirectory(run).settings())[0]
    path = run / "cells" / f"{cell.id}.npz"
    with zipfile.ZipFile(path) as archive:
        sound = {name: archive.read(name) for name in ("about.npy", "counts.npy")}
    for name in sound:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in (sound | {name: bytes(64 * MAX_SETTINGS_BYTES)}).items():
                archive.writestr(member, content)
        assert path.stat().st_size < MAX_SETTINGS_BYTES
        assert CellStore(run, None, {}).load(cell) is None
        assert "it is larger than it can be" in capsys.readouterr().err


def test_a_report_writes_nowhere_else(run, tmp_path, capsys):
    there = tmp_path / "elsewhere"
    there.mkdir()
    for name in ("figures", "report.html.part", "claims.json.part", "lock"):
        path = run / name
        kept = path.rename(tmp_path / "kept") if path.exists() else None
        path.symlink_to(there if name == "figures" else there / "file")
        assert main(["report", str(run)]) == 2
        assert f"{path}: leads out of the run directory" in capsys.readouterr().err
        assert list(there.iterdir()) == []
        path.unlink()
        if kept:
            kept.rename(path)
    assert main(["report", str(run)]) == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_pipe_in_a_files_place_is_not_waited_for(run, tiny_config, capsys):
    for name in ("results.jsonl", "cells/pipe.npz"):
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)
        assert main(["report", str(run)]) == again(run, tiny_config) == 2
        assert f"{run / name}: is neither a file nor a directory" in capsys.readouterr().err
        (run / name).unlink()


def test_texts_have_a_bound(run, monkeypatch, capsys):
    monkeypatch.setattr(run_directory, "MAX_ROWS_BYTES", 100)
    assert main(["report", str(run)]) == 2
    assert "it is larger than it can be" in capsys.readouterr().err
    monkeypatch.setattr(run_directory, "MAX_SETTINGS_BYTES", 100)
    assert main(["report", str(run)]) == 2
    assert "not a run directory" in capsys.readouterr().err


def test_counts_have_a_bound(run, capsys):
    directory = RunDirectory(run)
    with zipfile.ZipFile(run / "tasks.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tasks.npy", bytes(64 * MAX_SETTINGS_BYTES))
    directory.publish(directory.rows())
    assert main(["report", str(run)]) == 2
    assert "tasks.npz: cannot be read as part of a run (ValueError: it is larger" in capsys.readouterr().err


def test_odd_files_in_runs_beside_do_not_matter(undrawn, tiny_run, tiny_config, trained, tmp_path, capsys):
    beside = copy(tiny_run, tmp_path / "beside")
    files = sorted((beside / "cells").iterdir())
    changes = [
        {"computed": {}},
        {"computed": {"points": [0]}},
        {"seconds": float("nan")},
        {"seconds": "long"},
        {"n_params": True},
        {"code": []},
        {"failure": None},
    ]
    for path, change in zip(files, changes, strict=False):
        with np.load(path) as archive:
            counts, about = archive["counts"], json.loads(archive["about"].tobytes()) | change
        np.savez_compressed(path, counts=counts, about=np.frombuffer(json.dumps(about).encode(), np.uint8))
    for path in files[len(changes) :][:2]:
        path.unlink()
    files[len(changes)].symlink_to(tmp_path / "nowhere")
    files[len(changes) + 1].mkdir()
    arguments = ["run", "task-count", "--config", str(tiny_config), "--out", str(tmp_path / "run")]
    for _ in range(2):  # whatever a first attempt takes over does not stop a second one
        assert main(arguments) == 0
    said = capsys.readouterr()
    assert f"{len(files) - len(changes) - 2} reused from other runs" in said.out
    assert "damaged" not in said.err
    assert RunDirectory(tmp_path / "run").rows() == RunDirectory(tiny_run).rows()


@pytest.mark.parametrize("packed", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_an_archive_says_of_its_size_is_not_believed(packed, run, capsys):
    cell = task_count.cells(RunDirectory(run).settings())[0]
    path = run / "cells" / f"{cell.id}.npz"
    with zipfile.ZipFile(path, "w", packed) as archive:
        archive.writestr("about.npy", bytes(120 * MAX_SETTINGS_BYTES))
    data, told = path.read_bytes(), (120 * MAX_SETTINGS_BYTES).to_bytes(4, "little")
    assert data.count(told) >= 1
    path.write_bytes(data.replace(told, (200).to_bytes(4, "little")))
    tracemalloc.start()
    assert CellStore(run, None, {}).load(cell) is None
    assert tracemalloc.get_traced_memory()[1] < 100 * MAX_SETTINGS_BYTES
    tracemalloc.stop()
    assert "damaged" in capsys.readouterr().err
    with path.open("wb") as file:
        file.truncate(2**40)  # of nothing
    assert CellStore(run, None, {}).load(cell) is None
    assert "it is larger than it can be" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cell", "other"),
        ("family", "mazes"),
        ("env_steps", 1),
        ("evaluated_on", "odd"),
        ("episodes", 0),
        ("successes", 99),
    ],
)
def test_counts_that_are_of_no_evaluation_are_no_counts(name, value, run, capsys):
    cell = task_count.cells(RunDirectory(run).settings())[0]
    path = run / "cells" / f"{cell.id}.npz"
    with np.load(path) as archive:
        counts, about = archive["counts"], archive["about"]
    counts[name][0] = value
    np.savez_compressed(path, counts=counts, about=about)
    assert CellStore(run, None, {}).load(cell) is None
    assert "damaged" in capsys.readouterr().err


def test_text_that_is_none_is_no_text(run, capsys):
    cell = task_count.cells(RunDirectory(run).settings())[0]
    path = run / "cells" / f"{cell.id}.npz"
    with np.load(path) as archive:
        counts, about = archive["counts"], archive["about"]
    counts = counts.copy()
    counts["evaluated_on"][:1].view(np.uint32)[0] = 2**31
    np.savez_compressed(path, counts=counts, about=about)
    assert CellStore(run, None, {}).load(cell) is None
    assert "its evaluated_on" in capsys.readouterr().err


def test_what_cannot_be_gone_on_with_is_left_as_it_is(run, tiny_config, capsys):
    next((run / "cells").iterdir()).unlink()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert main(["run", "task-count", "--config", str(tiny_config), "--out", str(run), "--alone", "--debug"]) == 2
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_links_to_themselves_or_to_nothing_and_tables_that_are_none(run, tiny_config, capsys):
    directory = RunDirectory(run)
    for target in ("odd", "nothing"):
        (run / "odd").symlink_to(run / target)
        assert main(["report", str(run)]) == 2
        assert "odd: leads out of the run directory, or nowhere" in capsys.readouterr().err
        (run / "odd").unlink()
    for odd in ({"audit": [1]}, {"seconds": "long"}, {"scripted": 3}):
        directory.publish(directory.rows(), **odd)
        assert main(["report", str(run)]) == 2
        assert "meta.json: cannot be read" in capsys.readouterr().err
        (run / "meta.json").unlink()


def test_strings_from_files_are_escaped(run, tiny_run, capsys):
    directory = RunDirectory(run)
    meta, rows = directory.meta(), directory.rows()
    for row in rows:
        row["variant"] = row["network"] = SCRIPT
    ledger = {key: entry | {"label": SCRIPT, SCRIPT: SCRIPT} for key, entry in meta["ledger"].items()}
    audit = {SCRIPT: meta["audit"]["errands"] | {"nearest": {SCRIPT: SCRIPT}}}
    directory.publish(
        rows[:-40],
        ledger=ledger,
        audit=audit,
        given_up={rows[-1]["cell"]: SCRIPT},
        versions={SCRIPT: SCRIPT},
        commit=SCRIPT,
    )
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert page.count("alert(1)") > 10
    assert page.count("<script") == (tiny_run / "report.html").read_text().count("<script")  # those that are its own
    for path in (run / "figures").iterdir():
        assert b"<script>alert" not in path.read_bytes()
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "alert(1)" in said.out


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('study = "task-count"', 'study = "../../../etc/passwd"', "study = '../../../etc/passwd'"),
        ('"errands",', '"../errands",', "families"),
        ('study = "task-count"', f'study = "{SCRIPT[:-5]}\\u001b"', "study = "),
        ("attributes = 3", "attributes = 0", "attributes = 0: expected an integer from 2 to 64"),
        ("attributes = 3", '__class__ = "x"', "__class__"),
        ('reward = "sparse"', 'reward = "os.system"', "os.system"),
    ],
)
def test_settings_name_what_there_is_and_nothing_else(old, new, named, run, tmp_path, capsys):
    directory = RunDirectory(run)
    text = (run / "config.toml").read_text()
    assert old in text
    (run / "config.toml").write_text(text.replace(old, new))
    directory.publish(directory.rows())
    status = main(["report", str(run), "--out", str(tmp_path / "report")])
    said = capsys.readouterr().err
    if "reward" in old:  # a report asks no reward
        assert status in (0, 2)
        return
    assert status == 2
    assert named in said
    assert "\x1b" not in said


def test_parameters_from_elsewhere_are_named_by_their_content(run, tiny_config, tmp_path, capsys):
    arguments = ["run", "task-count", "--config", str(tiny_config), "--out", str(tmp_path / "new")]
    assert main([*arguments, "--start-from", "/etc/hostname"]) == 2
    said = capsys.readouterr().err
    assert "cannot be read as parameters" in said or "is larger than" in said or "there is no such file" in said
    assert not (tmp_path / "new").exists()
