"""Limits of memory and cores that control groups (cgroup v1 and v2) set for this process. Does not import jax.

A container, a Slurm job and a systemd service are control groups. A limit holds for all groups below its own, so the
smallest one from this process's group up to the root counts.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

NO_LIMIT = 2**60  # bytes; numbers from here on mean "no limit": version 1 writes about 2^63
KINDS = ("cpu", "memory")
USUAL = {
    "": ("sys/fs/cgroup", "sys/fs/cgroup/unified"),
    "cpu": ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"),
    "memory": ("sys/fs/cgroup/memory",),
}
"""Usual folders of groups by controller; "" is version 2, which has one folder for all controllers."""
LIMITS = ("memory.max", "memory.high", "memory.limit_in_bytes")
USED = ("memory.current", "memory.usage_in_bytes")
CACHE = ("active_file", "inactive_file", "slab_reclaimable")  # memory that the kernel frees before it refuses more


class CgroupLimits(NamedTuple):
    """Limits of control groups; None for no limit.

    Attributes:
        memory: limit of memory, bytes.
        left: memory not in use, bytes; page cache counts as not in use.
        cores: limit of processor time, in cores, such as 1.5.
    """

    memory: int | None = None
    left: int | None = None
    cores: float | None = None


def limits(root: Path = Path("/")) -> CgroupLimits:
    """Return the smallest limits of this process's group and of all groups above it.

    Files that cannot be read or parsed set no limit.

    Args:
        root: the folder that holds `proc` and `sys`.
    """
    memory, left, cores = [], [], []
    for folder in dict.fromkeys(_groups(root)):
        cores += _cores(folder)
        stat = dict(re.findall(r"^(\w+) ([0-9]{1,30})$", _text(folder / "memory.stat"), re.MULTILINE))
        sizes = [*(_bytes(folder, name) for name in LIMITS), int(stat.get("hierarchical_memory_limit", NO_LIMIT))]
        limit = min((size for size in sizes if size is not None and 0 < size < NO_LIMIT), default=None)
        if limit is None:
            continue
        memory.append(limit)
        # In version 1 plain names are of the group alone; `total_` ones include the groups below, as its usage does.
        cache = sum(int(stat.get(f"total_{name}", stat.get(name, 0))) for name in CACHE)
        used = next((size for name in USED if (size := _bytes(folder, name)) is not None), 0)
        left.append(max(limit - max(used - cache, 0), 0))
    return CgroupLimits(min(memory, default=None), min(left, default=None), min(cores, default=None))


def cores(root: Path = Path("/")) -> int:
    """Return how many cores this process can keep busy, by its affinity and its quota of time; 1 or more."""
    try:
        count = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not Linux, or a container that does not say
        count = os.cpu_count() or 1
    quota = limits(root).cores
    return count if quota is None else max(min(count, int(quota)), 1)


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folders of this process's groups, of either version, each followed by those above it."""
    groups = _group_paths(root)
    usual = [(kind, "/", place) for kind, places in USUAL.items() for place in places]
    for kind, mounted, place in (*_mounted(root), *usual):
        path = PurePosixPath(groups.get(kind, "/"))
        if path.is_relative_to(mounted):  # a mount, such as a container's, may show a part of all groups
            path = path.relative_to(mounted)
        parts = [part for part in path.parts if part != "/"]
        if ".." in parts:  # outside the groups visible to this process
            parts = []
        for depth in range(len(parts), -1, -1):
            yield root.joinpath(place, *parts[:depth])


def _group_paths(root: Path) -> dict[str, str]:
    """Return the path of this process's group by controller; "" is version 2."""
    lines = (line.split(":", 2) for line in _text(root / "proc/self/cgroup").splitlines())
    return {kind: words[2] for words in lines if len(words) == 3 for kind in words[1].split(",")}


def _mounted(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the controller of every mount of groups, the mounted group, and its folder without the first slash."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        words, _, more = (part.split() for part in line.partition(" - "))
        if len(words) < 5 or len(more) < 3 or more[0] not in ("cgroup", "cgroup2"):
            continue
        mounted, place = (re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), word) for word in words[3:5])
        kinds = [""] if more[0] == "cgroup2" else [kind for kind in KINDS if kind in more[2].split(",")]
        for kind in kinds:
            yield kind, mounted, place.lstrip("/")


def _cores(folder: Path) -> list[float]:
    """Return a group's quotas of cores, from `cpu.max` and from the two files of version 1, where they exist."""
    old = f"{_text(folder / 'cpu.cfs_quota_us').strip()} {_text(folder / 'cpu.cfs_period_us').strip()}"
    pairs = (re.fullmatch(r"([0-9]{1,30}) ([0-9]{1,30})", text.strip()) for text in (_text(folder / "cpu.max"), old))
    return [int(pair[1]) / int(pair[2]) for pair in pairs if pair and int(pair[1]) and int(pair[2])]


def _bytes(folder: Path, name: str) -> int | None:
    """Return the number in a file; None where there is no number."""
    text = _text(folder / name).strip()
    return int(text) if re.fullmatch(r"[0-9]{1,30}", text) else None


def _text(path: Path) -> str:
    """Read a file of the kernel, at most 1 MiB; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(2**20).decode(errors="replace")
    except (OSError, ValueError):
        return ""
