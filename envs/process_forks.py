"""Forked processes: a fork does not copy the threads of JAX, so a call that needs them would wait for ever."""

import os
import threading
from contextlib import suppress
from typing import Any

xla_bridge: Any = None  # None in a version of jax that has no such module: it counts as not started
with suppress(ImportError, AttributeError):
    from jax._src import xla_bridge


def _started() -> bool:
    """Return whether JAX was started in this process, or in the one that it was forked from."""
    return bool(getattr(xla_bridge, "_backends", None))  # JAX's own function takes a lock, which may be lost as well


def _bereft() -> bool:
    """Return whether JAX was started but this process has lost its threads (known on Linux only)."""
    with suppress(OSError):
        return _started() and len(os.listdir("/proc/self/task")) <= threading.active_count()
    return False


_lost = _bereft()  # for a process that imports this only after it was forked


def _note() -> None:
    """Note in a forked process whether JAX had been started before the fork."""
    global _lost
    _lost = _started()


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_note)


def refuse_lost_threads() -> None:
    """Refuse to go on in a process that was forked from one in which JAX had been started.

    Raises:
        RuntimeError: if JAX was started before the fork; the message says how to start such a process.
    """
    if _lost:
        raise RuntimeError(
            "this process was forked after JAX had been started, and would wait here for ever. Start it by 'spawn' or "
            "'forkserver' instead: gymnasium.make_vec takes vector_kwargs={'context': 'spawn'}, AsyncVectorEnv takes "
            "context='spawn', others a multiprocessing.get_context('spawn'). The native vector environment, "
            "gymnasium.make_vec without a vectorization_mode, needs no processes and is faster."
        )
