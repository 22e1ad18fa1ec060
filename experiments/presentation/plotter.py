"""Imports matplotlib with its shipped defaults, ignoring MPLBACKEND and any `matplotlibrc`.

The user's own process keeps what its environment asks for; nothing of that is used for a figure of ours.
"""

import atexit
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

SAID = ("MPLBACKEND", "MATPLOTLIBRC")


def plotter() -> Any:
    """The module matplotlib.

    Raises:
        ImportError: where it is not installed.
    """
    if "matplotlib" in sys.modules:
        return sys.modules["matplotlib"]
    _house()
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)  # what it has to say of a file that does not count here
    try:
        import matplotlib as mpl
    except ImportError:
        raise
    except Exception:  # of many kinds: an unknown backend, a file that is no text or not to be read
        for part in [name for name in sys.modules if name.startswith("matplotlib.")]:
            del sys.modules[part]  # they are half of a module that there is not
        with _shielded():
            import matplotlib as mpl
    finally:
        log.setLevel(level)
    return mpl


@contextmanager
def with_shipped_defaults(style: Mapping[str, Any]) -> Iterator[None]:
    """Draw and saves by matplotlib's defaults and a style, and by nobody's `matplotlibrc`."""
    mpl = plotter()
    defaults = {key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"}
    with mpl.rc_context(defaults | dict(style)):
        yield


def _house() -> None:
    """Give matplotlib a folder for what it knows of fonts, where there is no home."""
    try:
        Path.home()
    except RuntimeError:
        if "MPLCONFIGDIR" not in os.environ:
            os.environ["MPLCONFIGDIR"] = folder = mkdtemp(prefix="incentivize-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)


@contextmanager
def _shielded() -> Iterator[None]:
    """Keep from an import what the environment and files outside of matplotlib say of it."""
    before = {name: os.environ.pop(name) for name in SAID if name in os.environ}
    spec = find_spec("matplotlib")
    data = str(Path(spec.origin if spec and spec.origin else "").parent / "mpl-data")
    here = os.open(".", os.O_RDONLY) if Path("matplotlibrc").exists() else None
    try:
        if here is not None:
            os.chdir(data)  # there is no other way past a file in the working folder
        os.environ["MATPLOTLIBRC"] = data
        yield
    finally:
        if here is not None:
            os.fchdir(here)
            os.close(here)
        del os.environ["MATPLOTLIBRC"]
        os.environ.update(before)
