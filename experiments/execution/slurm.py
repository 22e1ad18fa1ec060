"""Launchers: a study as a job of a cluster, which starts or goes on with a run directory as the command itself does.

A job is `incentivize run` in a process of its own, with the configuration that the run directory holds. Where it has to
make room, or its time is up, it saves what it trains and is queued again. So submitting twice does no harm: what is
finished is not submitted, what the cluster still has is not queued again, what is being written is refused.
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
from incentivize.experiments.execution.completeness import is_finished
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.io import excerpt, write_atomic
from incentivize.experiments.storage.ownership import check_same
from incentivize.experiments.storage.parameters import pin_start_from
from incentivize.experiments.storage.run_directory import RunDirectory

CLUSTERS = {"slurm": "slurm", "trial": "local"}
"""What submitit calls a launcher: a Slurm cluster, and to try it, a job on this machine."""
COMMAND = (
    "import signal; from incentivize.experiments.cli.main import entry; "
    "[signal.signal(one, signal.SIG_IGN) for one in (signal.SIGUSR1, signal.SIGUSR2)]; "  # meant for submitit alone
    "entry()"
)
NOTICE = 120  # seconds before a job's time is up at which it is told
PATIENCE = 90  # seconds that saving may take; what takes longer is killed, and loses what has not been saved
GRACE = 120  # seconds that a cluster has to end a job which it has told to end
AGAIN = 1000  # times at most that a job whose time is up is queued again
USUAL: dict[str, Any] = {
    "name": "incentivize",
    "stderr_to_stdout": True,
    "timeout_min": 24 * 60,
    "slurm_signal_delay_s": NOTICE,
}
KINDS: dict[str, Callable[[str], Any]] = {
    "timeout_min": int,
    "cpus_per_task": int,
    "gpus_per_node": int,
    "mem_gb": float,
    "slurm_signal_delay_s": int,
    "slurm_setup": lambda value: [value],
    "slurm_srun_args": shlex.split,
}
"""What a job may ask for that is no text."""
ONE = ("nodes", "tasks_per_node", "ntasks_per_node", "ntasks", "time")  # a job is one process; time is `timeout_min`


class SlurmJob:
    """The command, as submitit carries it out in a process of its own."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = tuple(arguments)
        self.process: subprocess.Popen[bytes] | None = None
        self.told = False

    def __call__(self) -> int:
        """The command's exit status: 0, or that of a run that was stopped and can go on.

        Raises:
            RuntimeError: where it is any other.
        """
        command = [sys.executable, "-c", COMMAND, *self.arguments]
        self.process = subprocess.Popen(command, env=os.environ | {"PYTHONSAFEPATH": "1"})
        signal.signal(signal.SIGTERM, lambda *_: self._tell())
        status = self.process.wait()
        if self.told:
            time.sleep(GRACE)  # who told it ends this process, too, or asks for a checkpoint; ending early is ending
        if status not in (0, STOPPED):
            raise RuntimeError(f"incentivize {shlex.join(self.arguments)}: ended with status {status}, see its log")
        return status

    def checkpoint(self) -> DelayedSubmission:
        """Asked by submitit to make room: stops the command, which saves first, and says what is to be queued again."""
        self._tell()
        if self.process is not None:
            with suppress(psutil.NoSuchProcess):  # it has ended; this interrupts `Popen.wait`, whose lock is held
                process = psutil.Process(self.process.pid)
                try:
                    process.wait(PATIENCE)
                except psutil.TimeoutExpired:
                    process.kill()
                    process.wait()
        return DelayedSubmission(SlurmJob(self.arguments))

    def _tell(self) -> None:
        """Ask the command to save and stop, once."""
        if self.process is not None and not self.told:
            self.told = True
            self.process.terminate()


def launch(
    settings: Settings, out: Path, launcher: str, told: Sequence[str], job: Sequence[str], console: Console
) -> submitit.Job[int] | None:
    """Submit a study, unless there is nothing to do, or the cluster has it.

    Args:
        settings: what to compute; they have passed `check`.
        out: the run directory; it is made here. Its jobs' scripts and logs go beside it, into `OUT.jobs`.
        launcher: of CLUSTERS.
        told: further flags of the command.
        job: NAME=VALUE, what submitit is to ask of the cluster, in its words.
        console: for what became of it.

    Raises:
        SettingsError: where settings, directory or what is asked for will not do.
        RunError: where it is finished, and some of its cells had to be given up.
    """
    out = out.resolve() if out.name in ("", "..") else out.absolute()
    folder = jobs_folder(out)
    executor = _executor(folder, launcher, parse_job_options(job))
    if (queued := _queued(folder, launcher)) is not None:
        check_same(RunDirectory(out), pin_start_from(settings))
        console.print(f"{out}: is {queued} already", soft_wrap=True)
        return None
    if is_finished(settings, out):
        console.print(f"{out}: finished, nothing to submit; `incentivize report {out}` shows it", soft_wrap=True)
        return None
    command = ["run", settings.study, "--preset", settings.preset, "--config", str(out / "config.toml")]
    try:
        submitted: submitit.Job[int] = executor.submit(SlurmJob([*command, "--out", str(out), *told]))
    except (RuntimeError, OSError, FailedJobError) as error:
        raise InputError(f"--launcher {launcher}: {error}") from None
    if launcher == "slurm":
        write_atomic(folder / "job", submitted.job_id)
    console.print(f"{out}: submitted as job {submitted.job_id}; its log is {submitted.paths.stdout}", soft_wrap=True)
    return submitted


def jobs_folder(out: Path) -> Path:
    """Return the folder for the scripts and logs of a run directory's jobs, `OUT.jobs`.

    Slurm and submitit put numbers in the place of %j and the like, and know no way to write % that suits both. So a
    % in the last name is =25 here.

    Raises:
        SettingsError: where the path cannot be said to Slurm.
    """
    if not out.name:
        raise InputError(f"--out {out}: a run directory of a job needs a name")
    folder = out.with_name(f"{out.name.replace('%', '=25')}.jobs")
    for sign in "%\\":
        if sign in str(folder):
            raise InputError(f"--out {out}: a cluster reads {sign} in a path as a sign of its own; want another path")
    if not str(folder).isprintable():
        raise InputError(f"--out {str(out)!a}: a job's script can have no such character in a path; want another path")
    return folder


def parse_job_options(job: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE by name, of the kinds that submitit wants.

    Raises:
        SettingsError: where one is not of that form or kind, or nothing that a job of one process may ask for.
    """
    asked = {}
    for one in job:
        name, said, value = one.partition("=")
        if not (said and name.isidentifier()):
            raise InputError(f"--job {one}: want NAME=VALUE, such as timeout_min=240")
        if name.removeprefix("slurm_") in ONE:
            raise InputError(f"--job {one}: a job is one process on one node, whose time is timeout_min")
        try:
            asked[name] = KINDS.get(name, str)(value)
        except ValueError:
            raise InputError(f"--job {one}: want a number") from None
    return asked


def _executor(folder: Path, launcher: str, asked: Mapping[str, Any]) -> submitit.AutoExecutor:
    """What submits.

    Raises:
        SettingsError: where there is no such cluster here, or it cannot be asked for this.
    """
    seen = launcher == "trial" and jax.default_backend() == "gpu"
    here = {"gpus_per_node": jax.local_device_count()} if seen else {}  # or else submitit hides them
    try:
        executor = submitit.AutoExecutor(folder, cluster=CLUSTERS[launcher], slurm_max_num_timeout=AGAIN)
        executor.update_parameters(**USUAL | here | dict(asked))
    except (NameError, AssertionError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"--launcher {launcher}: {error}") from None
    return executor


def _queued(folder: Path, launcher: str) -> str | None:
    """The job that was submitted last, in words, if the cluster still has it. A trial holds the lock."""
    if launcher != "slurm" or not (folder / "job").is_file():
        return None
    number = (folder / "job").read_text()
    command = ["squeue", "--noheader", "--format=%T", f"--jobs={number}"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise InputError(f"--launcher {launcher}: squeue cannot be asked for a job ({error})") from None
    if found.returncode and found.stderr.strip() and "invalid job id" not in found.stderr.lower():
        why = excerpt(found.stderr.strip().splitlines()[-1])  # or else the number is not known any more
        raise InputError(f"--launcher {launcher}: squeue does not say what became of job {excerpt(number)} ({why})")
    return f"job {excerpt(number)} ({excerpt(found.stdout.split()[0])})" if found.stdout.split() else None
