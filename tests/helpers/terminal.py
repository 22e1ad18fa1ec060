"""The command in a process that sees a terminal, or a file."""

import json
import os
import pty
import subprocess
import sys

AFTER = "\x1e"  # is printed after each of several commands
SEVERAL = (
    "import json, sys; from incentivize.experiments.cli.main import entry\n"
    "for arguments in json.loads(sys.argv[1]):\n"
    "    sys.argv = ['incentivize', *arguments]\n"
    "    try: entry()\n"
    "    except SystemExit as end:\n"
    "        if end.code: raise\n"
    f"    print({AFTER!r}, end='', flush=True)\n"
)
PLAIN = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TERM")}


def run_several(commands, *flags):
    """Run commands one after the other in one process, and return the output of each by its arguments."""
    command = [sys.executable, *flags, "-c", SEVERAL, json.dumps(commands)]
    shown = subprocess.run(command, env=PLAIN, capture_output=True, text=True)
    assert (shown.returncode, shown.stderr) == (0, "")
    return dict(zip(commands, shown.stdout.split(AFTER)[:-1], strict=True))


def in_a_terminal(commands, **variables):
    """Run commands one after the other in a terminal, and return the output of each by its arguments."""
    parent, child = pty.openpty()
    environment = PLAIN | {"TERM": "xterm-256color", "COLUMNS": "100"} | variables
    command = [sys.executable, "-c", SEVERAL, json.dumps(commands)]
    with subprocess.Popen(command, env=environment, stdout=child, stderr=child):
        os.close(child)
        said = b""
        try:
            while some := os.read(parent, 65536):
                said += some
        except OSError:  # the other end is closed
            pass
    os.close(parent)
    return dict(zip(commands, said.split(AFTER.encode())[:-1], strict=True))
