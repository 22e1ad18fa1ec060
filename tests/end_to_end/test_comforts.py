"""What is only shown or kept for later ends no run: drawing, reports, printing, trackers, compiled programs."""

import errno
import json
import os
import sys

import pytest
from jax._src.lru_cache import LRUCache

from incentivize.experiments.cli.main import main
from incentivize.experiments.errors import Stopped
from incentivize.experiments.execution import scheduler
from incentivize.experiments.runtime import signals
from incentivize.experiments.runtime.compilation_cache import cache_folder, enable_cache
from incentivize.experiments.storage.ownership import set_status
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.trackers import registry, sync
from incentivize.experiments.trackers.sync import open_tracker
from tests.helpers.damage import copy
from tests.helpers.drawing import leave_out_pictures


@pytest.fixture
def unfinished(tiny_run, tmp_path, trained, monkeypatch):
    """A run of which one cell is missing still, and whose report has no pictures."""
    leave_out_pictures(monkeypatch)
    run = copy(tiny_run, tmp_path / "run")
    next((run / "cells").iterdir()).unlink()
    return run


def arguments(config, run):
    return ["run", "task-count", "--config", str(config), "--out", str(run), "--alone"]


def state(run):
    return json.loads((run / "status.json").read_text())["state"]


def raising(error):
    def act(*_, **__):
        raise error

    return act


@pytest.mark.parametrize(
    ("where", "error", "said"),
    [
        ("presentation.charts.save", ValueError("no such backend\nat all"), "no such backend"),
        ("reporting.report.plotly_panels", SystemExit("not today"), "not today"),
        ("reporting.report._page", OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        ("reporting.report.rich_table", KeyError(), "KeyError"),
    ],
)
def test_a_run_is_done_whatever_becomes_of_its_report(
    where, error, said, unfinished, tiny_run, tiny_config, monkeypatch, capsys
):
    with monkeypatch.context() as patch:
        patch.setattr(f"incentivize.experiments.{where}", raising(error))
        assert main(arguments(tiny_config, unfinished)) == 0
        warned = capsys.readouterr().err
        assert f"warning: {unfinished}: all training is done, but the report is not ({said}" in warned
        assert f"`incentivize report {unfinished}` makes it" in warned
        assert state(unfinished) == "done"
        assert not (unfinished / "report.html").exists()
        assert main(["report", str(unfinished)]) == 1  # there it is what was asked for
        assert capsys.readouterr().err.startswith("failed: ")
    for name in ("results.jsonl", "claims.json", "tables.json"):
        assert (unfinished / name).read_bytes() == (tiny_run / name).read_bytes()
    monkeypatch.setattr(scheduler, "run_groups", raising(AssertionError("nothing is left to be trained")))
    rows = (unfinished / "results.jsonl").stat()
    assert main(arguments(tiny_config, unfinished)) == 0
    assert (unfinished / "report.html").exists()
    assert (unfinished / "results.jsonl").stat() == rows


def test_who_stops_a_run_while_it_reports_stops_it(unfinished, tiny_config, monkeypatch):
    for stop in (Stopped, KeyboardInterrupt):
        monkeypatch.setattr("incentivize.experiments.presentation.charts.save", raising(stop()))
        assert main(arguments(tiny_config, unfinished)) == signals.STOPPED_STATUS
        assert state(unfinished) == "stopped"


def test_a_run_that_once_failed_for_want_of_a_report_is_done(tiny_run, tiny_config, tmp_path):
    run = copy(tiny_run, tmp_path / "run")
    set_status(RunDirectory(run), "failed", "closing tag '[/b]' doesn't match any open tag")
    assert main(arguments(tiny_config, run)) == 0
    assert state(run) == "done"


def test_damaged_claims_of_a_finished_run_are_written_again(tiny_run, tiny_config, tmp_path, monkeypatch, capsys):
    leave_out_pictures(monkeypatch)
    run = copy(tiny_run, tmp_path / "run")
    (run / "claims.json").write_bytes((run / "claims.json").read_bytes() + b"\xe0")
    assert main([*arguments(tiny_config, run), "--json"]) == 0
    captured = capsys.readouterr()
    assert f"{run}/claims.json: is damaged. It is written again." in captured.err
    assert (run / "claims.json").read_bytes() == (tiny_run / "claims.json").read_bytes()
    assert json.loads(captured.out)["claims"] == RunDirectory(tiny_run).claims()


def test_the_exit_status_is_said_where_nothing_else_can_be(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stderr", Gone(OSError(errno.EIO, "Input/output error")))
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    monkeypatch.setattr("incentivize.experiments.cli.commands.run.enable_cache", raising(KeyboardInterrupt()))
    assert main(["run", "task-count"]) == signals.STOPPED_STATUS


class Gone:
    """A terminal that is gone, or a file on a full disk."""

    encoding = "utf-8"

    def __init__(self, error):
        self.write = self.flush = raising(error)

    def isatty(self):
        return False


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), OSError(errno.ENOSPC, "full"), BrokenPipeError()]
)
def test_a_run_goes_on_where_nobody_can_be_told(error, unfinished, tiny_run, tiny_config, monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, Gone(error))
    assert main(arguments(tiny_config, unfinished)) == 0
    assert state(unfinished) == "done"
    assert (unfinished / "report.html").exists()
    assert (unfinished / "results.jsonl").read_bytes() == (tiny_run / "results.jsonl").read_bytes()


@pytest.mark.parametrize("where", ["begin", "write", "close"])
@pytest.mark.parametrize("error", [RuntimeError("no account"), SystemExit("no account")])
def test_a_tracker_that_fails_anywhere_ends_nothing(where, error, tiny_run, tmp_path, monkeypatch, capsys):
    class Failing:
        def __init__(self, folder):
            self._fail("begin")

        def write(self, record):
            self._fail("write")

        def close(self):
            self._fail("close")

        def _fail(self, here):
            if here == where:
                raise error

    monkeypatch.setattr(sync, "load_tracker", lambda name: Failing)
    with open_tracker("tensorboard", RunDirectory(copy(tiny_run, tmp_path / "run"))) as follower:
        follower.on_cells_finished()
        follower.on_study_finished()
    warned = capsys.readouterr().err
    assert warned == "warning: --tracker = 'tensorboard': no account. The study goes on without it.\n"


def test_a_tracker_whose_library_cannot_be_loaded_is_refused_in_a_sentence(monkeypatch, tiny_config, tmp_path, capsys):
    monkeypatch.setattr(registry.TRACKERS, "load", raising(TypeError("Descriptors cannot be created")))
    assert main([*arguments(tiny_config, tmp_path / "run"), "--tracker", "wandb"]) == 2
    assert capsys.readouterr().err.startswith("--tracker = 'wandb': cannot be loaded (TypeError: Descriptors cannot")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def before_jax(monkeypatch):
    """As if jax were not imported yet, with an environment that says nothing of it."""
    monkeypatch.delitem(sys.modules, "jax")
    kept = ("JAX_COMPILATION_CACHE_DIR", "JAX_COMPILATION_CACHE_MAX_SIZE", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
    for name in (*kept, "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
        monkeypatch.delenv(name)
    return monkeypatch


def kept_in():
    enable_cache()
    return os.environ.get("JAX_COMPILATION_CACHE_DIR")


def test_compiled_programs_are_kept_where_that_is_possible(before_jax, tmp_path):
    before_jax.setenv("XDG_CACHE_HOME", str(tmp_path / "new" / "er"))
    assert kept_in() == str(tmp_path / "new" / "er" / "incentivize")
    before_jax.setenv("JAX_COMPILATION_CACHE_DIR", "gs://bucket")
    assert kept_in() == "gs://bucket"
    before_jax.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "own"))
    assert kept_in() == str(tmp_path / "own")


def test_programs_are_kept_beside_one_that_a_killed_process_left_without_its_time(before_jax, tmp_path):
    before_jax.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    (tmp_path / "left-cache").write_bytes(b"a program")
    with pytest.raises(FileNotFoundError):
        LRUCache(str(tmp_path), max_size=100).put("more", b"another")
    assert kept_in() == str(tmp_path)
    LRUCache(str(tmp_path), max_size=100).put("more", b"another")
    assert LRUCache(str(tmp_path), max_size=100).get("more") == b"another"


@pytest.mark.parametrize("way", ["a file", "read-only"])
def test_a_folder_of_ones_own_where_they_cannot_be_kept_is_set_aside_in_a_sentence(way, before_jax, tmp_path, capsys):
    folder = tmp_path / "own"
    before_jax.setenv("JAX_COMPILATION_CACHE_DIR", str(folder))
    if way == "a file":
        folder.touch()
    else:
        before_jax.setattr(
            "incentivize.experiments.runtime.compilation_cache.TemporaryFile",
            raising(OSError(errno.EROFS, "Read-only")),
        )
    assert kept_in() is None
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"JAX_COMPILATION_CACHE_DIR = {folder}: programs cannot be kept there")


def test_a_relative_cache_folder_is_no_value(before_jax, tmp_path):
    before_jax.chdir(tmp_path)
    before_jax.setenv("XDG_CACHE_HOME", "relative")
    before_jax.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "incentivize"
    before_jax.setenv("HOME", "relative")
    assert cache_folder() is None


@pytest.mark.parametrize("way", ["nobody", "a file", "below a file", "read-only", "no text", "no locks"])
def test_where_they_cannot_be_kept_they_are_not_and_nothing_is_said(way, before_jax, tmp_path, capsys):
    (tmp_path / "file").touch()
    before_jax.setenv("XDG_CACHE_HOME", str(tmp_path / "file") if way == "below a file" else str(tmp_path))
    if way == "nobody":
        before_jax.setenv("XDG_CACHE_HOME", "")
        before_jax.setattr(
            "incentivize.experiments.runtime.compilation_cache.Path.home",
            raising(RuntimeError("Could not determine home")),
        )
    elif way == "a file":
        (tmp_path / "incentivize").touch()
    elif way == "read-only":
        before_jax.setattr(
            "incentivize.experiments.runtime.compilation_cache.TemporaryFile",
            raising(OSError(errno.EROFS, "Read-only")),
        )
    elif way == "no text":
        before_jax.setenv("XDG_CACHE_HOME", str(tmp_path / "bad\udcff"))
    elif way == "no locks":
        before_jax.setattr(
            "incentivize.experiments.runtime.compilation_cache.FileLock.acquire",
            raising(OSError(errno.ENOLCK, "No locks")),
        )
    assert kept_in() is None
    assert capsys.readouterr() == ("", "")
