"""Paths as a user says them: on this machine, with ~ for a home folder. Imports nothing of ours."""

import errno
import os
import re

REMOTE_SCHEMES = (
    "abfss?|adl|az|azure|cos|dbfs|file|ftps?|gcs|gs|hdfs|hf|https?|nfs|oss|r2|rsync|s3[an]?|sftp|smb|ssh|wasbs?"
)
ADDRESS = re.compile(rf"[a-z][a-z0-9+.-]*://|({REMOTE_SCHEMES}):/", re.IGNORECASE)  # `Path` makes one slash of two
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP)  # what `Path.exists` takes for "there is none"


def expand_local_path(said: str) -> str:
    """Return a path of this machine, a home folder in the place of ~ or ~user at its beginning.

    Raises:
        ValueError: where it is an address, such as gs://bucket/run, or nobody knows the home folder.
    """
    if ADDRESS.match(said):
        raise ValueError(
            "is an address, and no path of this machine; give a path and copy what lies there, or mount it as a folder"
        )
    if not said.startswith("~"):
        return said
    user, slash, rest = said.partition("/")
    home = os.path.expanduser(user)
    if not os.path.isabs(home) or (user == "~" and os.environ.get("HOME") == ""):
        raise ValueError(f"there is no home folder {user}; write ./{said} for what is called so, or the whole path")
    return os.path.join(home, rest) if slash else home


def check_usable_path(said: str) -> None:
    """Refuse what cannot be a path here, whether something is there or not.

    Raises:
        ValueError: why.
    """
    if not said.strip():
        raise ValueError("is empty; want a path")
    try:
        os.stat(expand_local_path(said))
    except OSError as error:
        if error.errno not in ABSENT:
            raise ValueError(f"cannot be used as a path ({error.strerror})") from None
