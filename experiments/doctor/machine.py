"""Checks of the machine: free disk space, memory, cores, semaphores, and the folder of compiled programs."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from incentivize.experiments.doctor import Finding
from incentivize.experiments.errors import explain_no_semaphores

GIB = 2**30


def check_disk(path: Path, free: int) -> Finding:
    """Check whether a disk has room for runs.

    Args:
        path: a folder on the disk.
        free: free space on the disk, bytes.
    """
    space = f"{free / GIB:,.1f} GiB free at {path}"
    if free < GIB // 10:
        return Finding("disk", "wrong", f"{space}: too little for a run. Free some space, or use --out elsewhere.")
    if free < GIB:
        return Finding("disk", "warning", f"{space}: a long run may need more. Free some space.")
    return Finding("disk", "ok", space)


def check_memory(free: int, limit: int | None = None) -> Finding:
    """Check whether there is enough memory for workers.

    Args:
        free: free memory of the machine, bytes.
        limit: memory that the cgroup still allows, bytes; None without a limit.
    """
    available = free if limit is None else min(free, limit)
    within = " in this cgroup" if available < free else ""
    space = f"{available / GIB:,.1f} GiB free{within}"
    if available < GIB // 2:
        advice = "Close other programs, or use a larger machine."
        return Finding("memory", "wrong", f"{space}: too little for one worker. {advice}")
    if available < 2 * GIB:
        return Finding("memory", "warning", f"{space}: little for several workers. Use --workers 1.")
    return Finding("memory", "ok", space)


def check_cores(usable: int, total: int, quota: float | None) -> Finding:
    """Say how many workers a run will have.

    Args:
        usable: cores that this process may use.
        total: cores of the machine.
        quota: cores that a cgroup allows at a time; None without a limit.
    """
    cores = f"this process may use {usable} of {total} cores"
    if quota is None or quota >= usable:
        return Finding("cores", "ok", f"{cores}: a run on a CPU starts as many workers")
    workers = f"a run on a CPU starts as many workers as that allows. Elsewhere, use --workers {max(int(quota), 1)}."
    return Finding("cores", "ok", f"{cores}, and its cgroup allows {quota:g} at a time: {workers}")


def check_semaphores(make: Callable[[], object]) -> Finding:
    """Check whether worker processes can have the semaphores that they need; `make` makes one."""
    try:
        make()
    except (OSError, ImportError) as error:
        return Finding("shared memory", "wrong", explain_no_semaphores(error))
    return Finding("shared memory", "ok", "has room for the semaphores of worker processes")


def check_compilation_cache(folder: str) -> Finding:
    """Check whether compiled programs can be kept in a folder, and say how large it is.

    Args:
        folder: a path or the address of a bucket; empty where there is no home directory for it.
    """
    if not folder:
        advice = "every run compiles anew. Set XDG_CACHE_HOME or JAX_COMPILATION_CACHE_DIR."
        return Finding(
            "programs", "warning", f"compiled programs are not kept, as there is no home directory: {advice}"
        )
    if "://" in folder:
        return Finding("programs", "ok", f"compiled programs are kept at {folder}")
    path = Path(folder)
    if folder.startswith("~"):
        advice = f"jax takes it for a folder called {path.parts[0]}. Write it as {path.expanduser()}."
        return Finding("programs", "warning", f"JAX_COMPILATION_CACHE_DIR = {folder}: {advice}")
    try:
        if not path.exists():
            _check_can_be_made(path)
            return Finding("programs", "ok", f"compiled programs will be kept in {path}")
        with tempfile.TemporaryFile(dir=path):
            pass
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    except OSError as error:
        advice = "every run compiles anew. Make it writable, or set JAX_COMPILATION_CACHE_DIR."
        problem = f"compiled programs cannot be kept in {path} ({error.strerror or error})"
        return Finding("programs", "warning", f"{problem}: {advice}")
    return Finding("programs", "ok", f"{size / 2**20:,.0f} MiB of compiled programs in {path}")


def _check_can_be_made(path: Path) -> None:
    """Refuse a folder that cannot be made.

    Raises:
        PermissionError: if the nearest folder above it is not writable, or no folder.
    """
    parent = next(parent for parent in path.parents if parent.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise PermissionError(13, f"{parent} cannot be written")
