"""`incentivize run`."""

import math
from dataclasses import dataclass, field, make_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args, get_origin

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
from incentivize.experiments.execution.execution_options import ExecutionOptions
from incentivize.experiments.runtime.compilation_cache import enable_cache
from incentivize.experiments.runtime.jax_settings import set_up_process
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import load_file, resolve
from incentivize.experiments.settings.schema import FLAG_KEYS, SAVE_EVERY, PoolSize, Settings
from incentivize.experiments.settings.training import TRAINING_KEYS, Training

WrittenPoolSize = int | Literal["new"]
"""A pool size as a command line gives it."""

LISTS_OF_NAMES = ("families", "specialist_learners")  # list settings that hold names; all others hold numbers


def _value_name(annotation: Any) -> str:
    """Return the name of a value of a type in the help, such as INT for `Annotated[int, ...] | None`."""
    inner = [part for part in get_args(annotation) if part is not type(None)]
    return _value_name(inner[0]) if inner else annotation.__name__.upper()


def _settings_flags() -> list[tuple[str, Any, Any]]:
    """Return a flag for every setting, as fields of a dataclass. Flags that are not given leave a setting unchanged."""
    flags = []
    for schema, keys in ((Settings, FLAG_KEYS), (Training, TRAINING_KEYS)):
        for key in keys:
            info = schema.model_fields[key]
            annotation: Any = info.annotation
            several = get_origin(annotation) is tuple
            element = get_args(annotation)[0] if several else annotation
            element = WrittenPoolSize if element == PoolSize else element
            kind_of = Repeatable[element] if several else element | None
            kind = ("NAME" if key in LISTS_OF_NAMES else "N") if several else _value_name(annotation)
            has_default = schema is Training and info.default not in (None, "")
            argument = tyro.conf.arg(
                name=FLAG_NAMES.get(key, key),
                help=(info.description or "").replace("%", "%%"),
                help_behavior_hint=f"(default: {info.default})" if has_default else "",
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
    """Run a study, or resume it; a finished run is left unchanged."""

    RESUMES: ClassVar[bool] = True

    study: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="STUDY", help_behavior_hint="")]
    """Study to run: see `incentivize list studies`."""
    settings: Annotated[SettingsFlags, tyro.conf.OmitArgPrefixes]
    """Override settings of the preset. Training settings apply to every family. The defaults shown are those of
    families without shipped settings; DIR/config.toml holds the resolved values."""
    preset: Annotated[str, tyro.conf.arg(metavar="NAME")] = "quick"
    """tiny: a minute, to try everything; quick: minutes on two cores; standard: hours, with as many seeds as verdicts
    need; large: for an accelerator."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.toml", help_behavior_hint="")] = None
    """TOML file of settings; flags override it."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: runs/STUDY-PRESET)")] = None
    """Run directory."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None
    """Number of groups of agents trained at a time (default: one per CPU core, or one per accelerator)."""
    devices_per_agent: Annotated[int, tyro.conf.arg(metavar="INT")] = 1
    """Number of devices that share the environments of each agent, for agents too large for one device."""
    coordinator: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT", help_behavior_hint="")] = None
    """Address of the first of several processes that train every agent together; auto: found out from the cluster."""
    processes: Annotated[int, tyro.conf.arg(metavar="INT")] = 1
    """Number of these processes; all run the same command."""
    process: Annotated[int, tyro.conf.arg(metavar="INT")] = 0
    """Number of this process, from 0."""
    save_every: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = SAVE_EVERY
    """Time between two checkpoints: a crash loses at most this much training."""
    launcher: Annotated[str, one_of(LAUNCHERS)] = "local"
    """local: run in this process; slurm: submit a job to a Slurm cluster; trial: run such a job on this machine."""
    job: Annotated[Repeatable[str], tyro.conf.arg(metavar="NAME=VALUE ...", help_behavior_hint="")] = ()
    """Options of the job, in the words of submitit: timeout_min=240 gpus_per_node=8 slurm_partition=gpu."""
    tracker: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    """Also show rows, figure and verdicts in a tracker: tensorboard or wandb, written to DIR/trackers."""
    alone: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Do not reuse finished cells of other runs in the same folder."""
    common: Annotated[JsonOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JsonOptions)

    def execute(self, console: Console) -> CommandResult:
        """Run the missing cells of a study, in this process or as a job."""
        set_up_process(compiles=True)
        enable_cache()
        settings = _settings(self)
        _check_flags(self)
        if self.coordinator is not None:
            from incentivize.experiments.runtime.distributed import initialize

            initialize(self.coordinator, self.processes, self.process)
        from incentivize.experiments.execution.validation import validate  # imports jax, and little else
        from incentivize.experiments.storage.start_from import recall_start_files

        out = self.out or Path("runs") / f"{settings.study}-{settings.preset}"
        settings, without_start_file = recall_start_files(settings, out)
        validate(settings, without_start_file)
        if self.launcher != "local":
            return CommandResult(_launch(self, settings, out, console))
        from incentivize.experiments.execution.study_run import run_study  # imports all the rest

        run_study(settings, out, console, _execution_options(self))
        return CommandResult(_json_document(out))


def _execution_options(command: Run) -> ExecutionOptions:
    """Return the options that decide how a study is run."""
    return ExecutionOptions(
        workers=command.workers or 0,
        save_every=command.save_every,
        checkify=command.common.debug,
        devices_per_agent=command.devices_per_agent,
        reuse=not command.alone,
        tracker=command.tracker,
    )


def _settings(command: Run) -> Settings:
    """Resolve the settings of a run from its preset, its file and its flags.

    Raises:
        InputError: if settings are wrong; the message names all of them.
    """
    from incentivize import envs

    check_choice("STUDY", command.study)
    study = studies.load(command.study)
    check_name("--preset", command.preset, study.PRESETS)
    flags = {
        key: flatten(value) if isinstance(value, tuple) else value
        for key, value in vars(command.settings).items()
        if value not in (None, ())
    }
    file = load_file(command.config) if command.config else {}
    check_file_matches(file, command.config, study=command.study, preset=command.preset)
    errors = []
    for source in (file, flags):
        families = source.get("families")
        for name in map(str, families if isinstance(families, (list, tuple)) else ()):
            if name not in envs.names():
                errors.append(f"families = {name!r}: there is no such family. {did_you_mean(name, envs.names())}")
    base = {"study": command.study, "preset": command.preset} | study.PRESETS[command.preset]
    try:
        settings = resolve(base, presets.training_defaults(command.preset), file, flags)
    except InputError as error:
        raise InputError("\n".join([*errors, str(error)])) from None
    if errors:
        raise InputError("\n".join(errors))
    return settings


def _check_flags(command: Run) -> None:
    """Refuse wrong flags that decide how a study is run.

    Raises:
        InputError: if a flag is wrong; the message names it.
    """
    check_at_least_one(workers=command.workers, devices_per_agent=command.devices_per_agent)
    check_choice("--launcher", command.launcher)
    if command.job and command.launcher == "local":
        raise InputError(f"--job = {flatten(command.job)[0]}: is for a job. Add --launcher slurm or drop it.")
    if not 0 <= command.save_every < math.inf:
        raise InputError(f"--save-every = {command.save_every}: must be 0 or more seconds. Give a larger number.")
    if command.tracker is not None:
        from incentivize.experiments.trackers.registry import load_tracker

        load_tracker(command.tracker)
    if command.coordinator is None and (command.processes, command.process) != (1, 0):
        raise InputError(f"--processes = {command.processes}: needs a coordinator. Add --coordinator HOST:PORT.")
    if command.coordinator is not None and command.launcher != "local":
        raise InputError(f"--coordinator = {command.coordinator}: cannot be used in a job. Use --launcher local.")


def _launch(command: Run, settings: Settings, out: Path, console: Console) -> dict[str, Any]:
    """Submit a study as a job, and return the document of `--json`.

    Raises:
        InputError: if submitit is not installed, or the job cannot be submitted.
    """
    if find_spec("submitit") is None:
        advice = "Run pip install 'incentivize[slurm]'."
        raise InputError(f"--launcher = {command.launcher}: submitit is not installed. {advice}")
    from incentivize.experiments.execution.slurm import launch

    flags = [f"--save-every={command.save_every}", f"--devices-per-agent={command.devices_per_agent}"]
    if command.workers is not None:
        flags.append(f"--workers={command.workers}")
    if command.tracker is not None:
        flags.append(f"--tracker={command.tracker}")
    if command.alone:
        flags.append("--alone")
    if command.common.debug:
        flags.append("--debug")
    job = launch(settings, out, command.launcher, flags, flatten(command.job), console)
    return {"out": str(out), "submitted": None if job is None else job.job_id}


def _json_document(out: Path) -> dict[str, Any]:
    """Return the document of `--json` for a finished run.

    Raises:
        InputError: if `claims.json` is damaged; the message names it.
    """
    from incentivize.experiments.storage.run_directory import RunDirectory

    directory = RunDirectory(out)
    meta = directory.meta()
    return {
        "out": str(out),
        "state": directory.status().get("state"),
        "cells": len(meta.get("ledger", {})),
        "seconds": meta.get("seconds"),
        "claims": directory.claims(),
    }
