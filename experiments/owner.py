"""Whose a run directory is: made whole, written by one process at a time, with a status that says how it stands.

`status.json` has `state` (running, done, stopped, failed), `reason`, and since when which process on which host. The
lock lies beside it and goes with the process, however that ends: what is "running" with nobody at it was killed. Does
not import jax.
"""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from experiments import settings as st
from experiments.failures import reason
from experiments.files import short, write
from experiments.settings import Settings, SettingsError
from experiments.stopping import Stopped
from experiments.store import Store, differences


@contextmanager
def owned(path: Path, settings: Settings) -> Iterator[Store]:
    """A run directory to write to, made if it is not there, until the block ends.

    Whoever begins to write says so (`set_status`); how it ended is said here.

    Raises:
        SettingsError: where it holds another run, or something else, or is another process's.
    """
    _make(path, settings)
    store = Store(path)
    store.enclosed()
    with alone(store):
        if not (path / "config.toml").exists():
            write(path / "config.toml", st.dump(settings))
        check_same(store, settings)
        try:
            yield store
            if _running(store):
                set_status(store, "done")
        except (Stopped, KeyboardInterrupt):
            set_status(store, "stopped", "on request")
            raise
        except BaseException as error:
            if _running(store):
                set_status(store, "failed", reason(error))
            raise


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """Keeps other processes from writing to a directory until the block ends.

    Raises:
        SettingsError: where another process is at it.
    """
    lock = FileLock(store.path / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        there = store.status()
        who = f"process {short(there.get('process'))} on {short(there.get('host'))}, since {short(there.get('since'))}"
        raise SettingsError(f"{store.path}: is being written by another run ({who})") from None
    try:
        yield
    finally:
        lock.release()


def _running(store: Store) -> bool:
    """Whether this process has said that it runs."""
    status = store.status()
    here = (status.get("host"), status.get("process")) == (socket.gethostname(), os.getpid())
    return here and status.get("state") == "running"


def set_status(store: Store, state: str, reason: str = "") -> None:
    """Says how the run stands, if there is still room on the disk to say so."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    status: dict[str, Any] = {"state": state, "reason": reason, "since": now}
    status |= {"host": socket.gethostname(), "process": os.getpid()}
    try:
        write(store.path / "status.json", json.dumps(status, indent=1) + "\n")
    except OSError:
        if state in ("running", "done"):
            raise


def _make(path: Path, settings: Settings) -> None:
    """Makes the directory with its configuration in one step, unless it is there, be it empty."""
    if path.exists():
        there = {one.name for one in path.iterdir()} if path.is_dir() else {"a file"}
        if there - {"lock", "config.toml.part"} and "config.toml" not in there:
            raise SettingsError(f"--out {path}: exists and is not a run directory")
        return
    part = path.absolute().with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        write(part / "config.toml", st.dump(settings))
        os.rename(part, path)  # what another process has just made does not give way
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        if not (path / "config.toml").exists():
            raise SettingsError(f"--out {path}: cannot be written ({error.strerror})") from None


def check_same(store: Store, settings: Settings) -> None:
    """Refuses a directory that was made with other settings."""
    old, new = (one.model_dump(mode="json") for one in (store.settings(), settings))
    if old != new:
        changes = "; ".join(f"{key}: {a!r} there, {b!r} now" for key, a, b in differences(old, new))
        raise SettingsError(f"--out {store.path}: holds a run of other settings ({changes})")
