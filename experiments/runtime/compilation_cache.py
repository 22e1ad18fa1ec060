"""The compilation cache: where jax keeps compiled programs from one run to the next."""

import os
import sys
from pathlib import Path
from tempfile import TemporaryFile

from filelock import FileLock, Timeout

from incentivize.experiments.errors import escape_control_characters

CACHE = "JAX_COMPILATION_CACHE_DIR"


def cache_folder() -> Path | None:
    """Where compiled programs are kept, unless the environment says otherwise; None where nobody is at home."""
    said = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        folder = (said if said.is_absolute() else Path.home() / ".cache") / "incentivize"  # a relative one is no value
    except RuntimeError:  # neither HOME nor an entry in passwd
        return None
    return folder if folder.is_absolute() else None


def enable_cache() -> None:
    """Have jax keep compiled programs for the next run, unless the environment says otherwise. Before jax is there.

    Where they cannot be kept, jax is told of no folder: it would warn of every program. A folder that the environment
    names is set aside in one sentence, for this process and its workers.
    """
    if "jax" in sys.modules:
        return
    said = os.environ.get(CACHE)
    if said is None:
        folder = cache_folder()
        if folder is None or not _usable(folder):
            return
        os.environ[CACHE] = str(folder)
    elif said and "://" not in said and not _usable(Path(said)):
        del os.environ[CACHE]
        told = "programs cannot be kept there, so this run compiles anew. Name a folder that can be written."
        print(escape_control_characters(f"{CACHE} = {said}: {told}"), file=sys.stderr)
        return
    os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(2**30))  # bytes, the oldest go first
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")


def _usable(folder: Path) -> bool:
    """Whether jax can keep programs in a folder, which is made if it is not there: by trying what jax will do."""
    try:
        str(folder).encode()  # jax takes no other names
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(b"a program")
        with FileLock(folder / ".lockfile", timeout=0):
            return True
    except Timeout:  # another run has it just now
        return True
    except (OSError, ValueError, NotImplementedError):
        return False
