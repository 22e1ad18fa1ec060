"""`incentivize completion`."""

from rich.console import Console

from incentivize.experiments.cli.choices import check_known
from incentivize.experiments.cli.commands import Completion
from incentivize.experiments.cli.result import Answer


def act(command: Completion, console: Console) -> Answer:
    """Prints the script as it is."""
    check_known("SHELL", command.shell)
    from incentivize.experiments.cli.completion import script

    print(script(command.shell))
    return Answer()
