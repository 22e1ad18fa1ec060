"""Locks on files, which go with the process that holds them; and what is said where a file system has none."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from incentivize.experiments.errors import InputError

CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)  # what a file system answers where a file may not be written
TAKEN = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES)  # and where another process has its lock


class LockHeld(Exception):  # noqa: N818, no error yet
    """Another process holds the lock."""


@contextmanager
def file_lock(path: Path, seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock of a file until the block ends.

    Args:
        path: the file; it is made where it is not there, and stays.
        seconds: to wait for another process that holds it.

    Raises:
        Held: where another process holds it still.
        SettingsError: where its file system has no locks, or the file may not be written.
        OSError: where it cannot be opened for another reason.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=seconds)
    except (Timeout, OSError, NotImplementedError) as error:  # old versions of filelock time out whatever is wrong
        _refuse(path, error)
        raise LockHeld from None
    try:
        yield
    finally:
        lock.release()


def _refuse(path: Path, error: Exception) -> None:
    """Raise what is wrong, unless all that is wrong is that another process holds the lock."""
    lacking: Exception | None = error
    if isinstance(error, (Timeout, NotImplementedError)):
        lacking = _has_no_locks(path)
    if not isinstance(lacking, OSError):
        return
    if lacking.errno in CLOSED and lacking.filename is not None:
        raise InputError(f"{path.parent}: cannot be written to ({path.name}: {lacking.strerror})") from None
    if lacking.filename is not None:
        raise lacking
    raise InputError(
        f"{path.parent}: its file system has no locks ({lacking.strerror}), so nothing keeps two processes from "
        "writing there at the same time. Take a folder of another file system, or mount this one with locks (NFS 4; "
        f"Lustre with -o flock). Where {path} was left by a process that is gone, remove it"
    ) from None


def _has_no_locks(path: Path) -> OSError | None:
    """Return why a file cannot be locked at all; None where it can, or another process has its lock."""
    try:
        import fcntl
    except ImportError:  # of no Unix, where locks do not fail in this way
        return None
    try:
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in TAKEN else error
    return None
