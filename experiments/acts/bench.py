"""`incentivize bench`."""

from rich.console import Console

from incentivize.experiments.acts import Answer
from incentivize.experiments.acts.shared import at_least_one, flat
from incentivize.experiments.ambient import enter
from incentivize.experiments.commands import Bench
from incentivize.experiments.known import check_known


def act(command: Bench, console: Console) -> Answer:
    """Measures speed."""
    enter(compiles=True)
    from incentivize import envs

    families = flat(command.family)
    for name in families:
        check_known("--family", name)
    check_known("WHAT", command.what)
    at_least_one(repeats=command.repeats)
    from incentivize.experiments.bench import bench

    return Answer(bench(command.what, families or envs.names(), command.repeats, console))
