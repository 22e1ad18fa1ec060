"""A whole run of a study: checks, training, report."""

import math
import os
import time
from pathlib import Path

import jax
from rich.console import Console

import rewards
from agents.encoders import ENCODERS
from agents.memories import MEMORIES
from envs.family import Family
from experiments import studies
from experiments.checkpoints import load, pin
from experiments.idle import check_idle
from experiments.program import network_of
from experiments.progress import Progress
from experiments.report import report
from experiments.runner import family_of, run
from experiments.settings import Settings, SettingsError, Training, nearest
from experiments.store import Store, environment


def check(settings: Settings) -> None:
    """What can be wrong across fields, found before anything compiles.

    Raises:
        SettingsError: all of it at once.
    """
    wrong = []
    for name, training in settings.training.items():
        for key, known in (("network", ENCODERS), ("memory", MEMORIES)):
            if getattr(training, key) not in known:
                wrong.append(f"{key} = {getattr(training, key)!r}: {nearest(getattr(training, key), known)}")
        unknown = [part for part in training.reward.split("+") if part.strip() not in rewards.names()]
        wrong += [f"reward = {training.reward!r}: {part!r}: {nearest(part, rewards.names())}" for part in unknown]
        try:
            family = family_of(settings, name)
        except ValueError as error:
            wrong.append(f"knobs.{name}: {error}")
            continue
        wrong += _start(training, name, family)
        tasks = family.tasks
        most = tasks.split_size("training")
        for key in ("pools", "control_pools", "taught_pools"):
            for size in getattr(settings, key):
                if size != "new" and size > most:
                    wrong.append(f"{key}: pool size {size:,} is larger than the {most:,} training tasks of {name}")
        for key in ("specialists", "eval_tasks"):
            if getattr(settings, key) > tasks.split_size("heldout"):
                held = tasks.split_size("heldout")
                wrong.append(f"{key} = {getattr(settings, key):,}: {name} has only {held:,} held-out tasks")
    if settings.eval_tasks < settings.specialists:
        wrong.append(
            f"eval_tasks = {settings.eval_tasks}: want at least as many as specialists = {settings.specialists}"
        )
    if wrong:
        raise SettingsError("\n".join(dict.fromkeys(wrong)))


def _start(training: Training, name: str, family: Family) -> list[str]:
    """What keeps a family's agents from starting where they are told to."""
    if not training.start_from:
        return []
    try:
        load(training.start_from, jax.eval_shape(network_of(training, family).init, jax.random.key(0)))
    except (SettingsError, ValueError) as error:
        return [f"training.{name}.start_from: {error}"]
    return []


def usual_workers() -> int:
    """One worker to a core that this process may use, or one for an accelerator."""
    if jax.default_backend() != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_study(settings: Settings, out: Path, console: Console, workers: int | None = None) -> None:
    """Runs what is missing of a study, and reports.

    Args:
        settings: what to compute.
        out: the run directory.
        console: for progress and tables.
        workers: processes; None is one for every core on a CPU, and one on an accelerator.

    Raises:
        SettingsError: where settings or directory will not do.
        RunError: where a run cannot go on.
    """
    check(settings)
    settings = pin(settings)
    study = studies.load(settings.study)
    cells = study.cells(settings)
    check_idle(settings, cells)
    store = Store(out)
    store.open(settings)
    tasks = {name: family_of(settings, name).tasks.size for name in settings.families}
    made_with = environment()
    if "versions" not in store.meta():
        store.update_meta(**made_with, tasks=tasks)
    began = time.perf_counter()
    with Progress(console) as progress:
        trained = run(cells, settings, store, progress, workers or usual_workers())
    spent = store.meta().get("seconds", 0.0)
    if trained:
        spent += time.perf_counter() - began
        store.update_meta(seconds=round(spent, 1))
        if any(store.meta().get(key) != value for key, value in made_with.items()):
            store.update_meta(continued_with={made_with["commit"] or "unknown": made_with})
    report(store, console)
    console.print(f"{len(cells)} training runs in {math.ceil(spent)} s altogether")
