"""Python code in a process of its own, so that a crash or a hang is something to be reported."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

LIMIT = 120.0  # seconds that code may take: importing and compiling take a few, on a busy machine some tens


class IsolatedRun(NamedTuple):
    """How code ended: its exit status, None where its time was up, and what it printed."""

    status: int | None
    out: str = ""
    err: str = ""

    def why(self) -> str:
        """What went wrong, in a few words."""
        if self.status is None:
            return f"gave no answer in time ({self.out})"
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        fatal = [line.partition("] ")[2] for line in lines if re.match(r"F\d{4} ", line)]  # of XLA, before its stack
        errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Exit)\b", line)]
        said = (fatal[:1] or errors[-1:] or lines[-1:] or ["it said nothing"])[0][:300]
        if self.status < 0:
            return f"was ended by {signal.Signals(-self.status).name}: {said}"
        return said


def run_isolated(code: str, environment: Mapping[str, str] | None = None, limit: float = LIMIT) -> IsolatedRun:
    """Run code with the modules that this process sees.

    Args:
        code: of Python.
        environment: in which it runs; this process's if None.
        limit: seconds after which it is ended.
    """
    seen = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code]
    try:
        ran = subprocess.run(
            command,
            env=dict(os.environ if environment is None else environment) | seen,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return IsolatedRun(None, f"{limit:g} s")
    return IsolatedRun(ran.returncode, ran.stdout, ran.stderr)
