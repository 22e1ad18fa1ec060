"""A terminal to play in: pictures drawn over each other, keys read as they are pressed; plain text where it is none."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from incentivize.experiments.errors import printable
from incentivize.experiments.runtime.streams import coloured, is_terminal, moves

if TYPE_CHECKING:
    from incentivize.envs.render import Picture

ARROWS = {"\x1b[A": "w", "\x1b[C": "d", "\x1b[B": "s", "\x1b[D": "a"}  # as terminals send them, for families that walk
END = "\x04"  # control and d
WIDE = 1000  # columns where nobody says how many there are: a file has no edge at which lines would have to break


class _Console(Console):
    def render_str(self, text: str, **how: Any) -> Text:
        """Text as it is, in a line or in the cell of a table: what is no sign is spelt out, nothing is markup."""
        how |= {"markup": False, "emoji": False}
        return super().render_str(printable(text), **how)

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
        width=None if edge else WIDE,
        force_terminal=moves(stream),
        color_system="256" if coloured(stream) and not moves(stream) else "auto",
        highlight=False,
    )


def unread(error: BaseException) -> bool:
    """Whether an error says that whoever read standard output has ended, as `head` does."""
    if not isinstance(error, BrokenPipeError):
        return False
    try:
        ready = select.poll()
        ready.register(sys.stdout.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in ready.poll(0))
    except (OSError, ValueError, AttributeError):  # it is no file, or this system cannot tell
        return False


def fitting(text: str, encoding: str) -> str:
    """A picture's text in an encoding: where it has no lines to draw with, they are -, | and +; others signs are ?."""
    from incentivize.envs.render import BOX

    if text.encode(encoding, "replace").decode(encoding) == text:
        return text
    lines = {sign: " |-+||++-+-+++++"[place] for place, sign in enumerate(BOX)}
    return text.translate(str.maketrans(lines)).encode(encoding, "replace").decode(encoding)


class Screen:
    """Where pictures are shown: redrawn in place in a terminal, one under the other elsewhere."""

    def __init__(self, console: Console) -> None:
        self.terminal = console.is_terminal
        self.colour = (console.is_terminal or console.color_system is not None) and not console.no_color
        self.width = console.width
        self.encoding = getattr(console.file, "encoding", None) or "utf-8"
        self.above = 0  # lines above the cursor that the next picture is drawn over

    def show(self, picture: Picture) -> None:
        """Shows the next picture of an episode."""
        from incentivize.envs.render import to_text  # and with it Gymnasium, which help does not need

        text = fitting(to_text(picture, self.colour), self.encoding) + "\n"
        if self.terminal:
            back = f"\r\x1b[{self.above}A" if self.above else ""
            text = back + "\x1b[J" + text
            self.above = text.count("\n")
        print(text, end="" if self.terminal else "\n", flush=True)

    def say(self, text: str, hint: bool = False) -> None:
        """One line below the picture: in a terminal until the next picture. Hints are for terminals alone."""
        if self.terminal:
            print(f"\r\x1b[K{text[: self.width - 1]}", end="", flush=True)
        elif not hint:
            print(text, flush=True)

    def leave(self, text: str) -> None:
        """The last line below an episode's pictures, which stay: what comes next comes below."""
        self.above = 0
        self.say(text)
        if self.terminal:
            print()


@contextlib.contextmanager
def key_presses() -> Iterator[Iterator[str]]:
    """Keys from standard input: as they are pressed in a terminal, otherwise all that is there but blanks."""
    if not is_terminal(sys.stdin):
        yield (key for line in sys.stdin or () for key in line if not key.isspace())
        return
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)

    def keys() -> Iterator[str]:
        while (pressed := os.read(number, 64).decode(errors="replace")) not in ("", END):
            for sequence, key in ARROWS.items():
                pressed = pressed.replace(sequence, key)
            yield from pressed

    try:
        tty.setcbreak(number, termios.TCSADRAIN)  # keeps what was typed ahead
        yield keys()
    except KeyboardInterrupt:
        print()  # what is said next has a line of its own
        raise
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
