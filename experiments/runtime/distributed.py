"""Several processes that train every agent together, on one host or on several.

All are started with the same command, and compute the same. The first one alone owns the run directory: it says what is
to be trained and when that is saved, and writes all there is to write. Checkpoints are read by all, from a file system
that they share. One process alone is the first of one: nothing here does anything then.
"""

import os
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from incentivize.experiments.errors import InputError

Tree = TypeVar("Tree")
HEARTBEAT = 60  # seconds within which the others notice that a process is gone


def initialize(coordinator: str, processes: int, process: int) -> None:
    """Make this process one of several. Before anything else of jax.

    Args:
        coordinator: where the first process listens, HOST:PORT, the same for all; "auto" where a cluster tells.
        processes: how many there are.
        process: which of them this is, from 0 on.

    Raises:
        SettingsError: where that cannot be.
    """
    said = f"--coordinator {coordinator} --processes {processes} --process {process}"
    heartbeat = int(os.environ.get("INCENTIVIZE_HEARTBEAT", HEARTBEAT))
    if coordinator == "auto":
        jax.distributed.initialize(heartbeat_timeout_seconds=heartbeat)
        return
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"{said}: want HOST:PORT, or auto")
    if not 0 <= process < processes or processes < 2:
        raise InputError(f"{said}: want at least 2 processes, of which this is one from 0 to one less")
    jax.distributed.initialize(coordinator, processes, process, heartbeat_timeout_seconds=heartbeat)


def is_distributed() -> bool:
    """Whether there are others."""
    return jax.process_count() > 1


def is_primary() -> bool:
    """Whether this is the one that owns the run directory."""
    return jax.process_index() == 0


def broadcast_from_primary(wanted: Sequence[bool]) -> list[bool]:
    """What the first process wants. All have to ask."""
    if not is_distributed():
        return list(wanted)
    return np.asarray(multihost_utils.broadcast_one_to_all(np.array(wanted, np.int32))).astype(bool).tolist()


def any_process(asked: bool) -> bool:
    """Whether it is so in any process. All have to ask."""
    return bool(np.any(multihost_utils.process_allgather(np.array([asked])))) if is_distributed() else asked


def check_alike(numbers: Sequence[int], what: str) -> None:
    """Raise SettingsError where processes do not see the same numbers, of 64 bits; all have to ask."""
    if is_distributed():
        halves = np.array(numbers, np.int64).view(np.uint32)  # jax has no 64 bits
        seen = np.asarray(multihost_utils.process_allgather(halves))
        if (seen != seen[0]).any():
            raise InputError(f"{what} of {jax.process_count()} processes differ: want --out where all can read it")


def gather(tree: Tree) -> Tree:
    """The same arrays, those that are divided among processes as NumPy arrays of all their parts. All have to ask."""

    def gathered(leaf: Any) -> Any:
        divided = isinstance(leaf, jax.Array) and not leaf.is_fully_addressable
        return multihost_utils.process_allgather(leaf, tiled=True) if divided else leaf

    return jax.tree.map(gathered, tree)
