"""`incentivize watch`."""

from rich.console import Console

from incentivize.experiments.cli.commands import Watch
from incentivize.experiments.cli.options import at_least_one, keep_programs
from incentivize.experiments.cli.result import Answer
from incentivize.experiments.runtime.ambient import enter
from incentivize.experiments.settings.schema import SettingsError


def act(command: Watch, console: Console) -> Answer:
    """Shows the agents of a run."""
    enter()
    keep_programs()
    from incentivize.experiments.storage.run_directory import Store
    from incentivize.experiments.viewing.play import check_file
    from incentivize.experiments.viewing.watch import watch  # imports jax

    if not command.run.is_dir():
        raise SettingsError(f"{command.run}: there is no such run directory")
    at_least_one(tasks=command.tasks)
    check_file("--gif", command.gif, ".gif")
    check_file("--page", command.page, ".html")
    store = Store(command.run)
    store.enclosed()
    return Answer(watch(store, console, command.family, command.tasks, command.gif, command.page, not command.json))
