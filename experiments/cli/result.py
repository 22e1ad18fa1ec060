"""What each command does, one file each: a function `act` from what the command line said to an answer.

It gets the command (of `incentivize.experiments.cli.commands`) and a console for words and tables, and returns an `Answer`, whose
document is what `--json` prints. Nothing here imports jax before the command has been checked as far as that goes.
"""

from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What came of a command.

    Attributes:
        document: what `--json` prints; anything that JSON has.
        status: the exit status.
    """

    document: Any = None
    status: int = 0
