"""`incentivize tune`."""

from pathlib import Path

from rich.console import Console

from incentivize.experiments.cli.choices import check_known
from incentivize.experiments.cli.commands import Tune
from incentivize.experiments.cli.options import agree, at_least_one, keep_programs
from incentivize.experiments.cli.result import Answer
from incentivize.experiments.runtime.ambient import enter
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.schema import ARMS, load_file, resolve


def act(command: Tune, console: Console) -> Answer:
    """Searches for training settings."""
    enter(compiles=True)
    keep_programs()
    check_known("FAMILY", command.family)
    check_known("--preset", command.preset)
    at_least_one(trials=command.trials, workers=command.workers)
    if command.arm is not None:
        check_known("--arm", command.arm)
    file = load_file(command.config) if command.config else {}
    agree(file, command.config, study="tune", preset=command.preset)
    from incentivize.experiments.execution.tuning import PRESET, tune  # imports jax
    from incentivize.experiments.execution.validation import check
    from incentivize.experiments.storage.start_files import recalled

    said = {"families": [command.family], "seeds": command.seeds, "pools": [command.pool], "budget": command.budget}
    given = {key: value for key, value in said.items() if value is not None}
    base = PRESET | {"preset": command.preset}
    settings = resolve(base, presets.training(command.preset), file, given)
    out = command.out or Path("runs") / f"tune-{command.family}"
    settings, gone = recalled(settings, out)
    check(settings, gone)
    arms = ARMS if command.arm is None else (command.arm,)
    return Answer(tune(settings, command.trials, arms, out, console, command.workers))
