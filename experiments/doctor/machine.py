"""Checks of the machine: room on the disk, memory, cores, and the folder of compiled programs."""

import os
import tempfile
from pathlib import Path

from experiments.doctor import Finding

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
        return Finding(
            "cores", "warning", f"{said}, but its cgroup lets {quota:g} work at a time: want --workers {few}"
        )
    return Finding("cores", "ok", f"{said}: as many workers on a CPU")


def quota(text: str) -> float | None:
    """Cores' worth of time, from a cgroup's `cpu.max`, such as "150000 100000"; None for no limit."""
    share, _, period = text.strip().partition(" ")
    return float(share) / float(period) if share.isdigit() and period.isdigit() else None


def left(limit: str, current: str) -> int | None:
    """Bytes that a cgroup leaves, from its `memory.max` and `memory.current`; None for no limit."""
    return max(int(limit) - int(current), 0) if limit.strip().isdigit() and current.strip().isdigit() else None


def cgroup(name: str, root: Path = Path("/sys/fs/cgroup"), of: Path = Path("/proc/self/cgroup")) -> str:
    """A file of this process's cgroup (version 2); empty where there is none."""
    try:
        own = next(line.rpartition("::")[2] for line in of.read_text().splitlines() if line.startswith("0::"))
        places = [root / own.lstrip("/") / name, root / name]  # in a container the path is often another's
        return next(place for place in places if place.is_file()).read_text()
    except (OSError, StopIteration):
        return ""


def programs(folder: str) -> Finding:
    """Whether compiled programs can be kept in a folder, and how large it is; empty where there is no home for it."""
    if not folder:
        told = "every run compiles anew; set XDG_CACHE_HOME or JAX_COMPILATION_CACHE_DIR"
        return Finding("programs", "warning", f"compiled ones are not kept, as there is no home directory: {told}")
    if "://" in folder:
        return Finding("programs", "ok", f"compiled ones are kept at {folder}")
    path = Path(folder)
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
