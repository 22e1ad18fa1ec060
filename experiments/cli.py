"""The command `incentivize`. Nothing here imports jax before a command needs it: help has to appear at once."""

import gc
import json
import math
import os
import signal
import sys
import traceback
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import tyro
from rich.console import Console

from experiments import presets, studies
from experiments.commands import Bench, Command, List, Play, Report, Run, Topic, Tune, Watch
from experiments.failures import printable, reason
from experiments.settings import Settings, SettingsError, check_name, load_file, nearest, resolve
from experiments.stopping import STATUS as STOPPED
from experiments.stopping import Stopped

DONE, FAILED, BAD_INPUT = 0, 1, 2


def _settings(command: Run) -> Settings:
    import envs

    check_name("study", command.study, studies.names())
    study = studies.load(command.study)
    check_name("--preset", command.preset, study.PRESETS)
    given = {key: value for key, value in vars(command.settings).items() if value is not None}
    file = load_file(command.config) if command.config else {}
    _agree(file, command.config, study=command.study, preset=command.preset)
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


def _agree(file: dict[str, Any], path: Path | None, **said: str) -> None:
    """Refuses a file that is for another study or preset than the command says."""
    for key, value in said.items():
        if file.get(key, value) != value:
            raise SettingsError(f"{key} = {file[key]!r} in {path}: the command says {value!r}")


def _at_least_one(**flags: int | None) -> None:
    for name, value in flags.items():
        if value is not None and value < 1:
            raise SettingsError(f"--{name} = {value}: want at least 1")


def _keep_programs() -> None:
    """Has jax keep compiled programs for the next run, unless the environment says otherwise. Before jax is there."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "incentivize"
    if "jax" not in sys.modules and (folder.is_dir() or os.access(folder.parent.parent, os.W_OK)):
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
        os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(2**30))  # bytes, the oldest go first
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")


def _run(command: Run, console: Console) -> None:
    _keep_programs()
    settings = _settings(command)
    _at_least_one(workers=command.workers, split=command.split)
    if command.job and command.launcher == "local":
        raise SettingsError(f"--job {command.job[0]}: is for a job; want --launcher slurm, too")
    if not 0 <= command.save_every < math.inf:
        raise SettingsError(f"--save-every = {command.save_every}: want 0 or more seconds")
    if command.tracker is not None:
        from experiments.trackers import load

        load(command.tracker)
    if command.coordinator is None and (command.processes, command.process) != (1, 0):
        raise SettingsError(f"--processes = {command.processes}: want --coordinator HOST:PORT, too")
    if command.coordinator is not None:
        if command.launcher != "local":
            raise SettingsError(f"--coordinator {command.coordinator}: want --launcher local")
        from experiments.processes import join

        join(command.coordinator, command.processes, command.process)
    from experiments.checks import check  # imports jax, and little else

    check(settings)
    out = command.out or Path("runs") / f"{settings.study}-{settings.preset}"
    if command.launcher != "local":
        _launch(command, settings, out, console)
        return
    from experiments.main import run_study  # imports all the rest

    how = {"reuse": not command.alone, "debug": command.debug, "split": command.split, "tracker": command.tracker}
    run_study(settings, out, console, command.workers, command.save_every, **how)


def _launch(command: Run, settings: Settings, out: Path, console: Console) -> None:
    if find_spec("submitit") is None:
        raise SettingsError(f"--launcher {command.launcher}: needs submitit: pip install 'incentivize[slurm]'")
    from experiments.launchers import launch

    told = [f"--save-every={command.save_every}", f"--split={command.split}"]
    told += [f"--workers={command.workers}"] * (command.workers is not None)
    told += [f"--tracker={command.tracker}"] * (command.tracker is not None)
    told += ["--alone"] * command.alone + ["--debug"] * command.debug
    launch(settings, out, command.launcher, told, command.job, console)


def _report(command: Report, console: Console) -> None:
    _keep_programs()
    from experiments.owner import alone
    from experiments.report import report
    from experiments.scoreboard import scoreboard
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
    claims = []
    for path in command.runs:
        store = Store(path)
        store.enclosed()
        store.settings()  # or else there is no run to keep others from
        out = command.out or path
        target = Store(out / path.resolve().name if command.out and len(command.runs) > 1 else out)
        run = (target.path / "config.toml").exists()
        if run and command.out:
            target.enclosed()
        with alone(target) if run else nullcontext():
            claims += report(store, console, target.path)
    if len(command.runs) > 1:
        scoreboard(claims, console, command.out)


def _list(command: List, console: Console) -> None:
    from experiments.listing import listing

    found = {topic: listing(topic) for topic in get_args(Topic) if command.topic in ("all", topic)}
    if command.json:
        print(json.dumps(found if command.topic == "all" else found[command.topic], indent=1))
        return
    from experiments.pages import number, rich_table

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


def _watch(command: Watch, console: Console) -> None:
    _keep_programs()
    from experiments.play import check_file
    from experiments.store import Store
    from experiments.watch import watch  # imports jax

    if not command.run.is_dir():
        raise SettingsError(f"{command.run}: there is no such run directory")
    _at_least_one(tasks=command.tasks)
    check_file("--gif", command.gif, ".gif")
    check_file("--page", command.page, ".html")
    store = Store(command.run)
    store.enclosed()
    watch(store, console, command.family, command.tasks, command.gif, command.page)


def _tune(command: Tune, console: Console) -> None:
    _keep_programs()
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
    from experiments.checks import check
    from experiments.tune import PRESET, tune  # imports jax

    said = {"families": [command.family], "seeds": command.seeds, "pools": [command.pool], "budget": command.budget}
    given = {key: value for key, value in said.items() if value is not None}
    base = PRESET | {"preset": command.preset}
    settings = resolve(base, presets.training(command.preset), file, given)
    check(settings)
    tune(
        settings, command.trials, arms, command.out or Path("runs") / f"tune-{command.family}", console, command.workers
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
    return act(command)


def act(command: Any) -> int:
    """Does what a command says; whatever goes wrong is a sentence and an exit status."""
    console, errors = Console(), Console(stderr=True)
    actions = {Run: _run, Report: _report, List: _list, Bench: _bench, Play: _play, Watch: _watch, Tune: _tune}
    try:
        actions[type(command)](command, console)
    except (KeyboardInterrupt, Stopped):
        resumes = "; the same command goes on where it was"
        errors.print("stopped" + resumes * isinstance(command, (Run, Tune)))
        return STOPPED
    except Exception as error:
        bad = isinstance(error, SettingsError)
        text = printable(str(error) if bad else f"failed: {reason(error)}")
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
    # XLA may still be compiling in its threads, and crashes where the interpreter winds up first; and of several
    # processes each would wait for all others, which wait for this one.
    if status == STOPPED or (status and "jax" in sys.modules and sys.modules["jax"].distributed.is_initialized()):
        gc.collect()  # gives back what the workers' queues held in the system
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
