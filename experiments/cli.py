"""The command `incentivize`. Nothing here imports jax before a command needs it: help has to appear at once."""

import gc
import json
import os
import signal
import sys
import traceback
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import tyro
from rich.console import Console

from experiments import presets, studies
from experiments.settings import (
    FLAG_KEYS,
    TRAINING_KEYS,
    Settings,
    SettingsError,
    Training,
    check_name,
    load_file,
    resolve,
)

DONE, FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 75

NAMES = ("families", "specialist_learners")  # the lists of settings that hold no numbers
Topic = Literal["families", "rewards", "learners", "networks", "studies"]


def _flags() -> list[tuple[str, Any, Any]]:
    """A flag, off by default, for every setting: what is not given on the command line stays as preset and file say."""
    flags = []
    for schema, keys in ((Settings, FLAG_KEYS), (Training, TRAINING_KEYS)):
        for key in keys:
            info = schema.model_fields[key]
            several = get_origin(info.annotation) is tuple
            kind = getattr(info.annotation, "__name__", "").upper().replace("TUPLE", "NAME" if key in NAMES else "N")
            argument = tyro.conf.arg(
                name="family" if key == "families" else key,
                help=(info.description or "").replace("%", "%%"),
                help_behavior_hint="",
                metavar=f"{kind} [{kind} ...]" if several else kind,
            )
            flags.append((key, Annotated[info.annotation | None, argument], field(default=None)))
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
    """What this run shall have otherwise than its preset: for every family, where it is about training."""
    preset: Annotated[str, tyro.conf.arg(metavar="NAME")] = "quick"
    """quick: minutes on two cores; standard: hours, with the seeds that verdicts need."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.toml", help_behavior_hint="")] = None
    """A TOML file of settings; flags outrank it."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: runs/STUDY-PRESET)")] = None
    """The run directory."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Processes that train side by side, if not one for every core (a CPU) or one alone (an accelerator)."""
    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show a traceback where something fails."""


@dataclass(frozen=True)
class Report:
    """Draw the figure, judge the claims and write report.html from run directories."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR...", help_behavior_hint="")]
    """Run directories."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    """Where the files go, if not into the run directory."""
    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show a traceback where something fails."""


@dataclass(frozen=True)
class List:
    """List what there is to choose from."""

    topic: tyro.conf.Positional[Literal["all", "families", "rewards", "learners", "networks", "studies"]] = "all"
    """What to list."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of tables."""
    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show a traceback where something fails."""


@dataclass(frozen=True)
class Bench:
    """Measure steps per second here: compiled beforehand, blocked until ready, the median of several."""

    what: tyro.conf.Positional[Literal["all", "envs", "train", "tasks", "specialists"]] = "all"
    """envs: random policies; train: whole updates; tasks: cost against the number of tasks (all: these three);
    specialists: a thousand in one program against one after another (minutes a family)."""
    family: tuple[str, ...] = ()
    """The families to measure (default: all)."""
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
    knob: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...", help_behavior_hint="")] = ()
    """Knobs of the family."""
    gif: Annotated[Path | None, tyro.conf.arg(metavar="FILE.gif", help_behavior_hint="")] = None
    """Write what was played as an animation."""
    picture: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png", help_behavior_hint="")] = None
    """Write a picture of the start."""
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
    """Whose training settings the first trial has: quick or standard."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.toml", help_behavior_hint="")] = None
    """A TOML file of settings, such as knobs of the family."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: runs/tune-FAMILY)")] = None
    """Where the trials are written down."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Processes that train side by side, if not one for every core (a CPU) or one alone (an accelerator)."""
    debug: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Show a traceback where something fails."""


def _settings(command: Run) -> Settings:
    import envs

    check_name("study", command.study, studies.names())
    study = studies.load(command.study)
    check_name("--preset", command.preset, study.PRESETS)
    given = {key: value for key, value in vars(command.settings).items() if value is not None}
    file = load_file(command.config) if command.config else {}
    _agree(file, command.config, study=command.study, preset=command.preset)
    for source in (file, given):
        for name in source.get("families", ()) if isinstance(source.get("families", ()), (list, tuple)) else ():
            check_name("--family", str(name), envs.names())
    base = {"study": command.study, "preset": command.preset} | study.PRESETS[command.preset]
    return resolve(base, presets.training(command.preset), file, given)


def _agree(file: dict[str, Any], path: Path | None, **said: str) -> None:
    """Refuses a file that is for another study or preset than the command says."""
    for key, value in said.items():
        if file.get(key, value) != value:
            raise SettingsError(f"{key} = {file[key]!r} in {path}: the command says {value!r}")


def _at_least_one(**flags: int | None) -> None:
    for name, value in flags.items():
        if value is not None and value < 1:
            raise SettingsError(f"--{name} = {value}: want at least 1")


def _run(command: Run, console: Console) -> None:
    settings = _settings(command)
    _at_least_one(workers=command.workers)
    from experiments.main import run_study  # imports jax

    run_study(settings, command.out or Path("runs") / f"{settings.study}-{settings.preset}", console, command.workers)


def _report(command: Report, console: Console) -> None:
    from experiments.report import report
    from experiments.store import Store

    if not command.runs:
        raise SettingsError("report: want at least one run directory")
    for path in command.runs:
        if not path.is_dir():
            raise SettingsError(f"{path}: there is no such run directory")
    if command.out and command.out.exists() and not command.out.is_dir():
        raise SettingsError(f"--out {command.out}: is not a directory")
    names = [path.resolve().name for path in command.runs]
    if command.out and len(set(names)) < len(names):
        raise SettingsError(
            f"--out {command.out}: runs of the same name would overwrite each other ({', '.join(names)})"
        )
    for path in command.runs:
        out = command.out / path.resolve().name if command.out and len(command.runs) > 1 else command.out
        report(Store(path), console, out)


def _list(command: List, console: Console) -> None:
    from experiments.listing import listing

    found = {topic: listing(topic) for topic in get_args(Topic) if command.topic in ("all", topic)}
    if command.json:
        print(json.dumps(found if command.topic == "all" else found[command.topic], indent=1))
        return
    from experiments.report import number, rich_table

    for topic, rows in found.items():
        long = {"is", "knobs"} if topic == "families" else set()
        shown = [{key: number(value) for key, value in row.items() if key not in long} for row in rows]
        console.print(rich_table(topic, shown))
        for row in rows if long else ():
            console.print(f"{row['name']}: {row['is']} Knobs: {row['knobs']}.", highlight=False)


def _bench(command: Bench, console: Console) -> None:
    import envs

    for name in command.family:
        check_name("--family", name, envs.names())
    _at_least_one(repeats=command.repeats)
    from experiments.bench import bench

    bench(command.what, command.family or envs.names(), command.repeats, command.json, console)


def _play(command: Play, console: Console) -> None:
    import envs

    check_name("FAMILY", command.family, envs.names())
    if command.seed is not None and command.seed < 0:
        raise SettingsError(f"--seed = {command.seed}: want 0 or more")
    from experiments.play import check_file, environment, play  # imports jax

    check_file("--gif", command.gif, ".gif")
    check_file("--picture", command.picture, ".png")
    env = environment(command.family, command.control, command.task, command.knob)
    play(
        env,
        console,
        task=command.task,
        seed=command.seed,
        by_expert=command.expert,
        gif=command.gif,
        png=command.picture,
    )


def _tune(command: Tune, console: Console) -> None:
    import envs

    check_name("FAMILY", command.family, envs.names())
    check_name("--preset", command.preset, presets.PRESETS)
    _at_least_one(trials=command.trials, workers=command.workers)
    arms = ("incentivized", "taught")
    if command.arm is not None:
        check_name("--arm", command.arm, arms)
        arms = (command.arm,)
    file = load_file(command.config) if command.config else {}
    _agree(file, command.config, study="tune", preset=command.preset)
    from experiments.tune import PRESET, tune  # imports jax

    said = {"families": [command.family], "seeds": command.seeds, "pools": [command.pool], "budget": command.budget}
    given = {key: value for key, value in said.items() if value is not None}
    base = PRESET | {"preset": command.preset}
    settings = resolve(base, presets.training(command.preset), file, given)
    tune(
        settings, command.trials, arms, command.out or Path("runs") / f"tune-{command.family}", console, command.workers
    )


Command = (
    Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[List, tyro.conf.subcommand("list")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[Play, tyro.conf.subcommand("play")]
    | Annotated[Tune, tyro.conf.subcommand("tune")]
)


def main(args: list[str] | None = None) -> int:
    """Runs the command; returns the exit status: 0 done, 1 failed, 2 bad input, 75 stopped and resumable."""
    description = "Train one agent on very many generated tasks with a sparse reward, and compare it with specialists."
    command: Any = tyro.cli(
        Command,  # pyright: ignore[reportArgumentType]
        prog="incentivize",
        description=description,
        args=args,
    )
    console, errors = Console(), Console(stderr=True)
    actions = {Run: _run, Report: _report, List: _list, Bench: _bench, Play: _play, Tune: _tune}
    try:
        actions[type(command)](command, console)
    except KeyboardInterrupt:
        resumes = "; the same command goes on from the last finished training run"
        errors.print("stopped" + resumes * isinstance(command, (Run, Tune)))
        return STOPPED
    except Exception as error:
        bad = isinstance(error, SettingsError)
        text = str(error) if bad else f"failed: {error or type(error).__name__}"
        errors.print(text, markup=False, highlight=False, soft_wrap=True)
        if command.debug:
            traceback.print_exc()
        return BAD_INPUT if bad else FAILED
    return DONE


def _stop(*_: object) -> None:
    """Interrupts once: an impatient second signal must not disturb the clearing up."""
    for polite in (signal.SIGINT, signal.SIGTERM):
        signal.signal(polite, signal.SIG_IGN)
    raise KeyboardInterrupt


def entry() -> None:
    """The console script."""
    for polite in (signal.SIGINT, signal.SIGTERM):
        signal.signal(polite, _stop)
    status = main()
    if status == STOPPED:  # XLA may still be compiling in its threads, and crashes where the interpreter winds up first
        gc.collect()  # gives back what the workers' queues held in the system
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
