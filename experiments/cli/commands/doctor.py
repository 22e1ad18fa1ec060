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
    """Check this installation, and say how to repair its faults."""

    common: Annotated[JsonOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JsonOptions)

    def execute(self, console: Console) -> CommandResult:
        """Print a line for every check; the exit status is 1 if one of them finds an error."""
        findings = []
        for finding in run_checks():
            findings.append(finding)
            console.print(f"{finding.state:<8}", style=STYLES[finding.state], end="", highlight=False)
            line = f"{finding.check}: {finding.says}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        count = {state: sum(finding.state == state for finding in findings) for state in STYLES}
        summary = f"{count['wrong']} wrong, {count['warning']} warnings, {count['ok']} ok"
        console.print(summary if count["wrong"] or count["warning"] else "nothing is wrong", highlight=False)
        checks = [finding._asdict() for finding in findings]
        document = {"wrong": count["wrong"], "warnings": count["warning"], "checks": checks}
        return CommandResult(document, 1 if count["wrong"] else 0)
