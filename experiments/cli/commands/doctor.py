"""`incentivize doctor`."""

from dataclasses import dataclass, field
from typing import Annotated

import tyro
from rich.console import Console

from incentivize.experiments.cli.options import JsonOptions
from incentivize.experiments.cli.result import Command, CommandResult
from incentivize.experiments.doctor.run_checks import run_checks

STYLES = {"ok": "green", "warning": "yellow", "wrong": "bold red"}


@dataclass(frozen=True)
class Doctor(Command):
    """Say what is wrong with this installation, and what to do about it."""

    common: Annotated[JsonOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JsonOptions)

    def execute(self, console: Console) -> CommandResult:
        """Say one line for every check; the exit status is 1 where one of them is wrong."""
        found = []
        for finding in run_checks():
            found.append(finding)
            console.print(f"{finding.state:<8}", style=STYLES[finding.state], end="", highlight=False)
            line = f"{finding.check}: {finding.says}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        count = {state: sum(one.state == state for one in found) for state in STYLES}
        summary = f"{count['wrong']} wrong, {count['warning']} to be warned of, {count['ok']} ok"
        console.print(summary if count["wrong"] or count["warning"] else "nothing is wrong", highlight=False)
        document = {"wrong": count["wrong"], "warnings": count["warning"], "checks": [one._asdict() for one in found]}
        return CommandResult(document, 1 if count["wrong"] else 0)
