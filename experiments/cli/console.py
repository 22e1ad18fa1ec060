"""Consoles of rich for standard output and standard error."""

import os
import select
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from incentivize.experiments.errors import escape_control_characters
from incentivize.experiments.runtime.standard_streams import is_terminal, supports_colour, supports_cursor

PIPE_WIDTH = 1000  # columns of a pipe or a file, which have no edge at which lines would have to break


class _Console(Console):
    """A console without markup, in which control characters are escaped."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return text without markup and emoji, of a line or of a table's cell."""
        options |= {"markup": False, "emoji": False}
        return super().render_str(escape_control_characters(text), **options)

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704, rich calls this in its except clause


def console_for(stderr: bool = False) -> Console:
    """Return the console of standard output or standard error, without markup and emoji.

    It is as wide as the terminal or COLUMNS, or else PIPE_WIDTH. A file or a dumb terminal has no cursor, whatever
    environment variables say.
    """
    stream = sys.stderr if stderr else sys.stdout
    has_edge = is_terminal(stream) or "COLUMNS" in os.environ
    return _Console(
        stderr=stderr,
        width=None if has_edge else PIPE_WIDTH,
        force_terminal=supports_cursor(stream),
        color_system="256" if supports_colour(stream) and not supports_cursor(stream) else "auto",
        highlight=False,
    )


def reader_has_gone(error: BaseException) -> bool:
    """Return whether an error says that the reader of standard output has exited, as `head` does."""
    if not isinstance(error, BrokenPipeError):
        return False
    try:
        ready = select.poll()
        ready.register(sys.stdout.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in ready.poll(0))
    except (OSError, ValueError, AttributeError):  # no file descriptor, or a system without poll
        return False
