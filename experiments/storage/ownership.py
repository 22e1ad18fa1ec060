"""Ownership of run directories: made atomically, written by one process at a time, with a status. Does not import jax.

`status.json` has the `state` (running, done, stopped, failed), its `reason`, its time, process and host. The lock ends
with its process: a directory that is "running" without a lock belonged to a process that was killed. A `token` tells
processes apart, as every process of a container may have number 1 on a host of the same name.
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
from incentivize.experiments.storage.start_from import with_recorded_paths

TOKEN = secrets.token_hex(8)
"""Random name of this process."""
MAX_NAME_PART = 40  # characters of a name in the name of its temporary folder, which may have 255 bytes
UNMOVABLE = (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EPERM)


@contextmanager
def open_run_directory(path: Path, settings: Settings) -> Iterator[RunDirectory]:
    """Open a run directory to write to until the block ends; make it if it is missing.

    The block sets the status to "running" when it begins to write (`set_status`); the end is set here.

    Raises:
        InputError: if the path holds another run or something else, or another process writes to it.
    """
    _create(path, settings)
    directory = RunDirectory(path)
    directory.check_no_outside_links()
    with exclusive_lock(directory):
        if not (path / "config.toml").exists():
            write_atomic(path / "config.toml", dump(settings))
        check_same(directory, settings)
        try:
            yield directory
            if _is_running(directory):
                set_status(directory, "done")
        except (Stopped, KeyboardInterrupt):
            set_status(directory, "stopped", "on request")
            raise
        except BaseException as error:
            if _is_running(directory):
                set_status(directory, "failed", explain(error))
            raise


@contextmanager
def exclusive_lock(directory: RunDirectory) -> Iterator[None]:
    """Keep other processes from writing to a directory until the block ends.

    Raises:
        InputError: if another process writes to the directory.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(directory.path / "lock"))
        except LockHeld:
            status = directory.status()
            process, host, since = (excerpt(status.get(key)) for key in ("process", "host", "since"))
            running = status.get("state") == "running"  # otherwise it has not begun to write, or is a report
            writer = f" (process {process} on {host}, since {since})" if running else ", or by a report"
            problem = f"{directory.path}: is being written by another run{writer}"
            raise InputError(f"{problem}. Wait for it, or use another --out.") from None
        yield


def _is_running(directory: RunDirectory) -> bool:
    """Return whether the status is "running", set by this process."""
    status = directory.status()
    return status.get("token") == TOKEN and status.get("state") == "running"


def set_status(directory: RunDirectory, state: str, reason: str = "") -> None:
    """Write the status of the run. A disk without room for a final status is tolerated."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    status: dict[str, Any] = {"state": state, "reason": reason, "since": now}
    status |= {"host": socket.gethostname(), "process": os.getpid(), "token": TOKEN}
    try:
        write_atomic(directory.path / "status.json", json.dumps(status, indent=1) + "\n")
    except OSError:
        if state in ("running", "done"):
            raise


def _create(path: Path, settings: Settings) -> None:
    """Make the directory with its configuration atomically, unless it exists.

    Raises:
        InputError: if the path cannot be used as a run directory.
    """
    try:
        names = _names_in(path)
    except OSError as error:
        advice = "Make it readable, or use another --out."
        raise InputError(f"--out = {path}: cannot be read ({error.strerror}). {advice}") from None
    if names is not None:
        if names - {"lock", "config.toml.part"} and "config.toml" not in names:
            raise InputError(f"--out = {path}: exists and is not a run directory. Give an empty or new folder.")
        return
    part = path.absolute().with_name(f".{path.name[:MAX_NAME_PART]}.{secrets.token_hex(8)}.part")
    try:
        part.mkdir(parents=True)
        write_atomic(part / "config.toml", dump(settings))
        _move(part, path)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        if not (path / "config.toml").exists():
            raise InputError(f"--out = {path}: cannot be written ({error.strerror}). Give another path.") from None


def _names_in(path: Path) -> set[str] | None:
    """Return the names in a directory; {"a file"} for a file, and None for a path that does not exist.

    Raises:
        InputError: if the path is a broken link.
        OSError: if the directory cannot be read.
    """
    if path.is_symlink() and not path.exists():
        problem = f"is a link to {path.readlink()}, which does not exist"
        raise InputError(f"--out = {path}: {problem}. Repair the link, or use another --out.")
    if not path.exists():
        return None
    return {entry.name for entry in path.iterdir()} if path.is_dir() else {"a file"}


def _move(part: Path, path: Path) -> None:
    """Give a new directory its name, unless another process has just made one with files there."""
    try:
        os.rename(part, path)
    except OSError as error:
        if error.errno not in UNMOVABLE:
            raise
        path.mkdir(exist_ok=True)  # file systems such as object stores cannot rename a directory
        write_atomic(path / "config.toml", (part / "config.toml").read_bytes())
        shutil.rmtree(part, ignore_errors=True)


def check_same(directory: RunDirectory, settings: Settings) -> None:
    """Refuse a directory that was made with other settings. Start files are compared by content, not by path.

    Raises:
        InputError: if settings differ; the message names them.
    """
    recorded = directory.settings()
    old = recorded.model_dump(mode="json")
    new = with_recorded_paths(recorded, settings).model_dump(mode="json")
    if old != new:
        changes = "; ".join(f"{key}: {a!r} there, {b!r} now" for key, a, b in tree_differences(old, new))
        problem = f"--out = {directory.path}: holds a run of other settings ({changes})"
        raise InputError(f"{problem}. Use the settings that it has, or another --out.")
