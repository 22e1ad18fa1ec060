"""`incentivize play`."""

from rich.console import Console

from incentivize.experiments.cli.choices import check_known
from incentivize.experiments.cli.commands import Play
from incentivize.experiments.cli.options import flat
from incentivize.experiments.cli.result import Answer
from incentivize.experiments.runtime.ambient import enter
from incentivize.experiments.settings.schema import SettingsError


def act(command: Play, console: Console) -> Answer:
    """Plays a family, by hand or by its expert."""
    enter()
    check_known("FAMILY", command.family)
    if command.seed is not None and command.seed < 0:
        raise SettingsError(f"--seed = {command.seed}: want 0 or more")
    from incentivize.experiments.viewing.play import check_file, environment, play  # imports jax

    check_file("--gif", command.gif, ".gif")
    check_file("--picture", command.picture, ".png")
    env = environment(command.family, command.control, command.task, flat(command.knob))
    play(
        env,
        console,
        task=command.task,
        seed=command.seed,
        by_expert=command.expert,
        gif=command.gif,
        png=command.picture,
    )
    return Answer()
