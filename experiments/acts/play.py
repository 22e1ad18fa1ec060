"""`incentivize play`."""

from rich.console import Console

from experiments.acts import Answer
from experiments.acts.shared import flat
from experiments.ambient import enter
from experiments.commands import Play
from experiments.known import check_known
from experiments.settings import SettingsError


def act(command: Play, console: Console) -> Answer:
    """Plays a family, by hand or by its expert."""
    enter()
    check_known("FAMILY", command.family)
    if command.seed is not None and command.seed < 0:
        raise SettingsError(f"--seed = {command.seed}: want 0 or more")
    from experiments.play import check_file, environment, play  # imports jax

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
