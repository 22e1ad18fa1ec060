"""Python in a process of its own, in any folder."""

import os
import subprocess
import sys
from pathlib import Path

CODE = "import sys; from incentivize.experiments.cli.main import entry; sys.argv[0] = 'incentivize'; entry()"
COMMAND = ("-m", "incentivize")  # the command of the code that is on the path


def python(folder: Path, *arguments: str, **environment: str) -> str:
    """Run Python in a folder, without input and with additional variables, and return its output; it must succeed."""
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
