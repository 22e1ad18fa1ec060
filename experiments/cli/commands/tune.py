"""`incentivize tune`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro
from rich.console import Console

from incentivize.experiments.cli.choices import check_choice
from incentivize.experiments.cli.options import JsonOptions, check_at_least_one, check_file_matches
from incentivize.experiments.cli.result import Command, CommandResult
from incentivize.experiments.runtime.compilation_cache import enable_cache
from incentivize.experiments.runtime.jax_settings import set_up_process
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import load_file, resolve
from incentivize.experiments.settings.training import ARMS


@dataclass(frozen=True)
class Tune(Command):
    """Search for training settings of a family on validation tasks, with equally many trials per arm; resumes."""

    RESUMES: ClassVar[bool] = True

    family: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FAMILY", help_behavior_hint="")]
    """Family to tune: see `incentivize list families`."""
    trials: int = 16
    """Number of trials per arm. The first has the settings as shipped, the others are drawn."""
    seeds: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: 2)")] = None
    """Training seeds per trial."""
    budget: Annotated[int | None, tyro.conf.arg(metavar="STEPS", help_behavior_hint="(default: the preset's)")] = None
    """Environment steps per cell, one cell for each seed of a trial."""
    pool: Annotated[int | Literal["new"], tyro.conf.arg(metavar="N")] = "new"
    """Number of training tasks; "new": a new task every episode."""
    arm: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: both)")] = None
    """Arm to search for: incentivized or taught. The other one can be added later."""
    preset: Annotated[str, tyro.conf.arg(metavar="NAME")] = "quick"
    """Preset whose training settings the first trial has: quick, standard or large."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.toml", help_behavior_hint="")] = None
    """TOML file of settings, such as knobs of the family."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: runs/tune-FAMILY)")] = None
    """Run directory for the trials."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Number of groups of agents trained at a time (default: one per CPU core, or one per accelerator)."""
    common: Annotated[JsonOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JsonOptions)

    def execute(self, console: Console) -> CommandResult:
        """Search for training settings, and print the best."""
        set_up_process(compiles=True)
        enable_cache()
        check_choice("FAMILY", self.family)
        check_choice("--preset", self.preset)
        check_at_least_one(trials=self.trials, workers=self.workers)
        if self.arm is not None:
            check_choice("--arm", self.arm)
        file = load_file(self.config) if self.config else {}
        check_file_matches(file, self.config, study="tune", preset=self.preset)
        from incentivize.experiments.execution.execution_options import ExecutionOptions
        from incentivize.experiments.execution.tuning import PRESET, tune  # imports jax
        from incentivize.experiments.execution.validation import validate
        from incentivize.experiments.storage.start_from import recall_start_files

        flags = {"families": [self.family], "seeds": self.seeds, "pools": [self.pool], "budget": self.budget}
        given = {key: value for key, value in flags.items() if value is not None}
        base = PRESET | {"preset": self.preset}
        settings = resolve(base, presets.training_defaults(self.preset), file, given)
        out = self.out or Path("runs") / f"tune-{self.family}"
        settings, without_start_file = recall_start_files(settings, out)
        validate(settings, without_start_file)
        arms = ARMS if self.arm is None else (self.arm,)
        options = ExecutionOptions(workers=self.workers or 0)
        return CommandResult(tune(settings, self.trials, arms, out, console, options))
