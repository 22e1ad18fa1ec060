"""`incentivize bench`."""

from dataclasses import dataclass, field
from typing import Annotated

import tyro
from rich.console import Console

from incentivize.experiments.cli.choices import BENCHMARKS, check_choice
from incentivize.experiments.cli.options import JsonOptions, Repeatable, check_at_least_one, flatten, one_of
from incentivize.experiments.cli.result import Command, CommandResult
from incentivize.experiments.runtime.ambient import set_up_process


@dataclass(frozen=True)
class Bench(Command):
    """Measure steps per second here: compiled beforehand, blocked until ready, the median of several."""

    what: Annotated[str, tyro.conf.Positional, one_of(BENCHMARKS)] = "all"
    """envs: random policies; train: whole updates; tasks: cost against the number of tasks; saves: checkpoints (all:
    these four); specialists: a thousand in one program against one after another (minutes a family)."""
    family: Annotated[Repeatable[str], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")] = ()
    """The families to measure, all if none is named."""
    repeats: int = 5
    """Measurements of which the median is printed."""
    common: Annotated[JsonOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JsonOptions)

    def execute(self, console: Console) -> CommandResult:
        """Measure speed."""
        set_up_process(compiles=True)
        from incentivize import envs

        families = flatten(self.family)
        for name in families:
            check_choice("--family", name)
        check_choice("WHAT", self.what)
        check_at_least_one(repeats=self.repeats)
        from incentivize.experiments.bench.suite import bench

        return CommandResult(bench(self.what, families or envs.names(), self.repeats, console))
