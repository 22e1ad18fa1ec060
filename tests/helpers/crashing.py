"""A run that is killed again and again, and what is left of it compared with one that was let alone.

`python -m tests.helpers.crashing DIR --kills 50 --terms 10` says what it found; with `--workers 2` for workers in
processes of their own.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import tests.conftest  # noqa: F401, its environment: compiled programs are kept for the next attempt
from tests.helpers.apart import CODE
from tests.helpers.paths import ROOT

CONFIG = ROOT / "tests" / "crash.toml"
MARK = "INCENTIVIZE_CRASHING"  # in the environment of all processes of a harness


def arguments(out: Path, workers: int, config: Path = CONFIG, study: str = "task-count") -> list[str]:
    """Return the arguments of a run that saves after every chunk."""
    told = ["run", study, "--config", str(config), "--out", str(out), "--save-every", "0", "--alone"]
    return [*told, "--workers", str(workers)]


def begin(out: Path, workers: int, config: Path = CONFIG, study: str = "task-count") -> subprocess.Popen:
    """The command, in a process group of its own, saving after every chunk."""
    with out.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", CODE, *arguments(out, workers, config, study)],
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | {MARK: str(out.parent)},
        )


def said(out: Path) -> str:
    """All that the command has said so far."""
    return out.with_suffix(".log").read_text()


def wait_for(process: subprocess.Popen, out: Path, ready: Callable[[], Any]) -> Any:
    """Return a function's value once it holds, while the command goes on."""
    while not (value := ready()):
        assert process.poll() is None, f"{process.returncode}: {said(out)[-3000:]}"
        time.sleep(0.01)
    return value


def hashes(out: Path) -> dict[str, Any]:
    """What has to be the same: rows, counts, parameters, and the whole last state of every cell, keys included."""
    found: dict[str, Any] = {"results.jsonl": hashlib.sha256((out / "results.jsonl").read_bytes()).hexdigest()}
    found["tasks.npz"] = hashlib.sha256(np.load(out / "tasks.npz")["tasks"].tobytes()).hexdigest()
    for path in sorted((out / "checkpoints").glob("*.msgpack")):
        found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted((out / "cells").glob("*.npz")):
        found[path.name] = json.loads(np.load(path)["about"].tobytes())["digest"]
    return found


def saving(out: Path) -> int:
    """How many checkpoints are half written."""
    return len(list(out.glob("checkpoints/groups/*/*orbax-checkpoint-tmp*")))


def orphans(folder: Path) -> list[int]:
    """Processes of a harness that are still there, after the time that they have to notice that they are alone."""
    deadline = time.monotonic() + 10
    while True:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def interrupt(process: subprocess.Popen, out: Path, how: str) -> str:
    """Kills the command in one of several ways, or asks it to stop; returns how it ended."""
    if how == "term":
        process.send_signal(signal.SIGTERM)
        status = process.wait(120)
        assert status in (75, 0), f"{status}: {said(out)[-3000:]}"
        return "term"
    before = process.poll()
    if how == "kill all":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait(60)
    return "done" if before is not None else how


def harness(
    folder: Path,
    kills: int,
    terms: int,
    workers: int,
    seed: int = 0,
    most: float = 13.0,
    first: float = 1.0,
    config: Path = CONFIG,
) -> Counter[str]:
    """Runs, interrupts, goes on, and compares whenever a run has got to its end.

    Args:
        folder: for the runs.
        kills: how many `kill -9`, of the command alone or with its workers.
        terms: how many SIGTERM.
        workers: of the command.
        seed: of the moments.
        most: seconds until an interruption, at most.
        first: and at least.
        config: what is run.

    Returns:
        How many there were of what.
    """
    rng, counts = random.Random(seed), Counter[str]()
    assert begin(folder / "alone", workers, config).wait() == 0, said(folder / "alone")
    wanted, out = hashes(folder / "alone"), folder / "round-0"
    ways = ["kill"] * (kills - kills // 2) + ["kill all"] * (kills // 2) + ["term"] * terms
    rng.shuffle(ways)
    while ways or counts["compared"] == 0 or out.exists():
        process = begin(out, workers, config)
        if ways:
            deadline = time.monotonic() + rng.uniform(first, most)
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
        elif process.wait() != 0:
            raise AssertionError(said(out)[-3000:])
        if process.poll() is None:
            how = interrupt(process, out, ways[-1])
            counts[how] += 1
            counts["inside a save"] += saving(out) > 0
            counts["with a checkpoint"] += any(out.glob("checkpoints/groups/*/[0-9]*"))
            ways.pop()
        elif process.returncode == 0:
            found = hashes(out)
            assert found == wanted, {
                key: (found.get(key), wanted[key]) for key in wanted if found.get(key) != wanted[key]
            }
            counts["compared"] += 1
            out = folder / f"round-{counts['compared']}"
        else:
            raise AssertionError(f"{process.returncode}: {said(out)[-3000:]}")
    assert not orphans(folder)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--terms", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=float, default=13.0)
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    print(dict(harness(given.folder, given.kills, given.terms, given.workers, given.seed, given.most)))


if __name__ == "__main__":
    main()
