"""Python code in a process of its own, so that a crash or a hang can be reported."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

TIMEOUT_SECONDS = 120.0  # importing and compiling take a few seconds, on a busy machine some tens


class IsolatedRun(NamedTuple):
    """The end of an isolated process.

    Attributes:
        status: the exit status; negative where a signal killed the process, None where it ran out of time.
        out: standard output of the process, or the time limit in words where the process ran out of time.
        err: standard error of the process.
    """

    status: int | None
    out: str = ""
    err: str = ""

    def explain(self) -> str:
        """Say why the process failed, in a few words."""
        if self.status is None:
            return f"no answer within {self.out}"
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        fatal = [line.partition("] ")[2] for line in lines if re.match(r"F\d{4} ", line)]  # XLA's, before its stack
        errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Exit)\b", line)]
        message = (fatal[:1] or errors[-1:] or lines[-1:] or ["no message"])[0][:300]
        return message if self.status >= 0 else f"killed by {signal.Signals(-self.status).name}: {message}"


def run_isolated(
    code: str, environment: Mapping[str, str] | None = None, timeout: float = TIMEOUT_SECONDS
) -> IsolatedRun:
    """Run code in a new process, with the modules that this process can import.

    Args:
        code: Python source.
        environment: environment variables of the new process; those of this process if None.
        timeout: seconds after which the process is killed.
    """
    variables = dict(os.environ if environment is None else environment)
    try:
        ran = subprocess.run(
            [sys.executable, "-c", code],
            env=variables | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return IsolatedRun(None, f"{timeout:g} s")
    return IsolatedRun(ran.returncode, ran.stdout, ran.stderr)
