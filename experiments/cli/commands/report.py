"""`incentivize report`."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from incentivize.experiments.cli.options import JsonOptions
from incentivize.experiments.cli.result import Command, CommandResult
from incentivize.experiments.errors import InputError
from incentivize.experiments.runtime.compilation_cache import enable_cache
from incentivize.experiments.runtime.jax_settings import set_up_process


@dataclass(frozen=True)
class Report(Command):
    """Judge the claims of runs, draw their figures and write report.html; for several runs, a scoreboard as well."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR...", help_behavior_hint="")]
    """Run directories to report on."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Directory for the files (default: the run directory). The scoreboard of several runs is written only here."""
    common: Annotated[JsonOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JsonOptions)

    def execute(self, console: Console) -> CommandResult:
        """Report on run directories one after the other, and print a scoreboard of several."""
        set_up_process()
        enable_cache()
        from incentivize.experiments.reporting.report import report
        from incentivize.experiments.reporting.scoreboard import scoreboard
        from incentivize.experiments.storage.ownership import exclusive_lock
        from incentivize.experiments.storage.run_directory import RunDirectory

        _check(self)
        claims: list[dict[str, Any]] = []
        pages: list[Path] = []
        for path in self.runs:
            directory = RunDirectory(path)
            directory.check_no_outside_links()
            directory.settings()  # raises where the directory is no run
            out = self.out or path
            target = RunDirectory(out / path.resolve().name if self.out and len(self.runs) > 1 else out)
            is_run_directory = (target.path / "config.toml").exists()
            if is_run_directory and self.out:
                target.check_no_outside_links()
            with exclusive_lock(target) if is_run_directory else nullcontext():
                claims += [claim | {"run": path.resolve().name} for claim in report(directory, console, target.path)]
            pages.append(target.path / "report.html")
        if len(self.runs) > 1:
            scoreboard(claims, console, self.out)
        return CommandResult({"reports": list(map(str, pages)), "claims": claims})


def _check(command: Report) -> None:
    """Refuse directories that do not exist or would be overwritten.

    Raises:
        InputError: if there is such a directory; the message names it.
    """
    for path in command.runs:
        if not path.is_dir():
            raise InputError(
                f"{path}: there is no such run directory. Give a directory that `incentivize run` has made."
            )
    if command.out and command.out.exists() and not command.out.is_dir():
        raise InputError(f"--out = {command.out}: is not a directory. Give another path.")
    names = [path.resolve().name for path in command.runs]
    if command.out and len(set(names)) < len(names):
        raise InputError(
            f"--out = {command.out}: runs of the same name would overwrite each other ({', '.join(names)}). "
            "Report on them one by one."
        )
