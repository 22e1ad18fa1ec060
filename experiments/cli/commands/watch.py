"""`incentivize watch`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from incentivize.experiments.cli.options import JsonOptions, check_at_least_one, check_can_write
from incentivize.experiments.cli.result import Command, CommandResult
from incentivize.experiments.errors import InputError
from incentivize.experiments.runtime.compilation_cache import enable_cache
from incentivize.experiments.runtime.jax_settings import set_up_process


@dataclass(frozen=True)
class Watch(Command):
    """Watch the generalist, the specialists and the expert of a finished run side by side on held-out tasks."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR", help_behavior_hint="")]
    """Run directory."""
    family: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: the run's first)")] = None
    """Family to watch."""
    tasks: Annotated[int, tyro.conf.arg(metavar="N")] = 3
    """Number of held-out tasks to play. They are the first ones, not a selection."""
    gif: Annotated[Path | None, tyro.conf.arg(metavar="FILE.gif", help_behavior_hint="")] = None
    """Write an animation."""
    page: Annotated[Path | None, tyro.conf.arg(metavar="FILE.html", help_behavior_hint="")] = None
    """Write an offline page to step through."""
    common: Annotated[JsonOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JsonOptions)

    def execute(self, console: Console) -> CommandResult:
        """Show the agents of a run.

        Raises:
            InputError: if the directory is no run, or another argument is wrong.
        """
        set_up_process()
        enable_cache()
        from incentivize.experiments.storage.run_directory import RunDirectory
        from incentivize.experiments.viewing.watch import watch  # imports jax

        if not self.run.is_dir():
            raise InputError(
                f"{self.run}: there is no such run directory. Give a directory that `incentivize run` has made."
            )
        check_at_least_one(tasks=self.tasks)
        check_can_write("--gif", self.gif, ".gif")
        check_can_write("--page", self.page, ".html")
        directory = RunDirectory(self.run)
        directory.check_no_outside_links()
        return CommandResult(
            watch(directory, console, self.family, self.tasks, self.gif, self.page, not self.common.json)
        )
