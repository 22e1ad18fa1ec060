"""Distributed training: several processes, on one host or several, train every agent together.

All processes run the same command and compute the same. The primary process alone owns the run directory: it decides
what is trained and when it is saved, and writes all files. All processes read checkpoints, from a shared file system.
A single process is primary, and no function here communicates then.
"""

import os
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from incentivize.experiments.errors import InputError

Tree = TypeVar("Tree")
HEARTBEAT = 60  # seconds within which the other processes notice that one has ended


def initialize(coordinator: str, processes: int, process: int) -> None:
    """Join the other processes. Call it before any other function of jax.

    Args:
        coordinator: address of the primary process, HOST:PORT, the same for all; "auto" where a cluster provides it.
        processes: number of processes.
        process: number of this process, from 0 on.

    Raises:
        InputError: if the address or the numbers are not valid.
    """
    heartbeat = int(os.environ.get("INCENTIVIZE_HEARTBEAT", HEARTBEAT))
    if coordinator == "auto":
        jax.distributed.initialize(heartbeat_timeout_seconds=heartbeat)
        return
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"--coordinator = {coordinator}: must be HOST:PORT or auto.")
    if not 0 <= process < processes or processes < 2:
        raise InputError(
            f"--processes = {processes}, --process = {process}: expected at least 2 processes, "
            "numbered from 0 to one less than their number."
        )
    jax.distributed.initialize(coordinator, processes, process, heartbeat_timeout_seconds=heartbeat)


def is_distributed() -> bool:
    """Return whether there are several processes."""
    return jax.process_count() > 1


def is_primary() -> bool:
    """Return whether this process owns the run directory."""
    return jax.process_index() == 0


def broadcast_from_primary(values: Sequence[bool]) -> list[bool]:
    """Return the primary process's values on every process. Collective: every process must call it."""
    if not is_distributed():
        return list(values)
    return np.asarray(multihost_utils.broadcast_one_to_all(np.array(values, np.int32))).astype(bool).tolist()


def any_process(value: bool) -> bool:
    """Return whether the value is true on any process. Collective: every process must call it."""
    return bool(np.any(multihost_utils.process_allgather(np.array([value])))) if is_distributed() else value


def check_alike(numbers: Sequence[int], name: str) -> None:
    """Refuse to continue unless all processes have the same numbers. Collective: every process must call it.

    Args:
        numbers: integers of up to 64 bits.
        name: name of the numbers, for the error.

    Raises:
        InputError: if the numbers differ.
    """
    if is_distributed():
        halves = np.array(numbers, np.int64).view(np.uint32)  # jax has no 64 bits
        seen = np.asarray(multihost_utils.process_allgather(halves))
        if (seen != seen[0]).any():
            raise InputError(
                f"{name} of {jax.process_count()} processes differ. Put --out on a file system that all can read."
            )


def gather(tree: Tree) -> Tree:
    """Return a tree with arrays that are sharded over processes as whole NumPy arrays.

    Collective: every process must call it.
    """

    def gathered(leaf: Any) -> Any:
        divided = isinstance(leaf, jax.Array) and not leaf.is_fully_addressable
        return multihost_utils.process_allgather(leaf, tiled=True) if divided else leaf

    return jax.tree.map(gathered, tree)
