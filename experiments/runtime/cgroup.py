"""Limits of memory and cores that control groups (cgroup v1 and v2) set for this process. Does not import jax.

A container, a Slurm job and a systemd service are control groups. A limit holds for all groups below, so that the
smallest one on the way from the own group to the root counts.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

NONE = 2**60  # bytes from which on a number means that there is no limit: version 1 writes about 2^63
KINDS = ("cpu", "memory")
USUAL = {
    "": ("sys/fs/cgroup", "sys/fs/cgroup/unified"),
    "cpu": ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"),
    "memory": ("sys/fs/cgroup/memory",),
}
"""Where groups usually lie, by controller; "" is version 2, which has all of them in one place."""
LIMITS = ("memory.max", "memory.high", "memory.limit_in_bytes")
USED = ("memory.current", "memory.usage_in_bytes")
CACHE = ("active_file", "inactive_file", "slab_reclaimable")  # what the kernel gives back before it refuses memory


class CgroupLimits(NamedTuple):
    """What control groups allow; None stands for no limit.

    Attributes:
        memory: bytes.
        left: bytes of them that are not in use; page cache counts as not in use.
        cores: how many may work at a time, such as 1.5.
    """

    memory: int | None = None
    left: int | None = None
    cores: float | None = None


def limits(root: Path = Path("/")) -> CgroupLimits:
    """Return the smallest limits of this process's group and of all groups above it.

    What cannot be read or understood sets no limit.

    Args:
        root: the folder that holds `proc` and `sys`.
    """
    memory, left, cores = [], [], []
    for folder in dict.fromkeys(_groups(root)):
        cores += _cores(folder)
        stat = dict(re.findall(r"^(\w+) ([0-9]{1,30})$", _text(folder / "memory.stat"), re.MULTILINE))
        found = [*(_bytes(folder, name) for name in LIMITS), int(stat.get("hierarchical_memory_limit", NONE))]
        limit = min((size for size in found if size is not None and 0 < size < NONE), default=None)
        if limit is None:
            continue
        memory.append(limit)
        # In version 1 plain names are of the group alone, and `total_` ones are of those below, too, as its usage is.
        cache = sum(int(stat.get(f"total_{name}", stat.get(name, 0))) for name in CACHE)
        used = next((size for name in USED if (size := _bytes(folder, name)) is not None), 0)
        left.append(max(limit - max(used - cache, 0), 0))
    return CgroupLimits(min(memory, default=None), min(left, default=None), min(cores, default=None))


def cores(root: Path = Path("/")) -> int:
    """Return how many cores this process can keep busy: those it may run on, and whole ones of its time; 1 or more."""
    try:
        there = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # no Linux, or a container that does not tell
        there = os.cpu_count() or 1
    quota = limits(root).cores
    return there if quota is None else max(min(there, int(quota)), 1)


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folders of this process's groups, of either version, each followed by those above it."""
    own = _own(root)
    usual = [(kind, "/", place) for kind, places in USUAL.items() for place in places]
    for kind, mounted, place in (*_mounted(root), *usual):
        path = PurePosixPath(own.get(kind, "/"))
        if path.is_relative_to(mounted):  # of a mount, such as a container's, that shows a part of all groups
            path = path.relative_to(mounted)
        parts = [part for part in path.parts if part != "/"]
        if ".." in parts:  # out of what this process may see
            parts = []
        for depth in range(len(parts), -1, -1):
            yield root.joinpath(place, *parts[:depth])


def _own(root: Path) -> dict[str, str]:
    """Return the path of this process's group by controller; "" is version 2."""
    lines = (line.split(":", 2) for line in _text(root / "proc/self/cgroup").splitlines())
    return {kind: words[2] for words in lines if len(words) == 3 for kind in words[1].split(",")}


def _mounted(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the controller of every mount of groups, the group that is mounted, and where, without the first slash."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        words, _, more = (part.split() for part in line.partition(" - "))
        if len(words) < 5 or len(more) < 3 or more[0] not in ("cgroup", "cgroup2"):
            continue
        mounted, place = (re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), word) for word in words[3:5])
        kinds = [""] if more[0] == "cgroup2" else [kind for kind in KINDS if kind in more[2].split(",")]
        for kind in kinds:
            yield kind, mounted, place.lstrip("/")


def _cores(folder: Path) -> list[float]:
    """Return the cores' worth of time that a group allows, from `cpu.max` or the two files of version 1."""
    old = f"{_text(folder / 'cpu.cfs_quota_us').strip()} {_text(folder / 'cpu.cfs_period_us').strip()}"
    pairs = (re.fullmatch(r"([0-9]{1,30}) ([0-9]{1,30})", text.strip()) for text in (_text(folder / "cpu.max"), old))
    return [int(pair[1]) / int(pair[2]) for pair in pairs if pair and int(pair[1]) and int(pair[2])]


def _bytes(folder: Path, name: str) -> int | None:
    """Return the number in a file; None where there is none."""
    text = _text(folder / name).strip()
    return int(text) if re.fullmatch(r"[0-9]{1,30}", text) else None


def _text(path: Path) -> str:
    """Return what a file of the kernel says, at most 1 MiB; nothing where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(2**20).decode(errors="replace")
    except (OSError, ValueError):
        return ""
