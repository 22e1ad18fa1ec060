"""Studies as jobs: the command with the run directory's own configuration, submitted once, and as good as run here."""

import subprocess
import sys
import time
import tomllib

import psutil
import pytest
from submitit.local.local import LocalJobEnvironment

from experiments import launchers
from experiments.cli import main
from experiments.launchers import Job
from experiments.store import Store

TWO_BY_TWO = ["--seeds", "2", "--pools", "1", "new", "--specialists", "1"]


@pytest.fixture
def submitted(monkeypatch):
    """Jobs are kept instead of submitted."""
    kept = []

    class Executor:
        def __init__(self, folder, cluster, **own):
            self.folder, self.cluster, self.asked = folder, cluster, {}

        def update_parameters(self, **asked):
            self.asked = asked

        def submit(self, job):
            self.folder.mkdir(exist_ok=True)
            kept.append((job, self.cluster, self.asked))
            return type("Submitted", (), {"job_id": "7", "paths": type("Paths", (), {"stdout": self.folder / "log"})})

    monkeypatch.setattr(launchers.submitit, "AutoExecutor", Executor)
    return kept


def command(config, out, *more):
    return main(["run", "task-count", "--config", str(config), "--out", str(out), *TWO_BY_TWO, *more])


def test_the_job_is_the_command_with_the_settings_resolved_and_what_was_asked_for(tiny_config, tmp_path, submitted):
    out = tmp_path / "run"
    asked = ["--job", "timeout_min=240", "slurm_partition=gpu"]
    assert command(tiny_config, out, "--launcher", "slurm", "--workers", "1", "--learning-rate", "0.002", *asked) == 0
    ((job, cluster, parameters),) = submitted
    assert cluster == "slurm"
    assert (parameters["timeout_min"], parameters["slurm_partition"]) == (240, "gpu")
    assert not (out / "cells").exists()
    settings = Store(out).settings()
    assert settings.training["errands"].learning_rate == 0.002
    assert settings.pools == (1, "new")
    flags = dict(zip(job.arguments[2::2], job.arguments[3::2], strict=False))
    assert tomllib.loads((out / "config.toml").read_text())["preset"] == flags["--preset"]
    assert flags["--config"] == str(out / "config.toml")
    assert "--workers=1" in job.arguments


def test_what_the_cluster_still_has_is_not_submitted_again(tiny_config, tmp_path, submitted, monkeypatch, capsys):
    class Queued:
        state = "PENDING"

        def __init__(self, folder, job_id):
            self.job_id = job_id

        def done(self):
            return self.state == "COMPLETED"

    monkeypatch.setattr(launchers.submitit, "SlurmJob", Queued)
    for _ in range(2):
        assert command(tiny_config, tmp_path / "run", "--launcher", "slurm") == 0
    assert "is job 7 already (PENDING)" in " ".join(capsys.readouterr().out.split())
    assert len(submitted) == 1
    Queued.state = "COMPLETED"
    assert command(tiny_config, tmp_path / "run", "--launcher", "slurm") == 0
    assert len(submitted) == 2


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--launcher", "slurm", "--job", "240"], "--job 240: want NAME=VALUE"),
        (["--job", "timeout_min=240"], "--job timeout_min=240: is for a job; want --launcher slurm, too"),
        (["--launcher", "trial", "--job", "timeout=240"], "--launcher trial: Parameter 'timeout'"),
        (["--launcher", "slurm"], "--launcher slurm:"),  # there is none here
    ],
)
def test_what_cannot_be_submitted_is_refused(tiny_config, tmp_path, flags, said, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command(tiny_config, tmp_path / "run", *flags) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_job_ends_as_its_command_does(monkeypatch):
    ended = []

    def popen(arguments):
        assert arguments[0] == sys.executable
        return real([sys.executable, "-c", f"raise SystemExit({ended[-1]})"])

    real = subprocess.Popen
    monkeypatch.setattr(launchers.subprocess, "Popen", popen)
    for status in (0, 75):
        ended.append(status)
        assert Job(["run", "task-count"])() == status
    ended.append(2)
    with pytest.raises(RuntimeError, match="ended with status 2"):
        Job(["run", "task-count"])()


@pytest.mark.slow
def test_a_job_gives_the_rows_of_the_command_though_it_is_interrupted(tiny_config, tmp_path, capsys):
    """It makes room once a cell is finished, and goes on when it is queued again. A second one is not submitted."""
    here, there = tmp_path / "here" / "run", tmp_path / "there" / "run"
    assert command(tiny_config, here) == 0
    settings = Store(here).settings()
    job = launchers.launch(settings, there, "trial", ["--save-every=0"], {}, launchers.Console())
    while not list((there / "cells").glob("*.npz")):
        time.sleep(0.1)
    (task,) = psutil.Process(int(job.job_id)).children()
    task.send_signal(LocalJobEnvironment._usr_sig())
    assert job.result() == 0
    log = job.paths.stdout.read_text()
    assert log.count("stopped; the same command goes on where it was") == 1
    assert f"Requeued job {job.job_id}" in log
    assert (there / "results.jsonl").read_bytes() == (here / "results.jsonl").read_bytes()
    assert (there / "claims.json").read_bytes() == (here / "claims.json").read_bytes()
    before = sorted((path, path.stat().st_mtime_ns) for path in there.rglob("*"))
    assert launchers.launch(settings, there, "trial", [], {}, launchers.Console()) is None
    assert "finished, nothing to submit" in " ".join(capsys.readouterr().out.split())
    assert sorted((path, path.stat().st_mtime_ns) for path in there.rglob("*")) == before
