"""`incentivize run`."""

import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from incentivize.experiments import studies
from incentivize.experiments.cli.choices import check_known
from incentivize.experiments.cli.commands import Run
from incentivize.experiments.cli.options import agree, at_least_one, flat, keep_programs
from incentivize.experiments.cli.result import Answer
from incentivize.experiments.runtime.ambient import enter
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.schema import Settings, SettingsError, check_name, load_file, nearest, resolve


def act(command: Run, console: Console) -> Answer:
    """Runs what is missing of a study, here or as a job."""
    enter(compiles=True)
    keep_programs()
    settings = _settings(command)
    _check_flags(command)
    if command.coordinator is not None:
        from incentivize.experiments.runtime.distributed import join

        join(command.coordinator, command.processes, command.process)
    from incentivize.experiments.execution.validation import check  # imports jax, and little else
    from incentivize.experiments.storage.start_files import recalled

    out = command.out or Path("runs") / f"{settings.study}-{settings.preset}"
    settings, gone = recalled(settings, out)
    check(settings, gone)
    if command.launcher != "local":
        return Answer(_launch(command, settings, out, console))
    from incentivize.experiments.execution.study_run import run_study  # imports all the rest

    how = {"reuse": not command.alone, "debug": command.debug, "split": command.split, "tracker": command.tracker}
    run_study(settings, out, console, command.workers, command.save_every, **how)
    return Answer(_told(out))


def _settings(command: Run) -> Settings:
    from incentivize import envs

    check_known("STUDY", command.study)
    study = studies.load(command.study)
    check_name("--preset", command.preset, study.PRESETS)
    given = {
        key: flat(value) if isinstance(value, tuple) else value
        for key, value in vars(command.settings).items()
        if value not in (None, ())
    }
    file = load_file(command.config) if command.config else {}
    agree(file, command.config, study=command.study, preset=command.preset)
    wrong = []
    for source in (file, given):
        named = source.get("families")
        for name in map(str, named if isinstance(named, (list, tuple)) else ()):
            wrong += [f"families: {name!r}: {nearest(name, envs.names())}"] * (name not in envs.names())
    base = {"study": command.study, "preset": command.preset} | study.PRESETS[command.preset]
    try:
        settings = resolve(base, presets.training(command.preset), file, given)
    except SettingsError as error:
        raise SettingsError("\n".join([*wrong, str(error)])) from None
    if wrong:
        raise SettingsError("\n".join(wrong))
    return settings


def _check_flags(command: Run) -> None:
    """Refuses flags that say how to run, and will not do."""
    at_least_one(workers=command.workers, split=command.split)
    check_known("--launcher", command.launcher)
    if command.job and command.launcher == "local":
        raise SettingsError(f"--job {flat(command.job)[0]}: is for a job; want --launcher slurm, too")
    if not 0 <= command.save_every < math.inf:
        raise SettingsError(f"--save-every = {command.save_every}: want 0 or more seconds")
    if command.tracker is not None:
        from incentivize.experiments.trackers.sync import load

        load(command.tracker)
    if command.coordinator is None and (command.processes, command.process) != (1, 0):
        raise SettingsError(f"--processes = {command.processes}: want --coordinator HOST:PORT, too")
    if command.coordinator is not None and command.launcher != "local":
        raise SettingsError(f"--coordinator {command.coordinator}: want --launcher local")


def _launch(command: Run, settings: Settings, out: Path, console: Console) -> dict[str, Any]:
    if find_spec("submitit") is None:
        raise SettingsError(f"--launcher {command.launcher}: needs submitit: pip install 'incentivize[slurm]'")
    from incentivize.experiments.execution.slurm import launch

    told = [f"--save-every={command.save_every}", f"--split={command.split}"]
    told += [f"--workers={command.workers}"] * (command.workers is not None)
    told += [f"--tracker={command.tracker}"] * (command.tracker is not None)
    told += ["--alone"] * command.alone + ["--debug"] * command.debug
    job = launch(settings, out, command.launcher, told, flat(command.job), console)
    return {"out": str(out), "submitted": None if job is None else job.job_id}


def _told(out: Path) -> dict[str, Any]:
    """What `--json` says of a run that is done."""
    from incentivize.experiments.storage.run_directory import Store

    store = Store(out)
    meta, claims = store.meta(), out / "claims.json"
    return {
        "out": str(out),
        "state": store.status().get("state"),
        "cells": len(meta.get("ledger", {})),
        "seconds": meta.get("seconds"),
        "claims": json.loads(claims.read_text(encoding="utf-8")) if claims.exists() else [],
    }
