"""A run small enough to be made several times over."""

from pathlib import Path

import pytest
from filelock import FileLock
from flax import serialization

from incentivize.experiments import runner
from incentivize.experiments.archive import Archive
from incentivize.experiments.cli import main
from incentivize.experiments.training import Trained


@pytest.fixture(scope="session")
def tiny_config():
    return Path(__file__).parent.parent / "tiny.toml"


@pytest.fixture(scope="session")
def tiny_run(tiny_config, tmp_path_factory, worker_id):
    """The directory of a finished run, made by two workers: once, for all processes that test side by side."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared if worker_id == "master" else shared.parent
    out = shared / "runs" / "tiny"
    arguments = ["run", "task-count", "--config", str(tiny_config), "--out", str(out), "--workers", "2"]
    made = shared / "tiny.made"
    with FileLock(shared / "tiny.lock"):
        if not made.exists():
            assert main(arguments) == 0
            made.touch()
    return out


@pytest.fixture
def trained(tiny_run, monkeypatch):
    """Training replaced by what came of it in the sound run."""
    archive = Archive(tiny_run, None, {})

    def run_groups(programs, work, deliver):
        for cell in (cell for groups in programs for group in groups for cell in group.cells):
            found = archive.own(cell)
            params = serialization.msgpack_restore((tiny_run / "checkpoints" / f"{cell.id}.msgpack").read_bytes())
            about = found.about
            deliver([Trained(cell, found.counts, about["episodes"], about["seconds"], params, about["digest"])])

    monkeypatch.setattr(runner, "run_groups", run_groups)
