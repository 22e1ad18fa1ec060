"""Files written whole or not at all, and read as what somebody else may have written. Does not import jax."""

import errno
import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from incentivize.experiments.errors import InputError, is_out_of_resources

MAX_ROWS_BYTES = 2**30  # bytes of rows or of what is said of a run, more than any has
MAX_SETTINGS_BYTES = 2**20  # bytes of settings, or of what is said of one cell
MAX_HASHED_BYTES = 2**34  # bytes of any file that is hashed
NPZ_HEADER_BYTES = 2**16  # bytes that an array has in a file beside its values, by far
NO_SYNC = (
    *(errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY, errno.EBADF, errno.EISDIR),
    *(errno.EACCES, errno.EPERM),
)
"""What file systems answer that cannot do this for a directory (SMB, FUSE, shared folders), or do not let one open it.

The file itself is on the disk then. EIO and ENOSPC are not among these: there something is lost.
"""


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` in the end, on the disk and not only in its cache."""
    part = path.with_name(path.name + ".part")
    try:
        with _temporary_name(path):
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
            _sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)  # on a full disk every bit of room counts
        raise


@contextmanager
def _temporary_name(path: Path) -> Iterator[None]:
    """Have errors say which file they are about, which reading, writing and `fsync` do not tell."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _sync_folder(folder: Path) -> None:
    """Put a directory's names on the disk, where the system and the file system let one."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    there = None
    try:
        there = os.open(folder, os.O_DIRECTORY)
        os.fsync(there)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        if there is not None:
            os.close(there)


def read_bounded(path: Path, most: int) -> bytes:
    """A file of so many bytes at most.

    Raises:
        ValueError: where there are more.
        OSError: where it cannot be read.
    """
    with _temporary_name(path), path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError("it is larger than it can be")
    return data


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all."""
    with atomic_write(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def excerpt(said: object) -> str:
    """What a file says, fit for a line on a terminal."""
    return ascii(str(said))[1:-1][:120]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say which file is damaged, where one cannot be understood; what is for want of memory stays what it is."""
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, EOFError, RecursionError, zipfile.BadZipFile) as error:
        if is_out_of_resources(error):
            raise
        raise InputError(f"{path}: cannot be read as part of a run ({type(error).__name__}: {error})") from None


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        ValueError: where it is larger than any can be.
    """
    if path.stat().st_size > MAX_HASHED_BYTES:
        raise ValueError("it is larger than it can be")
    with _temporary_name(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def open_npz(path: Path, most: int) -> Iterator[zipfile.ZipFile]:
    """An .npz file that holds so many bytes at most, and is no larger itself.

    Raises:
        ValueError: where it is larger, or no file.
    """
    if not path.is_file():
        raise ValueError("it is no file")
    if path.stat().st_size > most + MAX_SETTINGS_BYTES:
        raise ValueError("it is larger than it can be")
    with zipfile.ZipFile(path) as archive:
        yield archive


def read_npz_array(archive: zipfile.ZipFile, name: str, most: int) -> np.ndarray:
    """An array of an .npz file, of so many bytes at most; nothing is unpickled.

    Raises:
        ValueError: where there are more, or it is no array.
    """
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("it is packed as nobody packs it here")
    with archive.open(member) as file:  # what the archive says of its size need not be so
        data = file.read(most + NPZ_HEADER_BYTES + 1)
    if len(data) > most + NPZ_HEADER_BYTES:
        raise ValueError("it is larger than it can be")
    return np.load(io.BytesIO(data), allow_pickle=False)
