"""`incentivize completion`."""

from dataclasses import dataclass, field
from typing import Annotated

import tyro
from rich.console import Console

from incentivize.experiments.cli.choices import SHELLS, check_choice
from incentivize.experiments.cli.options import CommonOptions, one_of
from incentivize.experiments.cli.result import Command, CommandResult


@dataclass(frozen=True)
class Completion(Command):
    """Print a script that completes commands, flags and names in a shell."""

    shell: Annotated[str, tyro.conf.Positional, one_of(SHELLS, hint="")]
    """Shell to print the script for."""
    common: Annotated[CommonOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=CommonOptions)

    def execute(self, console: Console) -> CommandResult:
        """Print the script."""
        check_choice("SHELL", self.shell)
        from incentivize.experiments.cli.completion import completion_script

        print(completion_script(self.shell))
        return CommandResult()
