"""`incentivize play`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from incentivize.experiments.cli.choices import check_choice
from incentivize.experiments.cli.options import CommonOptions, Repeatable, check_can_write, flatten
from incentivize.experiments.cli.result import Command, CommandResult
from incentivize.experiments.errors import InputError
from incentivize.experiments.runtime.jax_settings import set_up_process


@dataclass(frozen=True)
class Play(Command):
    """Play a family's training tasks yourself, or watch its expert."""

    family: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FAMILY", help_behavior_hint="")]
    """Family to play: see `incentivize list families`. Its rules are printed at the start."""
    task: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: any)")] = None
    """Number of the training task to play."""
    seed: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: any)")] = None
    """Seed of the episode. Every episode prints its own, to be played again."""
    expert: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Watch the expert instead."""
    control: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """Control to play in, such as blind or shuffled."""
    knob: Annotated[Repeatable[str], tyro.conf.arg(metavar="NAME=VALUE ...", help_behavior_hint="")] = ()
    """Knobs of the family."""
    gif: Annotated[Path | None, tyro.conf.arg(metavar="FILE.gif", help_behavior_hint="")] = None
    """Write the episode as an animation."""
    picture: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png", help_behavior_hint="")] = None
    """Write a picture of the starting state."""
    common: Annotated[CommonOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=CommonOptions)

    def execute(self, console: Console) -> CommandResult:
        """Play a family, by hand or by its expert.

        Raises:
            InputError: if an argument is wrong.
        """
        set_up_process()
        check_choice("FAMILY", self.family)
        if self.seed is not None and self.seed < 0:
            raise InputError(f"--seed = {self.seed}: must be 0 or more. Give a larger number or leave it out.")
        from incentivize.experiments.viewing.play import make_env, play  # imports jax

        check_can_write("--gif", self.gif, ".gif")
        check_can_write("--picture", self.picture, ".png")
        env = make_env(self.family, self.control, self.task, flatten(self.knob))
        play(env, console, task=self.task, seed=self.seed, by_expert=self.expert, gif=self.gif, png=self.picture)
        return CommandResult()
