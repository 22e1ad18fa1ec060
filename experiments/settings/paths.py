"""Paths that a user gives: on this machine, with ~ for a home folder. Imports nothing of this project."""

import errno
import os
import re

REMOTE_SCHEMES = (
    "abfss?|adl|az|azure|cos|dbfs|file|ftps?|gcs|gs|hdfs|hf|https?|nfs|oss|r2|rsync|s3[an]?|sftp|smb|ssh|wasbs?"
)
ADDRESS = re.compile(rf"[a-z][a-z0-9+.-]*://|({REMOTE_SCHEMES}):/", re.IGNORECASE)  # `Path` makes one slash of two
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP)  # errors by which `Path.exists` answers False


def expand_local_path(text: str) -> str:
    """Return a local path with ~ or ~user at its beginning replaced by the home folder.

    Raises:
        ValueError: if it is an address, such as gs://bucket/run, or the home folder is unknown.
    """
    if ADDRESS.match(text):
        raise ValueError("is an address, not a local path. Copy the data here, or mount it as a folder.")
    if not text.startswith("~"):
        return text
    user, slash, rest = text.partition("/")
    home = os.path.expanduser(user)
    if not os.path.isabs(home) or (user == "~" and os.environ.get("HOME") == ""):
        raise ValueError(f"there is no home folder {user}. Write ./{text} for a file of that name, or the whole path.")
    return os.path.join(home, rest) if slash else home


def check_usable_path(text: str) -> None:
    """Refuse text that cannot be a local path, whether or not the path exists.

    Raises:
        ValueError: if the text is empty, an address, or not usable as a path.
    """
    if not text.strip():
        raise ValueError("is empty. Give a path.")
    if "\0" in text:
        raise ValueError("holds a null character. Give another path.")
    try:
        os.stat(expand_local_path(text))
    except OSError as error:
        if error.errno not in ABSENT:
            raise ValueError(f"cannot be used as a path ({error.strerror}). Give another.") from None
