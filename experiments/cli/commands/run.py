"""`incentivize run`."""

import json
import math
from dataclasses import dataclass, field, make_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_args, get_origin

import tyro
from rich.console import Console

from incentivize.experiments import studies
from incentivize.experiments.cli.arguments import FLAG_NAMES
from incentivize.experiments.cli.choices import LAUNCHERS, check_choice
from incentivize.experiments.cli.options import (
    JsonOptions,
    Repeatable,
    check_at_least_one,
    check_file_matches,
    flatten,
    one_of,
)
from incentivize.experiments.cli.result import Command, CommandResult
from incentivize.experiments.errors import InputError, check_name, did_you_mean
from incentivize.experiments.runtime.ambient import set_up_process
from incentivize.experiments.runtime.compilation_cache import enable_cache
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import load_file, resolve
from incentivize.experiments.settings.schema import FLAG_KEYS, SAVE_EVERY, TRAINING_KEYS, Settings, Training

LISTS_OF_NAMES = ("families", "specialist_learners")  # the lists of settings that hold no numbers


def _value_name(annotation: Any) -> str:
    """What the help calls one value of a type, such as INT for `Annotated[int, ...] | None`."""
    inner = [part for part in get_args(annotation) if part is not type(None)]
    return _value_name(inner[0]) if inner else annotation.__name__.upper()


def _settings_flags() -> list[tuple[str, Any, Any]]:
    """A flag, off by default, for every setting: what is not given on the command line stays as preset and file say."""
    flags = []
    for schema, keys in ((Settings, FLAG_KEYS), (Training, TRAINING_KEYS)):
        for key in keys:
            info = schema.model_fields[key]
            annotation: Any = info.annotation
            several = get_origin(annotation) is tuple
            kind_of = Repeatable[get_args(annotation)[0]] if several else annotation | None
            kind = ("NAME" if key in LISTS_OF_NAMES else "N") if several else _value_name(annotation)
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
    SettingsFlags = Any
else:
    SettingsFlags = make_dataclass("SettingsFlags", _settings_flags(), frozen=True)


@dataclass(frozen=True)
class Run(Command):
    """Run a study, or go on with it: a finished run is left as it is."""

    RESUMES: ClassVar[bool] = True

    study: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="STUDY", help_behavior_hint="")]
    """The study: see `incentivize list studies`."""
    settings: Annotated[SettingsFlags, tyro.conf.OmitArgPrefixes]
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
    devices_per_agent: Annotated[int, tyro.conf.arg(metavar="INT")] = 1
    """Devices that divide the environments of every agent among them: for agents too large for one."""
    coordinator: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT", help_behavior_hint="")] = None
    """Where the first of several processes listens, which train every agent together; auto: as a cluster tells."""
    processes: Annotated[int, tyro.conf.arg(metavar="INT")] = 1
    """How many processes there are, all with this command."""
    process: Annotated[int, tyro.conf.arg(metavar="INT")] = 0
    """Which of them this is, from 0 on."""
    save_every: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = SAVE_EVERY
    """How often what is being trained is saved: no more than this is lost when the machine dies."""
    launcher: Annotated[str, one_of(LAUNCHERS)] = "local"
    """local: in this process; slurm: as a job of a Slurm cluster; trial: as such a job, but on this machine."""
    job: Annotated[Repeatable[str], tyro.conf.arg(metavar="NAME=VALUE ...", help_behavior_hint="")] = ()
    """What the job asks for, as submitit names it: timeout_min=240 gpus_per_node=8 slurm_partition=gpu."""
    tracker: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """Where rows, figure and verdicts are shown as well: tensorboard or wandb, in DIR/trackers."""
    alone: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Take over no training runs from the runs in the same folder that had the same."""
    common: Annotated[JsonOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JsonOptions)

    def execute(self, console: Console) -> CommandResult:
        """Run what is missing of a study, here or as a job."""
        set_up_process(compiles=True)
        enable_cache()
        settings = _settings(self)
        _check_flags(self)
        if self.coordinator is not None:
            from incentivize.experiments.runtime.distributed import initialize

            initialize(self.coordinator, self.processes, self.process)
        from incentivize.experiments.execution.validation import validate  # imports jax, and little else
        from incentivize.experiments.storage.start_files import recall_start_files

        out = self.out or Path("runs") / f"{settings.study}-{settings.preset}"
        settings, gone = recall_start_files(settings, out)
        validate(settings, gone)
        if self.launcher != "local":
            return CommandResult(_launch(self, settings, out, console))
        from incentivize.experiments.execution.study_run import run_study  # imports all the rest

        how = {
            "reuse": not self.alone,
            "checkify": self.common.debug,
            "devices_per_agent": self.devices_per_agent,
            "tracker": self.tracker,
        }
        run_study(settings, out, console, self.workers, self.save_every, **how)
        return CommandResult(_json_document(out))


def _settings(command: Run) -> Settings:
    from incentivize import envs

    check_choice("STUDY", command.study)
    study = studies.load(command.study)
    check_name("--preset", command.preset, study.PRESETS)
    given = {
        key: flatten(value) if isinstance(value, tuple) else value
        for key, value in vars(command.settings).items()
        if value not in (None, ())
    }
    file = load_file(command.config) if command.config else {}
    check_file_matches(file, command.config, study=command.study, preset=command.preset)
    wrong = []
    for source in (file, given):
        named = source.get("families")
        for name in map(str, named if isinstance(named, (list, tuple)) else ()):
            wrong += [f"families: {name!r}: {did_you_mean(name, envs.names())}"] * (name not in envs.names())
    base = {"study": command.study, "preset": command.preset} | study.PRESETS[command.preset]
    try:
        settings = resolve(base, presets.training_defaults(command.preset), file, given)
    except InputError as error:
        raise InputError("\n".join([*wrong, str(error)])) from None
    if wrong:
        raise InputError("\n".join(wrong))
    return settings


def _check_flags(command: Run) -> None:
    """Refuse flags that say how to run, and will not do."""
    check_at_least_one(workers=command.workers, split=command.devices_per_agent)
    check_choice("--launcher", command.launcher)
    if command.job and command.launcher == "local":
        raise InputError(f"--job {flatten(command.job)[0]}: is for a job; want --launcher slurm, too")
    if not 0 <= command.save_every < math.inf:
        raise InputError(f"--save-every = {command.save_every}: want 0 or more seconds")
    if command.tracker is not None:
        from incentivize.experiments.trackers.registry import load_tracker

        load_tracker(command.tracker)
    if command.coordinator is None and (command.processes, command.process) != (1, 0):
        raise InputError(f"--processes = {command.processes}: want --coordinator HOST:PORT, too")
    if command.coordinator is not None and command.launcher != "local":
        raise InputError(f"--coordinator {command.coordinator}: want --launcher local")


def _launch(command: Run, settings: Settings, out: Path, console: Console) -> dict[str, Any]:
    if find_spec("submitit") is None:
        raise InputError(f"--launcher {command.launcher}: needs submitit: pip install 'incentivize[slurm]'")
    from incentivize.experiments.execution.slurm import launch

    told = [f"--save-every={command.save_every}", f"--devices-per-agent={command.devices_per_agent}"]
    told += [f"--workers={command.workers}"] * (command.workers is not None)
    told += [f"--tracker={command.tracker}"] * (command.tracker is not None)
    told += ["--alone"] * command.alone + ["--debug"] * command.common.debug
    job = launch(settings, out, command.launcher, told, flatten(command.job), console)
    return {"out": str(out), "submitted": None if job is None else job.job_id}


def _json_document(out: Path) -> dict[str, Any]:
    """What `--json` says of a run that is done."""
    from incentivize.experiments.storage.run_directory import RunDirectory

    store = RunDirectory(out)
    meta, claims = store.meta(), out / "claims.json"
    return {
        "out": str(out),
        "state": store.status().get("state"),
        "cells": len(meta.get("ledger", {})),
        "seconds": meta.get("seconds"),
        "claims": json.loads(claims.read_text(encoding="utf-8")) if claims.exists() else [],
    }
