"""Whose a run directory is: made whole, written by one process at a time, with a status that says how it stands.

`status.json` has `state` (running, done, stopped, failed), `reason`, and since when which process on which host. The
lock lies beside it and goes with the process, however that ends: what is "running" with nobody at it was killed. A
process knows what it has said itself by a `token`: in containers, all may be number 1 of a host of the same name. Does
not import jax.
"""

import errno
import json
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from incentivize.experiments.errors import InputError, Stopped, explain
from incentivize.experiments.settings.loading import dump
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.io import excerpt, write_atomic
from incentivize.experiments.storage.lock import LockHeld, file_lock
from incentivize.experiments.storage.run_directory import RunDirectory, tree_differences
from incentivize.experiments.storage.start_files import with_recorded_paths

TOKEN = secrets.token_hex(8)
"""This process, and no other that ever was or will be."""
SHORT = 40  # letters of a name that part of another name is made of, which has to stay within 255 bytes
UNMOVABLE = (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EPERM)


@contextmanager
def open_run_directory(path: Path, settings: Settings) -> Iterator[RunDirectory]:
    """A run directory to write to, made if it is not there, until the block ends.

    Whoever begins to write says so (`set_status`); how it ended is said here.

    Raises:
        SettingsError: where it holds another run, or something else, or is another process's.
    """
    _create(path, settings)
    store = RunDirectory(path)
    store.check_no_outside_links()
    with exclusive_lock(store):
        if not (path / "config.toml").exists():
            write_atomic(path / "config.toml", dump(settings))
        check_same(store, settings)
        try:
            yield store
            if _is_running(store):
                set_status(store, "done")
        except (Stopped, KeyboardInterrupt):
            set_status(store, "stopped", "on request")
            raise
        except BaseException as error:
            if _is_running(store):
                set_status(store, "failed", explain(error))
            raise


@contextmanager
def exclusive_lock(store: RunDirectory) -> Iterator[None]:
    """Keep other processes from writing to a directory until the block ends.

    Raises:
        SettingsError: where another process is at it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(store.path / "lock"))
        except LockHeld:
            there = store.status()
            process, host, since = (excerpt(there.get(key)) for key in ("process", "host", "since"))
            running = there.get("state") == "running"  # or else it has not said so yet, or is none
            who = f" (process {process} on {host}, since {since})" if running else ", or by a report"
            raise InputError(f"{store.path}: is being written by another run{who}") from None
        yield


def _is_running(store: RunDirectory) -> bool:
    """Whether this process has said that it runs."""
    status = store.status()
    return status.get("token") == TOKEN and status.get("state") == "running"


def set_status(store: RunDirectory, state: str, reason: str = "") -> None:
    """Say how the run stands, if there is still room on the disk to say so."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    status: dict[str, Any] = {"state": state, "reason": reason, "since": now}
    status |= {"host": socket.gethostname(), "process": os.getpid(), "token": TOKEN}
    try:
        write_atomic(store.path / "status.json", json.dumps(status, indent=1) + "\n")
    except OSError:
        if state in ("running", "done"):
            raise


def _create(path: Path, settings: Settings) -> None:
    """Make the directory with its configuration in one step, unless it is there, be it empty."""
    try:
        there = _there(path)
    except OSError as error:
        raise InputError(f"--out {path}: cannot be looked into ({error.strerror})") from None
    if there is not None:
        if there - {"lock", "config.toml.part"} and "config.toml" not in there:
            raise InputError(f"--out {path}: exists and is not a run directory")
        return
    part = path.absolute().with_name(f".{path.name[:SHORT]}.{secrets.token_hex(8)}.part")
    try:
        part.mkdir(parents=True)
        write_atomic(part / "config.toml", dump(settings))
        _move(part, path)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        if not (path / "config.toml").exists():
            raise InputError(f"--out {path}: cannot be written ({error.strerror})") from None


def _there(path: Path) -> set[str] | None:
    """Return the names in a directory; None where nothing is there.

    Raises:
        SettingsError: where there is something else.
        OSError: where nobody can say.
    """
    if path.is_symlink() and not path.exists():
        raise InputError(f"--out {path}: is a link to {path.readlink()}, which is not there")
    if not path.exists():
        return None
    return {one.name for one in path.iterdir()} if path.is_dir() else {"a file"}


def _move(part: Path, path: Path) -> None:
    """Give a new directory its name; one with files that another process has just made there stays."""
    try:
        os.rename(part, path)
    except OSError as error:
        if error.errno not in UNMOVABLE:
            raise
        path.mkdir(exist_ok=True)  # object stores and the like rename no directory: it is filled where it lies
        write_atomic(path / "config.toml", (part / "config.toml").read_bytes())
        shutil.rmtree(part, ignore_errors=True)


def check_same(store: RunDirectory, settings: Settings) -> None:
    """Refuse a directory that was made with other settings; of files that agents start from the content counts."""
    there = store.settings()
    old, new = (one.model_dump(mode="json") for one in (there, with_recorded_paths(there, settings)))
    if old != new:
        changes = "; ".join(f"{key}: {a!r} there, {b!r} now" for key, a, b in tree_differences(old, new))
        raise InputError(f"--out {store.path}: holds a run of other settings ({changes})")
