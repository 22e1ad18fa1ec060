"""Locks on files, released when their process ends, and refusals of file systems without locks."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from incentivize.experiments.errors import InputError

READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)  # errors by which a file may not be written
TAKEN = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES)  # errors by which another process holds the lock


class LockHeld(Exception):  # noqa: N818, not an error by itself
    """Another process holds the lock."""


@contextmanager
def file_lock(path: Path, seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock of a file until the block ends.

    Args:
        path: the file; it is made if it is missing, and stays.
        seconds: longest wait for another process that holds the lock.

    Raises:
        LockHeld: if another process still holds the lock.
        InputError: if the file system has no locks, or the file may not be written.
        OSError: if the file cannot be opened for another reason.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=seconds)
    except (Timeout, OSError, NotImplementedError) as error:  # old versions of filelock time out at any error
        _raise_unless_held(path, error)
        raise LockHeld from None
    try:
        yield
    finally:
        lock.release()


def _raise_unless_held(path: Path, error: Exception) -> None:
    """Raise why a lock could not be acquired, unless only because another process holds it."""
    cause: Exception | None = error
    if isinstance(error, (Timeout, NotImplementedError)):
        cause = _why_not_lockable(path)
    if not isinstance(cause, OSError):
        return
    if cause.errno in READ_ONLY and cause.filename is not None:
        raise InputError(
            f"{path.parent}: cannot be written to ({path.name}: {cause.strerror}). Make it writable, or use another."
        ) from None
    if cause.filename is not None:
        raise cause
    raise InputError(
        f"{path.parent}: its file system has no locks ({cause.strerror}), so nothing keeps two processes from "
        "writing there at the same time. Take a folder of another file system, or mount this one with locks (NFS 4; "
        f"Lustre with -o flock). If {path} was left by a process that has ended, delete it."
    ) from None


def _why_not_lockable(path: Path) -> OSError | None:
    """Return why a file cannot be locked at all; None where it can, or another process holds its lock."""
    try:
        import fcntl
    except ImportError:  # not a Unix; locks do not fail in this way there
        return None
    try:
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in TAKEN else error
    return None
