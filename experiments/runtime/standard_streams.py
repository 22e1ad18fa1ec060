"""Standard streams that may be closed, of limited encoding, or without their terminal. Imports neither jax nor rich."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any

STREAMS = (("stdin", "r", "replace"), ("stdout", "w", "backslashreplace"), ("stderr", "w", "backslashreplace"))
"""Name, mode and error handler of the encoding of the standard streams 0, 1 and 2."""


def set_up_streams() -> None:
    """Point closed standard streams at the null device; make the others escape characters that they cannot encode."""
    while (number := os.open(os.devnull, os.O_RDWR)) < len(STREAMS):  # otherwise other files would get their numbers
        os.set_inheritable(number, True)
    os.close(number)
    for number, (name, mode, errors) in enumerate(STREAMS):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", errors=errors, closefd=False))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=errors)


def is_terminal(stream: Any) -> bool:
    """Return whether a stream is a terminal; one that is closed or None is not."""
    try:
        return stream is not None and bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def supports_cursor(stream: Any) -> bool:
    """Return whether a stream is a terminal whose cursor can be moved: not a dumb one."""
    return is_terminal(stream) and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def supports_colour(stream: Any) -> bool:
    """Return whether a stream gets colours: a terminal, or any stream by FORCE_COLOR, but none by NO_COLOR."""
    forced = os.environ.get("FORCE_COLOR", "").lower() not in ("", "0", "false")
    return (forced or supports_cursor(stream)) and not os.environ.get("NO_COLOR")


def discard_output(stream: Any) -> None:
    """Discard the buffered and all later output of a standard stream."""
    with suppress(OSError, ValueError, AttributeError):
        if stream.fileno() in (1, 2):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


class TolerantStream:
    """Text stream that drops output that cannot be written: its reader or terminal is gone, or its disk is full."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text if possible, with characters escaped that the stream cannot encode; return its length."""
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
