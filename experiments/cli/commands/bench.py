"""`incentivize bench`."""

from dataclasses import dataclass, field
from typing import Annotated

import tyro
from rich.console import Console

from incentivize.experiments.cli.choices import BENCHMARKS, check_choice
from incentivize.experiments.cli.options import JsonOptions, Repeatable, check_at_least_one, flatten, one_of
from incentivize.experiments.cli.result import Command, CommandResult
from incentivize.experiments.runtime.jax_settings import set_up_process


@dataclass(frozen=True)
class Bench(Command):
    """Measure steps per second on this machine: the median of several runs of compiled programs."""

    benchmark: Annotated[str, tyro.conf.Positional, one_of(BENCHMARKS)] = "all"
    """envs: random policies; train: whole updates; tasks: cost by number of tasks; saves: checkpoints; all: these four;
    specialists: a thousand in one program, compared with one after another (minutes per family)."""
    family: Annotated[Repeatable[str], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")] = ()
    """Families to measure (default: all)."""
    repeats: int = 5
    """Number of measurements whose median is printed."""
    common: Annotated[JsonOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JsonOptions)

    def execute(self, console: Console) -> CommandResult:
        """Measure speed, and print a table."""
        set_up_process(compiles=True)
        from incentivize import envs

        families = flatten(self.family)
        for name in families:
            check_choice("--family", name)
        check_choice("BENCHMARK", self.benchmark)
        check_at_least_one(repeats=self.repeats)
        from incentivize.experiments.bench.suite import bench

        return CommandResult(bench(self.benchmark, families or envs.names(), self.repeats, console))
