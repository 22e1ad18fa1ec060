"""`incentivize completion`."""

from rich.console import Console

from incentivize.experiments.acts import Answer
from incentivize.experiments.commands import Completion
from incentivize.experiments.known import check_known


def act(command: Completion, console: Console) -> Answer:
    """Prints the script as it is."""
    check_known("SHELL", command.shell)
    from incentivize.experiments.completion import script

    print(script(command.shell))
    return Answer()
