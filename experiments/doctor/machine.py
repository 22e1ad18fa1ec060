"""Checks of the machine: room on the disk, memory, cores, and the folder of compiled programs."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from incentivize.experiments.doctor import Finding
from incentivize.experiments.errors import explain_no_semaphores

GIB = 2**30


def disk(path: Path, free: int) -> Finding:
    """Whether there is room for runs, `free` bytes of it."""
    said = f"{free / GIB:,.1f} GiB free at {path}"
    if free < GIB // 10:
        return Finding("disk", "wrong", f"{said}: a run needs more; make room, or want --out elsewhere")
    if free < GIB:
        return Finding("disk", "warning", f"{said}: a long run may need more")
    return Finding("disk", "ok", said)


def memory(free: int, limit: int | None = None) -> Finding:
    """Whether there is memory: `free` bytes of the machine's, and `limit`, what a cgroup leaves if it has a limit."""
    room = free if limit is None else min(free, limit)
    said = f"{room / GIB:,.1f} GiB free" + " in this cgroup" * (limit is not None and limit < free)
    if room < GIB // 2:
        return Finding("memory", "wrong", f"{said}: too little for one worker")
    if room < 2 * GIB:
        return Finding("memory", "warning", f"{said}: want --workers 1")
    return Finding("memory", "ok", said)


def cores(mine: int, there: int, quota: float | None) -> Finding:
    """How many workers there will be: one for each of `mine`; `quota` is how many a cgroup lets work at a time."""
    said = f"this process may use {mine} of {there}"
    if quota is not None and quota < mine:
        few = max(int(quota), 1)
        told = f"as many workers on a CPU as that allows; otherwise want --workers {few}"
        return Finding("cores", "ok", f"{said}, and its cgroup lets {quota:g} work at a time: {told}")
    return Finding("cores", "ok", f"{said}: as many workers on a CPU")


def semaphores(make: Callable[[], object]) -> Finding:
    """Say whether worker processes can have the semaphores that they need, which `make` makes one of."""
    try:
        make()
    except (OSError, ImportError) as error:
        return Finding("shared memory", "wrong", explain_no_semaphores(error))
    return Finding("shared memory", "ok", "has room for the semaphores of worker processes")


def programs(folder: str) -> Finding:
    """Whether compiled programs can be kept in a folder, and how large it is; empty where there is no home for it."""
    if not folder:
        told = "every run compiles anew; set XDG_CACHE_HOME or JAX_COMPILATION_CACHE_DIR"
        return Finding("programs", "warning", f"compiled ones are not kept, as there is no home directory: {told}")
    if "://" in folder:
        return Finding("programs", "ok", f"compiled ones are kept at {folder}")
    path = Path(folder)
    if folder.startswith("~"):
        told = f"jax takes it for a folder called {path.parts[0]}; write it as {path.expanduser()}"
        return Finding("programs", "warning", f"JAX_COMPILATION_CACHE_DIR = {folder}: {told}")
    try:
        if not path.exists():
            parent = next(one for one in path.parents if one.exists())
            if parent.is_dir() and os.access(parent, os.W_OK):
                return Finding("programs", "ok", f"compiled ones will be kept in {path}")
            raise PermissionError(13, f"{parent} cannot be written")
        with tempfile.TemporaryFile(dir=path):
            pass
        size = sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
    except OSError as error:
        why = error.strerror or error
        told = "every run compiles anew; make it writable, or set JAX_COMPILATION_CACHE_DIR"
        return Finding("programs", "warning", f"compiled ones cannot be kept in {path} ({why}): {told}")
    return Finding("programs", "ok", f"{size / 2**20:,.0f} MiB of compiled ones in {path}")
