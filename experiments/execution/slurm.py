"""Slurm jobs: a study as a job of a cluster, which starts or resumes a run directory as the command does.

A job is `incentivize run` in its own process, with the configuration of the run directory. When it is preempted or
reaches its time limit, it saves its training and is queued again. Submitting twice does no harm: a finished run is not
submitted, a queued job is not queued again, and a directory that is being written is refused.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import psutil
import submitit
from rich.console import Console
from submitit.core.utils import FailedJobError
from submitit.helpers import DelayedSubmission

from incentivize.experiments.errors import STOPPED_STATUS as STOPPED
from incentivize.experiments.errors import InputError
from incentivize.experiments.execution.completeness import prepare_run_directory
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.io import excerpt, write_atomic
from incentivize.experiments.storage.ownership import check_same
from incentivize.experiments.storage.parameters import pin_start_from
from incentivize.experiments.storage.run_directory import RunDirectory

CLUSTERS = {"slurm": "slurm", "trial": "local"}
"""Clusters of submitit by --launcher: Slurm, and for trial a job on this machine."""
COMMAND = (
    "import runpy, signal; "
    "[signal.signal(number, signal.SIG_IGN) for number in (signal.SIGUSR1, signal.SIGUSR2)]; "  # for submitit alone
    "runpy.run_module('incentivize', run_name='__main__')"
)
NOTICE = 120  # seconds before the time limit at which a job is signalled
PATIENCE = 90  # seconds that saving may take; after them the command is killed
GRACE = 120  # seconds that a cluster needs to end a job which it has signalled
MAX_REQUEUES = 1000  # times that a job is queued again after its time limit
DEFAULT_JOB: dict[str, Any] = {
    "name": "incentivize",
    "stderr_to_stdout": True,
    "timeout_min": 24 * 60,
    "slurm_signal_delay_s": NOTICE,
}
PARSERS: dict[str, Callable[[str], Any]] = {
    "timeout_min": int,
    "cpus_per_task": int,
    "gpus_per_node": int,
    "mem_gb": float,
    "slurm_signal_delay_s": int,
    "slurm_setup": lambda value: [value],
    "slurm_srun_args": shlex.split,
}
"""Parsers of job options that are not text."""
REFUSED = ("nodes", "tasks_per_node", "ntasks_per_node", "ntasks", "time")  # a job is one process; time: timeout_min


class SlurmJob:
    """Command that submitit runs as a job."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = tuple(arguments)
        self.process: subprocess.Popen[bytes] | None = None
        self.asked_to_stop = False

    def __call__(self) -> int:
        """Run the command, and return its exit status: 0, or 75 for a run that stopped and can be resumed.

        Raises:
            RuntimeError: if the status is any other.
        """
        command = [sys.executable, "-c", COMMAND, *self.arguments]
        self.process = subprocess.Popen(command, env=os.environ | {"PYTHONSAFEPATH": "1"})
        signal.signal(signal.SIGTERM, lambda *_: self._ask_to_stop())
        status = self.process.wait()
        if self.asked_to_stop:
            time.sleep(GRACE)  # the cluster ends this process, too, or asks for a checkpoint; to end first is to finish
        if status not in (0, STOPPED):
            raise RuntimeError(f"incentivize {shlex.join(self.arguments)}: ended with status {status}. See its log.")
        return status

    def checkpoint(self) -> DelayedSubmission:
        """Stop the command, which saves first, and return the job to queue again. Called by submitit on preemption."""
        self._ask_to_stop()
        if self.process is not None:
            with suppress(psutil.NoSuchProcess):  # psutil, because `Popen.wait` is interrupted here, and holds its lock
                process = psutil.Process(self.process.pid)
                try:
                    process.wait(PATIENCE)
                except psutil.TimeoutExpired:
                    process.kill()
                    process.wait()
        return DelayedSubmission(SlurmJob(self.arguments))

    def _ask_to_stop(self) -> None:
        """Ask the command to save and stop, once."""
        if self.process is not None and not self.asked_to_stop:
            self.asked_to_stop = True
            self.process.terminate()


def launch(
    settings: Settings, out: Path, launcher: str, flags: Sequence[str], job: Sequence[str], console: Console
) -> submitit.Job[int] | None:
    """Submit a study, unless it is finished or queued.

    Args:
        settings: settings of the run; they have passed `validation.validate`.
        out: the run directory; it is created here. Scripts and logs of its jobs go to `OUT.jobs` beside it.
        launcher: a key of CLUSTERS.
        flags: further flags of the command.
        job: options of the job, NAME=VALUE in the words of submitit.
        console: console that gets a line on the job.

    Returns:
        The job; None where none was submitted.

    Raises:
        InputError: if settings, directory or job options do not fit.
        RunError: if the run is finished, and some of its cells were given up.
    """
    out = out.resolve() if out.name in ("", "..") else out.absolute()
    folder = jobs_folder(out)
    executor = _executor(folder, launcher, parse_job_options(job))
    if (queued := _queued(folder, launcher)) is not None:
        check_same(RunDirectory(out), pin_start_from(settings))
        console.print(f"{out}: is {queued} already", soft_wrap=True)
        return None
    if not prepare_run_directory(settings, out):
        console.print(f"{out}: finished, nothing to submit; `incentivize report {out}` shows it", soft_wrap=True)
        return None
    command = ["run", settings.study, "--preset", settings.preset, "--config", str(out / "config.toml")]
    try:
        submitted: submitit.Job[int] = executor.submit(SlurmJob([*command, "--out", str(out), *flags]))
    except (RuntimeError, OSError, FailedJobError) as error:
        advice = "Change --job, or ask the cluster's support."
        raise InputError(f"--launcher = {launcher}: the job cannot be submitted ({error}). {advice}") from None
    if launcher == "slurm":
        write_atomic(folder / "job", submitted.job_id)
    console.print(f"{out}: submitted as job {submitted.job_id}; its log is {submitted.paths.stdout}", soft_wrap=True)
    return submitted


def jobs_folder(out: Path) -> Path:
    """Return the folder for the scripts and logs of a run directory's jobs, `OUT.jobs`.

    Slurm and submitit replace %j and the like by numbers, and have no common way to escape %. So a % in the last name
    becomes =25.

    Raises:
        InputError: if Slurm cannot be given the path.
    """
    if not out.name:
        raise InputError(f"--out = {out}: the run directory of a job must have a name. Give another path.")
    folder = out.with_name(f"{out.name.replace('%', '=25')}.jobs")
    for character in "%\\":
        if character in str(folder):
            problem = f"contains {character!r}, which Slurm would interpret"
            raise InputError(f"--out = {out}: {problem}. Give another path.")
    if not str(folder).isprintable():
        raise InputError(f"--out = {str(out)!a}: has a character that a job's script cannot hold. Give another path.")
    return folder


def parse_job_options(job: Sequence[str]) -> dict[str, Any]:
    """Parse job options NAME=VALUE, by name, into the types that submitit expects.

    Raises:
        InputError: if an option has another form or type, or contradicts a job of one process.
    """
    options = {}
    for option in job:
        name, equals, value = option.partition("=")
        if not (equals and name.isidentifier()):
            raise InputError(f"--job = {option}: must be NAME=VALUE. Give, for example, timeout_min=240.")
        if name.removeprefix("slurm_") in REFUSED:
            raise InputError(f"--job = {option}: a job is one process on one node. Set its time with timeout_min.")
        try:
            options[name] = PARSERS.get(name, str)(value)
        except ValueError:
            raise InputError(f"--job = {option}: must be a number. Give {name}=NUMBER.") from None
    return options


def _executor(folder: Path, launcher: str, options: Mapping[str, Any]) -> submitit.AutoExecutor:
    """Return the executor that submits jobs.

    Args:
        folder: folder of scripts and logs.
        launcher: a key of CLUSTERS.
        options: options of the job, by name.

    Raises:
        InputError: if this machine has no such cluster, or the cluster does not know an option.
    """
    machine_options = {}
    if launcher == "trial" and jax.default_backend() == "gpu":
        machine_options["gpus_per_node"] = jax.local_device_count()  # without it submitit hides them
    try:
        executor = submitit.AutoExecutor(folder, cluster=CLUSTERS[launcher], slurm_max_num_timeout=MAX_REQUEUES)
        executor.update_parameters(**DEFAULT_JOB | machine_options | dict(options))
    except (NameError, AssertionError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"--launcher = {launcher}: cannot be used here ({error}). Change --launcher or --job."
        ) from None
    return executor


def _queued(folder: Path, launcher: str) -> str | None:
    """Return the number and state of the job that was submitted last, or None where the cluster no longer has it.

    A job on this machine needs no such check: it holds the lock of the run directory.

    Raises:
        InputError: if the cluster does not answer.
    """
    if launcher != "slurm" or not (folder / "job").is_file():
        return None
    number = (folder / "job").read_text()
    command = ["squeue", "--noheader", "--format=%T", f"--jobs={number}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        problem = f"squeue cannot be run to ask for a job ({error})"
        raise InputError(f"--launcher = {launcher}: {problem}. Run this where Slurm is installed.") from None
    stderr = answer.stderr.strip()
    if answer.returncode and stderr and "invalid job id" not in stderr.lower():  # squeue has forgotten such a job
        reason = excerpt(stderr.splitlines()[-1])
        raise InputError(
            f"--launcher = {launcher}: squeue does not report the state of job {excerpt(number)} ({reason}). "
            "Submit again when squeue answers."
        )
    states = answer.stdout.split()
    return f"job {excerpt(number)} ({excerpt(states[0])})" if states else None
