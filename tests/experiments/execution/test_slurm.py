"""Studies as jobs: the command with the run directory's own configuration, submitted once, and as good as run here."""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import tomllib
from contextlib import suppress

import psutil
import pytest
from submitit.local.local import LocalJobEnvironment

from incentivize.experiments.cli.main import main
from incentivize.experiments.execution import slurm as launcher
from incentivize.experiments.execution.slurm import SlurmJob, parse_job_options
from incentivize.experiments.storage.run_directory import RunDirectory

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

    monkeypatch.setattr(launcher.submitit, "AutoExecutor", Executor)
    return kept


def command(config, out, *more):
    return main(["run", "task-count", "--config", str(config), "--out", str(out), *TWO_BY_TWO, *more])


def test_the_job_is_the_command_with_the_settings_resolved_and_what_was_asked_for(tiny_config, tmp_path, submitted):
    out = tmp_path / "run"
    asked = ["--job", "timeout_min=240", "slurm_partition=gpu"]
    more = ["--workers", "1", "--learning-rate", "0.002", "--tracker", "tensorboard"]
    assert command(tiny_config, out, "--launcher", "slurm", *more, *asked) == 0
    ((job, cluster, parameters),) = submitted
    assert cluster == "slurm"
    assert (parameters["timeout_min"], parameters["slurm_partition"]) == (240, "gpu")
    assert not (out / "cells").exists()
    settings = RunDirectory(out).settings()
    assert settings.training["errands"].learning_rate == 0.002
    assert settings.pools == (1, None)
    flags = dict(zip(job.arguments[2::2], job.arguments[3::2], strict=False))
    assert tomllib.loads((out / "config.toml").read_text())["preset"] == flags["--preset"]
    assert flags["--config"] == str(out / "config.toml")
    assert {"--workers=1", "--tracker=tensorboard"} < set(job.arguments)


def test_what_the_cluster_still_has_is_not_submitted_again(tiny_config, tmp_path, submitted, monkeypatch, capsys):
    said, real = "PENDING\n", subprocess.run

    def squeue(command, **how):
        if command[0] != "squeue":
            return real(command, **how)
        assert "--jobs=7" in command
        return subprocess.CompletedProcess(command, int(not said), said, "")

    monkeypatch.setattr(launcher.subprocess, "run", squeue)
    for _ in range(2):
        assert command(tiny_config, tmp_path / "run", "--launcher", "slurm") == 0
    assert "is job 7 (PENDING) already" in " ".join(capsys.readouterr().out.split())
    assert command(tiny_config, tmp_path / "run", "--launcher", "slurm", "--seeds", "3") == 2
    assert "holds a run of other settings" in " ".join(capsys.readouterr().err.split())
    assert len(submitted) == 1
    said = ""  # it has ended, however that may be
    assert command(tiny_config, tmp_path / "run", "--launcher", "slurm") == 0
    assert len(submitted) == 2


SBATCH = """#!/bin/sh
grep '^#SBATCH --output=' "$1" > {folder}/asked
echo "Submitted batch job 7"
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A cluster that takes every job, and says nothing of them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in {"srun": "", "squeue": "", "sbatch": SBATCH.format(folder=folder)}.items():
        (folder / name).write_text(text or "#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.mark.parametrize("name", ["a%jb", "%A_%a", "50%", "%%t", "it's a läuf=1"])
def test_signs_of_a_cluster_in_a_name_are_letters(name, slurm, tiny_config, tmp_path, capsys):
    out = tmp_path / name
    assert command(tiny_config, out, "--launcher", "slurm") == 0
    jobs = tmp_path / f"{name.replace('%', '=25')}.jobs"
    assert (jobs / "job").read_text() == "7"
    (asked,) = shlex.split((slurm / "asked").read_text(), comments=False)[1:]
    assert asked == f"--output={jobs}/%j_0_log.out"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, jobs.name, "bin"])
    (slurm / "squeue").write_text("#!/bin/sh\necho PENDING\n")
    assert command(tiny_config, out, "--launcher", "slurm") == 0
    assert "is job 7 (PENDING) already" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", ["a%jb/run", "back\\slash", "two\nlines", "bad\udcff"])
def test_a_path_that_no_cluster_takes_as_it_is_is_refused(name, tiny_config, tmp_path, submitted, capsys):
    assert command(tiny_config, tmp_path / name, "--launcher", "slurm") == 2
    assert "Give another path" in capsys.readouterr().err
    assert not submitted
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_that_does_not_answer_is_not_taken_for_one_without_the_job(slurm, tiny_config, tmp_path, capsys):
    assert command(tiny_config, tmp_path / "run", "--launcher", "slurm") == 0
    (slurm / "squeue").write_text("#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact controller' >&2; exit 1\n")
    assert command(tiny_config, tmp_path / "run", "--launcher", "slurm") == 2
    assert "squeue does not report the state of job 7 (slurm_load_jobs error: " in capsys.readouterr().err
    (slurm / "squeue").write_text("#!/bin/sh\necho 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1\n")
    assert command(tiny_config, tmp_path / "run", "--launcher", "slurm") == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--launcher", "slurm", "--job", "240"], "--job = 240: must be NAME=VALUE"),
        (["--launcher", "slurm", "--job", "gpus_per_node=all"], "--job = gpus_per_node=all: must be a number"),
        (["--launcher", "slurm", "--job", "slurm_nodes=2"], "--job = slurm_nodes=2: a job is one process on one node"),
        (["--job", "timeout_min=240"], "--job = timeout_min=240: is for a job. Add --launcher slurm"),
        (
            ["--launcher", "trial", "--job", "timeout=240"],
            "--launcher = trial: cannot be used here (Parameter 'timeout'",
        ),
        (["--launcher", "slurm"], 'Could not detect "srun"'),
    ],
)
def test_what_cannot_be_submitted_is_refused_before_anything_is_begun(tiny_config, tmp_path, flags, said, capsys):
    assert command(tiny_config, tmp_path / "run", *flags) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_what_is_asked_for_has_the_kind_that_submitit_wants():
    said = ["mem_gb=1.5", "slurm_account=007", "slurm_setup=module load cuda", "slurm_srun_args=--mpi none"]
    assert parse_job_options(said) == {
        "mem_gb": 1.5,
        "slurm_account": "007",
        "slurm_setup": ["module load cuda"],
        "slurm_srun_args": ["--mpi", "none"],
    }


@pytest.fixture
def commanded(monkeypatch):
    """The command replaced by a line of Python."""
    lines = []

    def popen(arguments, env):
        assert arguments[0] == sys.executable
        return real([sys.executable, "-c", lines[-1]])

    real = subprocess.Popen
    monkeypatch.setattr(launcher.subprocess, "Popen", popen)
    before = signal.getsignal(signal.SIGTERM)
    yield lines
    signal.signal(signal.SIGTERM, before)


def test_a_job_ends_as_its_command_does(commanded):
    for status in (0, 75):
        commanded.append(f"raise SystemExit({status})")
        assert SlurmJob(["run", "task-count"])() == status
    commanded.append("raise SystemExit(2)")
    with pytest.raises(RuntimeError, match="incentivize run task-count: ended with status 2"):
        SlurmJob(["run", "task-count"])()


SAVES = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(75)); "
    "print('ready', flush=True); time.sleep(60)"
)
STUBBORN = SAVES.replace("lambda *_: sys.exit(75)", "signal.SIG_IGN")


@pytest.mark.parametrize("line", [SAVES, STUBBORN])
def test_a_job_asked_for_a_checkpoint_ends_its_command_in_time_and_is_queued_again(line, monkeypatch, commanded):
    """While the job waits for its command, as a signal's handler does; one that takes too long is killed."""
    commanded.append(line)
    monkeypatch.setattr(launcher, "PATIENCE", 0.5)
    job, found = SlurmJob(["run", "task-count"]), []

    def preempt(*_):
        found.append(job.checkpoint())

    before = signal.signal(signal.SIGUSR1, preempt)
    monkeypatch.setattr(launcher, "GRACE", 0)
    timer = threading.Timer(2, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1))
    timer.start()
    try:
        with suppress(RuntimeError):
            job()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert job.process.poll() is not None
    assert found[0].function.arguments == ("run", "task-count")
    assert job.checkpoint().function.arguments == ("run", "task-count")  # once more, now that it has ended


def test_a_job_told_to_end_has_its_command_save_once(monkeypatch, commanded):
    commanded.append(SAVES)
    waited = []
    monkeypatch.setattr(launcher.time, "sleep", waited.append)
    timer = threading.Timer(2, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM))
    timer.start()
    assert SlurmJob(["run", "task-count"])() == 75
    assert waited == [launcher.GRACE]


@pytest.mark.slow
def test_a_job_gives_the_rows_of_the_command_though_it_is_interrupted(tiny_config, tmp_path, capsys):
    """It makes room once a cell is finished, and goes on when it is queued again. A second one is not submitted."""
    here, there = tmp_path / "here" / "run", tmp_path / "there" / "run"
    assert command(tiny_config, here) == 0
    settings = RunDirectory(here).settings()
    job = launcher.launch(settings, there, "trial", ["--save-every=0"], [], launcher.Console())
    until = time.monotonic() + 300
    while not list((there / "cells").glob("*.npz")):
        assert time.monotonic() < until
        time.sleep(0.1)
    (task,) = psutil.Process(int(job.job_id)).children()
    task.send_signal(LocalJobEnvironment._usr_sig())
    assert job.result() == 0
    log = job.paths.stdout.read_text()
    assert log.count("stopped; the same command resumes where it stopped") == 1
    assert f"Requeued job {job.job_id}" in log
    assert (there / "results.jsonl").read_bytes() == (here / "results.jsonl").read_bytes()
    assert (there / "claims.json").read_bytes() == (here / "claims.json").read_bytes()
    before = sorted((path, path.stat().st_mtime_ns) for path in there.rglob("*"))
    assert launcher.launch(settings, there, "trial", [], [], launcher.Console()) is None
    assert "finished, nothing to submit" in " ".join(capsys.readouterr().out.split())
    assert sorted((path, path.stat().st_mtime_ns) for path in there.rglob("*")) == before
