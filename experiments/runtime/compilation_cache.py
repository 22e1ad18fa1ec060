"""Compilation cache: the folder in which jax keeps compiled programs for later runs."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from filelock import FileLock, Timeout

from incentivize.experiments.errors import escape_control_characters

CACHE = "JAX_COMPILATION_CACHE_DIR"


def cache_folder() -> Path | None:
    """Return the default folder of compiled programs; None where there is no home folder."""
    xdg_folder = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        folder = (
            xdg_folder if xdg_folder.is_absolute() else Path.home() / ".cache"
        ) / "incentivize"  # a relative one is not valid
    except RuntimeError:  # neither HOME nor an entry in passwd
        return None
    return folder if folder.is_absolute() else None


def enable_cache() -> None:
    """Have jax keep compiled programs, in the folder that the environment names or the default one.

    Does nothing once jax is imported. An unusable folder is not handed to jax, which would warn at every program. One
    that the environment names is set aside for this process and its workers, with one line on standard error.
    """
    if "jax" in sys.modules:
        return
    chosen = os.environ.get(CACHE)
    if chosen is None:
        folder = cache_folder()
        if folder is None or not _usable(folder):
            return
        os.environ[CACHE] = str(folder)
    elif chosen and "://" not in chosen and not _usable(Path(chosen)):
        del os.environ[CACHE]
        problem = "programs cannot be kept there, so this run compiles anew. Name a folder that can be written."
        print(escape_control_characters(f"{CACHE} = {chosen}: {problem}"), file=sys.stderr)
        return
    os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(2**30))  # bytes, the oldest go first
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")


def _usable(folder: Path) -> bool:
    """Return whether jax can keep programs in a folder, by trying what jax does. Make the folder if it is missing."""
    try:
        str(folder).encode()  # jax accepts no other names
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(b"a program")
        with FileLock(folder / ".lockfile", timeout=0):
            _add_missing_times(folder)
            return True
    except Timeout:  # another run holds it at the moment
        return True
    except (OSError, ValueError, NotImplementedError):
        return False


def _add_missing_times(folder: Path) -> None:
    """Write the time of use of every program that lacks it: beside such a program jax cannot keep further ones.

    A process that is killed while it keeps a program leaves it so, and one that keeps programs without a limit does.
    """
    for program in folder.glob("*-cache"):
        time_of_use = program.with_name(program.name.removesuffix("-cache") + "-atime")
        with suppress(FileNotFoundError):  # another process has dropped the program
            if not time_of_use.exists():
                time_of_use.write_bytes(program.stat().st_mtime_ns.to_bytes(8, "little"))
