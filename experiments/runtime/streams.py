"""Standard streams as a command may be started with: closed, of few letters, or of a terminal that is gone later.

Imports neither jax nor rich.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any

STREAMS = (("stdin", "r", "replace"), ("stdout", "w", "backslashreplace"), ("stderr", "w", "backslashreplace"))
"""Name and mode of the files 0, 1 and 2, and what becomes of signs that their encoding has not."""


def set_up_streams() -> None:
    """Points closed standard streams at the null device and makes the others escape what they cannot encode."""
    while (number := os.open(os.devnull, os.O_RDWR)) < len(STREAMS):  # or files of ours would get their numbers
        os.set_inheritable(number, True)
    os.close(number)
    for number, (name, mode, errors) in enumerate(STREAMS):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", errors=errors, closefd=False))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=errors)


def is_terminal(stream: Any) -> bool:
    """Whether a stream is a terminal; one that is closed or None is not."""
    try:
        return stream is not None and bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def supports_cursor(stream: Any) -> bool:
    """Whether a stream is a terminal with a cursor to be moved: not a dumb one, whatever else the environment says."""
    return is_terminal(stream) and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def supports_colour(stream: Any) -> bool:
    """Whether a stream gets colours: a terminal does, and whatever FORCE_COLOR asks for, but nothing by NO_COLOR."""
    forced = os.environ.get("FORCE_COLOR", "").lower() not in ("", "0", "false")
    return (forced or supports_cursor(stream)) and not os.environ.get("NO_COLOR")


def discard_output(stream: Any) -> None:
    """Send what a standard stream has still to write, and all that follows, nowhere."""
    with suppress(OSError, ValueError, AttributeError):
        if stream.fileno() in (1, 2):
            there = os.open(os.devnull, os.O_WRONLY)
            os.dup2(there, stream.fileno())
            os.close(there)


class TolerantStream:
    """A stream to write text to that drops what cannot be written: its reader or terminal is gone, its disk is full."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text if that is possible, with signs spelt out that the stream cannot take; returns its length."""
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            self.write(text.encode("ascii", "backslashreplace").decode())
        except (OSError, ValueError, AttributeError):  # ValueError: closed; AttributeError: it is None
            pass
        return len(text)

    def flush(self) -> None:
        """Flush the stream if that is possible."""
        with suppress(OSError, ValueError, AttributeError):
            self._stream.flush()


@contextmanager
def tolerate_broken_streams() -> Iterator[None]:
    """Keep a failing standard output or error from ending the block."""
    streams = sys.stdout, sys.stderr
    try:
        with redirect_stdout(TolerantStream(sys.stdout)), redirect_stderr(TolerantStream(sys.stderr)):  # pyright: ignore[reportArgumentType]
            yield
    finally:
        for stream in streams:
            try:
                if stream is not None:
                    stream.flush()
            except (OSError, ValueError):
                discard_output(stream)
