"""Trackers show what the rows say, once, and disturb nothing."""

import json
import re
import shutil
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from incentivize.experiments.cli.main import main
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.trackers import sync
from incentivize.experiments.trackers.record import MEASURES, TrackerRun, run_of_study, runs_of_cells
from incentivize.experiments.trackers.registry import TRACKERS
from incentivize.experiments.trackers.sync import TrackerSync, open_tracker
from tests.helpers.paths import DOCS

DOC = (DOCS / "trackers.md").read_text(encoding="utf-8")


@pytest.fixture
def directory(tiny_run, tmp_path):
    """A finished run of one's own."""
    return RunDirectory(Path(shutil.copytree(tiny_run, tmp_path / "run")))


class Kept:
    """Keeps what it is given."""

    def __init__(self):
        self.names, self.records, self.opened, self.closed = [], {}, 0, 0

    def __call__(self, folder):
        assert folder.is_dir()
        self.opened += 1
        return self

    def write(self, record):
        self.names.append(record.name)
        self.records[record.name] = record

    def close(self):
        self.closed += 1


@pytest.fixture
def kept(monkeypatch):
    """The tracker `tensorboard`, replaced by one that keeps what it is given."""
    kept = Kept()
    monkeypatch.setattr(sync, "load_tracker", lambda name: kept)
    return kept


def follow(directory, name="tensorboard"):
    with open_tracker(name, directory) as follower:
        follower.on_study_finished()


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_event_files_say_what_the_rows_say_and_a_second_run_adds_nothing(directory):
    folder = directory.path / "trackers" / "tensorboard"
    follow(directory)
    rows = [row for row in directory.rows() if row["role"] not in ("uniform", "scripted")]
    found, wanted = {}, {}
    for path in folder.rglob("events*"):
        events = EventAccumulator(str(path)).Reload()
        for tag in events.Tags()["scalars"]:
            for event in events.Scalars(tag):
                found[path.parent.name, path.parts[-5], tag, event.step] = event.value
    for row in rows:
        for key in MEASURES:
            if row[key] is not None:
                wanted[row["cell"], row["role"], f"{key}/{row['evaluated_on']}", row["env_steps"]] = np.float32(
                    row[key]
                )
    assert found == wanted
    assert {tag for *_, tag, _ in found} >= {"success/unseen", "score/unseen", "success_greedy/seen"}
    study = EventAccumulator(str(folder / "study")).Reload()
    text = study.Tensors("verdicts/text_summary")[0].tensor_proto.string_val[0].decode()
    for claim in json.loads((directory.path / "claims.json").read_text()):
        assert claim["claim"] in text
    assert study.Images("figure")[0].width > 100
    before = files(folder)
    follow(directory)
    assert files(folder) == before
    directory.check_no_outside_links()


def test_only_what_has_changed_is_written_again_and_all_where_the_folder_is_gone(directory, kept):
    follow(directory)
    everything = list(kept.names)
    assert len(set(everything)) == len(everything) > 10
    rows = directory.rows()
    changed = next(row for row in rows if row["role"] == "specialist")
    directory.publish([row | {"success": 0.987} if row == changed else row for row in rows])
    kept.names.clear()
    follow(directory)
    assert [name.rpartition("/")[2] for name in kept.names] == [changed["cell"]]
    assert 0.987 in {value for at in kept.records[kept.names[0]].points.values() for value in at.values()}
    kept.names.clear()
    (directory.path / "trackers" / "tensorboard" / "written.json").write_text("{")
    follow(directory)
    assert kept.names == everything


def test_rows_whose_scores_may_still_come_wait(directory, kept):
    directory.update_meta(blind={"errands": None})
    with open_tracker("tensorboard", directory) as follower:
        follower.on_cells_finished()
        assert not kept.opened
        follower.on_study_finished()
    assert len(kept.names) > 10
    assert kept.closed == 1


def test_runs_are_named_by_what_they_are(directory):
    records = runs_of_cells(directory, include_unscored=True)
    names = {record.name for record in records}
    assert len(names) == len(records)
    row = next(row for row in directory.rows() if row["role"] == "generalist" and row["pool_size"] is None)
    assert f"errands/generalist/pool-new/seed-{row['seed']}/{row['cell']}" in names
    assert {record.group for record in records} == {"run"}
    assert [record.name for record in run_of_study(directory)] == ["study"]
    (directory.path / "claims.json").unlink()
    assert not run_of_study(directory)


def test_a_mixture_and_a_search_have_tags_of_their_own(directory):
    row = next(row for row in directory.rows() if row["role"] == "generalist")
    row |= {"role": "mixture", "success_by_attempt": [0.25, 0.5]}
    directory.publish([row, row | {"family": "mazes", "simulations": 16, "success": 0.75}])
    (record,) = runs_of_cells(directory, include_unscored=True)
    split = row["evaluated_on"]
    assert record.config["family"] == "errands+mazes"
    ((_, scalars),) = record.points.items()
    assert scalars[f"success/errands/{split}"] == row["success"]
    assert scalars[f"success/mazes/{split}/simulations-16"] == 0.75
    assert scalars[f"success_by_attempt/errands/{split}/2"] == 0.5


def test_wandb_works_without_an_account_and_without_a_network(directory, monkeypatch, capsys, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_DISABLE_WEAVE", "true")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    rows = directory.rows()
    one = next(row for row in rows if row["role"] == "generalist")
    directory.publish([row for row in rows if (row["cell"], row["role"]) == (one["cell"], one["role"])])
    follow(directory, "wandb")
    folder = directory.path / "trackers" / "wandb"
    runs = list(folder.glob("offline-run-*"))
    assert len(runs) == 2
    assert all(list(run.glob("*.wandb")) for run in runs)
    assert any(one["cell"].encode() in data for path, data in files(folder).items() if path.suffix == ".wandb")
    assert list(folder.rglob("*.png"))
    assert capsys.readouterr().err.count("there is no API key") == 1
    directory.check_no_outside_links()  # no link leads out of the run
    before = files(folder)
    follow(directory, "wandb")
    assert files(folder) == before


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """Weights & Biases without an account; says which variables it has, of a sweep's agent."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    for name, value in {"MODE": "offline", "CONFIG_DIR": str(tmp_path / "config"), "DISABLE_WEAVE": "true"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    told = {"SWEEP_ID": "abc", "RUN_ID": "mine", "RESUME": "must", "RUN_GROUP": "theirs", "NAME": "one", "LAUNCH": "1"}
    for name, value in told.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    return [f"WANDB_{name}" for name in told]


def test_under_the_agent_of_a_sweep_records_stay_apart(offline, tmp_path, capsys):
    made = sync.load_tracker("wandb")(tmp_path)
    try:
        for name in ("one", "two"):
            made.write(TrackerRun(name, "group", {"role": name}, {1: {"success/unseen": 0.5}}))
    finally:
        made.close()
    assert len({path.name.rpartition("-")[2] for path in tmp_path.glob("offline-run-*")}) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert all(name in said for name in offline)


def test_names_are_as_long_as_the_server_of_wandb_takes_them(tmp_path, monkeypatch):
    from incentivize.experiments.trackers import weights_and_biases

    begun = []

    class Run:
        __enter__ = lambda self: self  # noqa: E731
        __exit__ = log = lambda *_, **__: None

    monkeypatch.setattr(weights_and_biases.wandb, "init", lambda **how: begun.append(how) or Run())
    tracker = object.__new__(weights_and_biases.WandB)
    tracker.folder, tracker.mode, tracker.settings = tmp_path, "offline", None
    for name, group in (("a", "g" * 128), ("n" * 129, "g" * 129), ("n" * 129, "g" * 130)):
        tracker.write(TrackerRun(name, group, {}))
    assert begun[0]["group"] == "g" * 128
    assert len({how["group"] for how in begun}) == 3
    assert all(len(how[key]) <= 128 for how in begun for key in ("name", "group", "job_type"))


@pytest.mark.parametrize("where", ["write", "close", "open"])
def test_a_tracker_that_raises_is_one_warning(where, directory, kept, monkeypatch, capsys):
    def fail(*_):
        raise OSError(28, "No space left on device")

    if where == "open":
        monkeypatch.setattr(sync, "load_tracker", fail)
    else:
        monkeypatch.setattr(kept, where, fail)
    with open_tracker("tensorboard", directory) as follower:
        follower.on_cells_finished()
        follower.on_cells_finished()
        follower.on_study_finished()
    said = capsys.readouterr().err
    assert said.count("warning: --tracker = 'tensorboard': the disk is full") == 1
    assert len(said.splitlines()) == 1
    assert (directory.path / "trackers" / "tensorboard" / "written.json").exists() == (where == "close")


def test_a_tracker_leaves_the_run_and_its_exit_status_as_they_are(directory, kept, monkeypatch, tiny_config, capsys):
    def fail(_):
        raise RuntimeError("the server is gone\nfor good")

    monkeypatch.setattr(kept, "write", fail)
    before = files(directory.path)
    arguments = ["run", "task-count", "--config", str(tiny_config), "--out", str(directory.path), "--tracker", "wandb"]
    assert main(arguments) == 0
    assert "warning: --tracker = 'wandb': the server is gone. The study goes on without it." in capsys.readouterr().err
    assert kept.closed == 1
    changed = {path.name for path, data in files(directory.path).items() if before.get(path) != data}
    assert changed <= {"lock"}


def test_a_run_is_followed_while_it_is_made(tiny_config, tmp_path, trained, kept, monkeypatch):
    seen = []
    monkeypatch.setattr(TrackerSync, "on_study_finished", lambda self: seen.append(len(kept.names)))
    arguments = ["run", "task-count", "--config", str(tiny_config), "--out", str(tmp_path / "run"), "--alone"]
    assert main([*arguments, "--tracker", "tensorboard"]) == 0
    assert seen == [
        len(runs_of_cells(RunDirectory(tmp_path / "run"), include_unscored=True))
    ]  # all of them, before it was done
    assert (kept.opened, kept.closed) == (1, 1)


def test_an_unknown_name_is_refused(tmp_path, capsys):
    assert main(["run", "task-count", "--out", str(tmp_path / "run"), "--tracker", "tensorbord"]) == 2
    assert "--tracker = 'tensorbord': there is no such name. Did you mean 'tensorboard'?" in " ".join(
        capsys.readouterr().err.split()
    )


@pytest.mark.parametrize(("name", "needs"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_missing_library_is_refused_in_a_sentence(name, needs, tmp_path, capsys, monkeypatch):
    for module in [one for one in sys.modules if one.partition(".")[0] == needs]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, TRACKERS[name].module, raising=False)
    monkeypatch.setattr(sys, "meta_path", [type("Lacking", (), {"find_spec": lacking(needs)})(), *sys.meta_path])
    assert main(["run", "task-count", "--out", str(tmp_path / "run"), "--tracker", name]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said == (
        f"--tracker = {name!r}: needs {needs}, which is not installed. Run pip install 'incentivize[{name}]'."
    )
    assert not (tmp_path / "run").exists()


def lacking(needs):
    def find_spec(self, name, *_):
        if name.partition(".")[0] == needs:
            raise ModuleNotFoundError(f"No module named {needs!r}", name=needs)

    return find_spec


def test_the_tracker_of_the_docs_runs(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
    (text,) = re.findall(r"```toml\n(.*?)```", DOC, re.DOTALL)
    ((group, entries),) = tomllib.loads(text)["project"]["entry-points"].items()
    assert group == f"incentivize.{TRACKERS.kind}"
    (entry,) = (EntryPoint(name, where, group) for name, where in entries.items())
    names = {}
    exec(compile(code, "trackers.md", "exec"), names)
    tracker = names[entry.attr](tmp_path)
    tracker.write(TrackerRun("errands/generalist", "mine", {"seed": 0}, {1024: {"success/unseen": 0.5}}))
    tracker.close()
    said = json.loads((tmp_path / "errands_generalist.json").read_text())
    assert said["points"] == {"1024": {"success/unseen": 0.5}}
