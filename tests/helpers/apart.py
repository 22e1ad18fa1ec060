"""Python in a process of its own, as a user of other files than these would have it."""

import os
import subprocess
import sys
from pathlib import Path

COMMAND = ("-m", "incentivize")  # of the code that is on the path


def python(folder: Path, *arguments: str, **environment: str) -> str:
    """What Python says in a folder, with no input and with these variables, too; it has to end well."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
