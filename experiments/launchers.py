"""Launchers: a study as a job of a cluster, which starts or goes on with a run directory as the command itself does.

A job is `incentivize run` in a process of its own, with the configuration that the run directory holds. Where it has to
make room, or its time is up, it saves what it trains and is queued again. So submitting twice does no harm: what is
finished is not submitted, what is queued is not queued again, and what is being written is refused.
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import submitit
from rich.console import Console
from submitit.core.utils import FailedJobError
from submitit.helpers import DelayedSubmission

from experiments.files import short, write
from experiments.main import finished
from experiments.settings import Settings, SettingsError
from experiments.stopping import STATUS as STOPPED

CLUSTERS = {"slurm": "slurm", "trial": "local"}
"""What submitit calls a launcher: a Slurm cluster, and to try it, a job on this machine."""
USUAL: dict[str, Any] = {"name": "incentivize", "stderr_to_stdout": True, "timeout_min": 24 * 60}
AGAIN = 1000  # times at most that a job whose time is up is queued again


class Job:
    """The command, as submitit carries it out."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = tuple(arguments)
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """The command's exit status: 0, or that of a run that was stopped and can go on.

        Raises:
            RuntimeError: where it is any other.
        """
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from experiments.cli import entry; entry()", *self.arguments]
        )
        status = self.process.wait()
        if status not in (0, STOPPED):
            raise RuntimeError(f"incentivize {' '.join(self.arguments)}: ended with status {status}, see its log")
        return status

    def checkpoint(self) -> DelayedSubmission:
        """Asked by submitit to make room: stops the command, which saves first, and says what is to be queued again."""
        if self.process is not None:
            self.process.terminate()
            psutil.Process(self.process.pid).wait()  # this interrupts `wait` of the process, whose lock is held
        return DelayedSubmission(Job(self.arguments))


def launch(
    settings: Settings, out: Path, launcher: str, told: Sequence[str], asked: Mapping[str, Any], console: Console
) -> submitit.Job[int] | None:
    """Submits a study, unless there is nothing to do, or it has been submitted.

    Args:
        settings: what to compute; they have passed `check`.
        out: the run directory; it is made here. Its jobs' scripts and logs go beside it, into `OUT.jobs`.
        launcher: of CLUSTERS.
        told: further flags of the command.
        asked: what submitit is to ask of the cluster, in its words.
        console: for what became of it.

    Raises:
        SettingsError: where settings, directory or what is asked for will not do.
    """
    if finished(settings, out):
        console.print(f"{out}: finished, nothing to submit; `incentivize report {out}` shows it", soft_wrap=True)
        return None
    folder = out.absolute().with_name(f"{out.name}.jobs")
    if (queued := _queued(folder, launcher)) is not None:
        console.print(f"{out}: is job {queued.job_id} already ({queued.state})", soft_wrap=True)
        return queued
    arguments = ["run", settings.study, "--preset", settings.preset]
    arguments += ["--config", str(out.absolute() / "config.toml"), "--out", str(out.absolute()), *told]
    try:
        executor = submitit.AutoExecutor(folder, cluster=CLUSTERS[launcher], slurm_max_num_timeout=AGAIN)
        executor.update_parameters(**USUAL | dict(asked))
        job = executor.submit(Job(arguments))
    except (NameError, AssertionError, ValueError, RuntimeError, OSError, FailedJobError) as error:
        raise SettingsError(f"--launcher {launcher}: {short(error)}") from None
    write(folder / "job", job.job_id)
    console.print(f"{out}: submitted as job {job.job_id}; its log is {job.paths.stdout}", soft_wrap=True)
    return job


def _queued(folder: Path, launcher: str) -> submitit.Job[int] | None:
    """The job that has been submitted, if the cluster still has it."""
    if launcher != "slurm" or not (folder / "job").is_file():
        return None  # a job on this machine is known by the lock that it holds
    job: submitit.Job[int] = submitit.SlurmJob(folder, (folder / "job").read_text())
    return None if job.done() else job
