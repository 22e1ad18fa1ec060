"""`incentivize completion`."""

from rich.console import Console

from experiments.acts import Answer
from experiments.commands import Completion
from experiments.known import check_known


def act(command: Completion, console: Console) -> Answer:
    """Prints the script as it is."""
    check_known("SHELL", command.shell)
    from experiments.completion import script

    print(script(command.shell))
    return Answer()
