"""Matplotlib with its shipped defaults, whatever MPLBACKEND and any `matplotlibrc` say.

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

VARIABLES = ("MPLBACKEND", "MATPLOTLIBRC")
"""Environment variables that matplotlib reads when it is imported."""


def import_matplotlib() -> Any:
    """Return the module matplotlib, imported with its shipped defaults.

    Raises:
        ImportError: where it is not installed.
    """
    if "matplotlib" in sys.modules:
        return sys.modules["matplotlib"]
    _ensure_font_cache()
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)  # it warns of the user's files, which do not count here
    try:
        import matplotlib as mpl
    except ImportError:
        raise
    except Exception:  # of many kinds: an unknown backend, a file that is no text or not to be read
        for part in [name for name in sys.modules if name.startswith("matplotlib.")]:
            del sys.modules[part]  # left over from the import that failed
        with _without_user_settings():
            import matplotlib as mpl
    finally:
        log.setLevel(level)
    return mpl


@contextmanager
def with_shipped_defaults(style: Mapping[str, Any]) -> Iterator[None]:
    """Put matplotlib's defaults and a style in force, and nobody's `matplotlibrc`, for drawing and saving."""
    mpl = import_matplotlib()
    defaults = {key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"}
    with mpl.rc_context(defaults | dict(style)):
        yield


def _ensure_font_cache() -> None:
    """Give matplotlib a folder for its cache of fonts, where there is no home."""
    try:
        Path.home()
    except RuntimeError:
        if "MPLCONFIGDIR" not in os.environ:
            os.environ["MPLCONFIGDIR"] = folder = mkdtemp(prefix="incentivize-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)


@contextmanager
def _without_user_settings() -> Iterator[None]:
    """Hide the environment's and the user's settings of matplotlib from an import."""
    before = {name: os.environ.pop(name) for name in VARIABLES if name in os.environ}
    spec = find_spec("matplotlib")
    data = str(Path(spec.origin if spec and spec.origin else "").parent / "mpl-data")
    working_folder = os.open(".", os.O_RDONLY) if Path("matplotlibrc").exists() else None
    try:
        if working_folder is not None:
            os.chdir(data)  # there is no other way past a file in the working folder
        os.environ["MATPLOTLIBRC"] = data
        yield
    finally:
        if working_folder is not None:
            os.fchdir(working_folder)
            os.close(working_folder)
        del os.environ["MATPLOTLIBRC"]
        os.environ.update(before)
