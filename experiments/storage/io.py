"""Atomic writes, and reads of files that may be damaged or foreign. Does not import jax."""

import errno
import hashlib
import io
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from incentivize.experiments.errors import InputError, is_out_of_resources

WRITE_AGAIN = "Repeat the command of the run to write it again."
"""Remedy of errors of files that a run makes from its cells."""
MAX_ROWS_BYTES = 2**30  # of results.jsonl, of meta.json, and of the parameters of a cell
MAX_SETTINGS_BYTES = 2**20  # of settings, or of the description of one cell
MAX_HASHED_BYTES = 2**34  # of any file that is hashed
NPZ_HEADER_BYTES = 2**16  # of an array in a file beside its values, at most
DECODER_ERRORS = (
    *(OSError, ValueError, TypeError, LookupError, EOFError, OverflowError, SyntaxError),
    *(RuntimeError, zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)
"""Errors that decoders of JSON, TOML and .npz files raise at damage; RuntimeError includes RecursionError."""
NO_SYNC = (
    *(errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY, errno.EBADF, errno.EISDIR),
    *(errno.EACCES, errno.EPERM),
)
"""Errors of file systems that cannot sync a directory (SMB, FUSE, shared folders), or do not let one open it.

The file itself is on the disk then. EIO and ENOSPC are not among these: they mean that data is lost.
"""


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write that replaces `path` when the block ends, synced to the disk."""
    part = path.with_name(path.name + ".part")
    try:
        with _errors_name_file(path):
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
            _sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)  # on a full disk the room is needed
        raise


@contextmanager
def _errors_name_file(path: Path) -> Iterator[None]:
    """Add the file's name to errors of the block: those of reading, writing and `fsync` have none."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _sync_folder(folder: Path) -> None:
    """Sync the names in a directory to the disk, where the file system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = None
    try:
        descriptor = os.open(folder, os.O_DIRECTORY)
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        if descriptor is not None:
            os.close(descriptor)


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Read a file of at most `max_bytes` bytes.

    Raises:
        ValueError: if the file is larger.
        OSError: if the file cannot be read.
    """
    with _errors_name_file(path), path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError("it is larger than it can be")
    return data


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file atomically."""
    with atomic_write(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def excerpt(content: object) -> str:
    """Return up to 120 printable characters of foreign content, for a line on a terminal."""
    return ascii(str(content))[1:-1][:120]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise errors of decoders in the block as errors that name the file; those of lacking resources stay.

    Raises:
        InputError: if the file cannot be read or decoded.
    """
    try:
        yield
    except DECODER_ERRORS as error:
        if is_out_of_resources(error):
            raise
        problem = f"cannot be read as part of a run ({type(error).__name__}: {error})"
        raise InputError(f"{path}: {problem}. {WRITE_AGAIN}") from None


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises:
        ValueError: if the file is larger than `MAX_HASHED_BYTES`.
    """
    if path.stat().st_size > MAX_HASHED_BYTES:
        raise ValueError("it is larger than it can be")
    with _errors_name_file(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def open_npz(path: Path, max_bytes: int) -> Iterator[zipfile.ZipFile]:
    """Open an .npz file whose arrays have at most `max_bytes` bytes.

    Raises:
        ValueError: if the path is not a file, or the file is larger.
    """
    if not path.is_file():
        raise ValueError("it is not a file")
    if path.stat().st_size > max_bytes + MAX_SETTINGS_BYTES:
        raise ValueError("it is larger than it can be")
    with zipfile.ZipFile(path) as archive:
        yield archive


def read_npz_array(archive: zipfile.ZipFile, name: str, max_bytes: int) -> np.ndarray:
    """Read an array of an .npz file, of at most `max_bytes` bytes; nothing is unpickled.

    Raises:
        ValueError: if the array is larger, or is not an array.
    """
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("its compression is neither stored nor deflated")
    with archive.open(member) as file:  # the size that the archive states may be wrong
        data = file.read(max_bytes + NPZ_HEADER_BYTES + 1)
    if len(data) > max_bytes + NPZ_HEADER_BYTES:
        raise ValueError("it is larger than it can be")
    return np.load(io.BytesIO(data), allow_pickle=False)
