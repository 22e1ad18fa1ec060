"""The commands and their flags, as data: what `incentivize --help` shows. Imports nothing that is slow."""

from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin

import tyro

from incentivize.experiments.cli.choices import BENCHMARKS, LAUNCHERS, SHELLS, TOPICS
from incentivize.experiments.settings.schema import FLAG_KEYS, SAVE_EVERY, TRAINING_KEYS, Settings, Training

NAMES = ("families", "specialist_learners")  # the lists of settings that hold no numbers
FLAG_NAMES = {"families": "family"}  # what a flag is called that is not called as its setting is
Value = TypeVar("Value")
Often = tyro.conf.UseAppendAction[tuple[tuple[Value, ...], ...]]
"""A flag that takes several values and may stand there several times; `acts.shared.flat` has them in one row."""


def _one_of(names: tuple[str, ...], hint: str | None = None) -> Any:
    """A word that is one of these, as the help shows it; `known.check_known` sees to it that it is."""
    return tyro.conf.arg(metavar=f"{{{','.join(names)}}}", help_behavior_hint=hint)


def _kind(annotation: Any) -> str:
    """What the help calls one value of a type, such as INT for `Annotated[int, ...] | None`."""
    inner = [part for part in get_args(annotation) if part is not type(None)]
    return _kind(inner[0]) if inner else annotation.__name__.upper()


def _flags() -> list[tuple[str, Any, Any]]:
    """A flag, off by default, for every setting: what is not given on the command line stays as preset and file say."""
    flags = []
    for schema, keys in ((Settings, FLAG_KEYS), (Training, TRAINING_KEYS)):
        for key in keys:
            info = schema.model_fields[key]
            annotation: Any = info.annotation
            several = get_origin(annotation) is tuple
            kind_of = Often[get_args(annotation)[0]] if several else annotation | None
            kind = ("NAME" if key in NAMES else "N") if several else _kind(annotation)
            known = schema is Training and info.default not in (None, "")
            argument = tyro.conf.arg(
                name=FLAG_NAMES.get(key, key),
                help=(info.description or "").replace("%", "%%"),
                help_behavior_hint=f"(default: {info.default})" if known else "",
                metavar=f"{kind} [{kind} ...]" if several else kind,
            )
            flags.append((key, Annotated[kind_of, argument], field(default=() if several else None)))
    return flags


if TYPE_CHECKING:
    Flags = Any
else:
    Flags = make_dataclass("Flags", _flags(), frozen=True)


@dataclass(frozen=True)
class Run:
    """Run a study, or go on with it: a finished run is left as it is."""

    study: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="STUDY", help_behavior_hint="")]
    """The study: see `incentivize list studies`."""
    settings: Annotated[Flags, tyro.conf.OmitArgPrefixes]
    """What this run shall have otherwise than its preset: for every family, where it is about training. The defaults
    are those of families for which no settings are shipped; DIR/config.toml says what a run has."""
    preset: Annotated[str, tyro.conf.arg(metavar="NAME")] = "quick"
    """tiny: a minute, to see that all of it runs; quick: minutes on two cores; standard: hours, with the seeds that
    verdicts need; large: for an accelerator."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.toml", help_behavior_hint="")] = None
    """A TOML file of settings; flags outrank it."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: runs/STUDY-PRESET)")] = None
    """The run directory."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """How many train side by side, if not one for every core (a CPU), or for every accelerator."""
    split: Annotated[int, tyro.conf.arg(metavar="INT")] = 1
    """Devices that divide the environments of every agent among them: for agents too large for one."""
    coordinator: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT", help_behavior_hint="")] = None
    """Where the first of several processes listens, which train every agent together; auto: as a cluster tells."""
    processes: Annotated[int, tyro.conf.arg(metavar="INT")] = 1
    """How many processes there are, all with this command."""
    process: Annotated[int, tyro.conf.arg(metavar="INT")] = 0
    """Which of them this is, from 0 on."""
    save_every: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = SAVE_EVERY
    """How often what is being trained is saved: no more than this is lost when the machine dies."""
    launcher: Annotated[str, _one_of(LAUNCHERS)] = "local"
    """local: in this process; slurm: as a job of a Slurm cluster; trial: as such a job, but on this machine."""
    job: Annotated[Often[str], tyro.conf.arg(metavar="NAME=VALUE ...", help_behavior_hint="")] = ()
    """What the job asks for, as submitit names it: timeout_min=240 gpus_per_node=8 slurm_partition=gpu."""
    tracker: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """Where rows, figure and verdicts are shown as well: tensorboard or wandb, in DIR/trackers."""
    alone: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Take over no training runs from the runs in the same folder that had the same."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print how the run ended, and its verdicts, as JSON; words and tables go to standard error."""
    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show a traceback where something fails, and stop where a number first is none (slow: one agent at a time)."""


@dataclass(frozen=True)
class Report:
    """Draw figures, judge claims and write report.html from run directories; of several, a scoreboard too."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR...", help_behavior_hint="")]
    """Run directories."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Where the files go, if not into the run directory; the scoreboard of several runs is written only here."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the verdicts as JSON; words and tables go to standard error."""
    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show a traceback where something fails."""


@dataclass(frozen=True)
class List:
    """List what there is to choose from."""

    topic: Annotated[str, tyro.conf.Positional, _one_of(("all", *TOPICS))] = "all"
    """What to list."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of tables."""
    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show a traceback where something fails."""


@dataclass(frozen=True)
class Bench:
    """Measure steps per second here: compiled beforehand, blocked until ready, the median of several."""

    what: Annotated[str, tyro.conf.Positional, _one_of(BENCHMARKS)] = "all"
    """envs: random policies; train: whole updates; tasks: cost against the number of tasks; saves: checkpoints (all:
    these four); specialists: a thousand in one program against one after another (minutes a family)."""
    family: Annotated[Often[str], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")] = ()
    """The families to measure, all if none is named."""
    repeats: int = 5
    """Measurements of which the median is printed."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of tables."""
    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show a traceback where something fails."""


@dataclass(frozen=True)
class Play:
    """Play a family's training tasks yourself, or watch its expert."""

    family: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FAMILY", help_behavior_hint="")]
    """The family: see `incentivize list families`. The rules are said at the start."""
    task: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: any)")] = None
    """The N-th training task."""
    seed: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: any)")] = None
    """Makes the same episode again: every one says what its seed is."""
    expert: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Let the expert play."""
    control: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """Play inside a control, such as blind or shuffled."""
    knob: Annotated[Often[str], tyro.conf.arg(metavar="NAME=VALUE ...", help_behavior_hint="")] = ()
    """Knobs of the family."""
    gif: Annotated[Path | None, tyro.conf.arg(metavar="FILE.gif", help_behavior_hint="")] = None
    """Write what was played as an animation."""
    picture: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png", help_behavior_hint="")] = None
    """Write a picture of the start."""
    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show a traceback where something fails."""


@dataclass(frozen=True)
class Watch:
    """Watch agents of a finished run, its specialists and the expert side by side at tasks no generalist has met."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR", help_behavior_hint="")]
    """The run directory."""
    family: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: the run's first)")] = None
    """The family to watch."""
    tasks: Annotated[int, tyro.conf.arg(metavar="N")] = 3
    """How many held-out tasks they play: the first ones, whatever comes of it."""
    gif: Annotated[Path | None, tyro.conf.arg(metavar="FILE.gif", help_behavior_hint="")] = None
    """Write an animation."""
    page: Annotated[Path | None, tyro.conf.arg(metavar="FILE.html", help_behavior_hint="")] = None
    """Write a page to step through, which needs no network."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print who did what as JSON; words and tables go to standard error."""
    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show a traceback where something fails."""


@dataclass(frozen=True)
class Tune:
    """Search for a family's training settings on validation tasks, with as many trials for either arm; resumes."""

    family: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FAMILY", help_behavior_hint="")]
    """The family: see `incentivize list families`."""
    trials: int = 16
    """Settings to try for each arm: the first is the one as shipped, the others are drawn."""
    seeds: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: 2)")] = None
    """Training seeds of each trial."""
    budget: Annotated[int | None, tyro.conf.arg(metavar="STEPS", help_behavior_hint="(default: the preset's)")] = None
    """Environment steps of one training run."""
    pool: Annotated[int | Literal["new"], tyro.conf.arg(metavar="N")] = "new"
    """Tasks to train on; "new": every episode a new task."""
    arm: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: both)")] = None
    """incentivized or taught, to do one of them now and the other in another run of the command."""
    preset: Annotated[str, tyro.conf.arg(metavar="NAME")] = "quick"
    """Whose training settings the first trial has: quick, standard or large."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.toml", help_behavior_hint="")] = None
    """A TOML file of settings, such as knobs of the family."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: runs/tune-FAMILY)")] = None
    """Where the trials are written down."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """How many train side by side, if not one for every core (a CPU), or for every accelerator."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the best settings as JSON; words and tables go to standard error."""
    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show a traceback where something fails."""


@dataclass(frozen=True)
class Doctor:
    """Say what is wrong with this installation, and what to do about it."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of lines."""
    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show a traceback where something fails."""


@dataclass(frozen=True)
class Completion:
    """Print a script that completes commands, flags and names in a shell."""

    shell: Annotated[str, tyro.conf.Positional, _one_of(SHELLS, hint="")]
    """The shell."""
    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show a traceback where something fails."""


COMMANDS: dict[str, Any] = {
    "run": Run,
    "report": Report,
    "list": List,
    "bench": Bench,
    "play": Play,
    "watch": Watch,
    "tune": Tune,
    "doctor": Doctor,
    "completion": Completion,
}
"""By name; what one does is `act` in the module of `incentivize.experiments.cli.result` that is called like it."""
