"""`incentivize bench`."""

from rich.console import Console

from incentivize.experiments.cli.choices import check_known
from incentivize.experiments.cli.commands import Bench
from incentivize.experiments.cli.options import at_least_one, flat
from incentivize.experiments.cli.result import Answer
from incentivize.experiments.runtime.ambient import enter


def act(command: Bench, console: Console) -> Answer:
    """Measures speed."""
    enter(compiles=True)
    from incentivize import envs

    families = flat(command.family)
    for name in families:
        check_known("--family", name)
    check_known("WHAT", command.what)
    at_least_one(repeats=command.repeats)
    from incentivize.experiments.bench.suite import bench

    return Answer(bench(command.what, families or envs.names(), command.repeats, console))
