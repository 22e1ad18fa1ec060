"""Consoles: what prints to a terminal, a file or nowhere."""

import os
import select
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from incentivize.experiments.errors import escape_control_characters
from incentivize.experiments.runtime.streams import is_terminal, supports_colour, supports_cursor

PIPE_WIDTH = 1000  # columns where nobody says how many there are: a file has no edge at which lines would have to break


class _Console(Console):
    def render_str(self, text: str, **how: Any) -> Text:
        """Text as it is, in a line or in the cell of a table: what is no sign is spelt out, nothing is markup."""
        how |= {"markup": False, "emoji": False}
        return super().render_str(escape_control_characters(text), **how)

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704, called where the error is being handled


def console_for(stderr: bool = False) -> Console:
    """The console of standard output or standard error: as wide as the terminal, or as COLUMNS says, or else wide.

    Text is text in it: no markup, no names of emoji. A file or a dumb terminal has no cursor, whatever variables say.
    """
    stream = sys.stderr if stderr else sys.stdout
    edge = is_terminal(stream) or "COLUMNS" in os.environ
    return _Console(
        stderr=stderr,
        width=None if edge else PIPE_WIDTH,
        force_terminal=supports_cursor(stream),
        color_system="256" if supports_colour(stream) and not supports_cursor(stream) else "auto",
        highlight=False,
    )


def reader_has_gone(error: BaseException) -> bool:
    """Whether an error says that whoever read standard output has ended, as `head` does."""
    if not isinstance(error, BrokenPipeError):
        return False
    try:
        ready = select.poll()
        ready.register(sys.stdout.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in ready.poll(0))
    except (OSError, ValueError, AttributeError):  # it is no file, or this system cannot tell
        return False
