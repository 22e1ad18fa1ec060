"""A terminal to play in: pictures drawn over each other, keys read as they are pressed; plain text where it is none."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console

from incentivize.experiments.runtime.streams import is_terminal

if TYPE_CHECKING:
    from incentivize.envs.render import Picture

ARROWS = {"\x1b[A": "w", "\x1b[C": "d", "\x1b[B": "s", "\x1b[D": "a"}  # as terminals send them, for families that walk
END = "\x04"  # control and d


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
        """Show the next picture of an episode."""
        from incentivize.envs.render import to_text  # and with it Gymnasium, which help does not need

        text = fitting(to_text(picture, self.colour), self.encoding) + "\n"
        if self.terminal:
            back = f"\r\x1b[{self.above}A" if self.above else ""
            text = back + "\x1b[J" + text
            self.above = text.count("\n")
        print(text, end="" if self.terminal else "\n", flush=True)

    def print_line(self, text: str, hint: bool = False) -> None:
        """One line below the picture: in a terminal until the next picture. Hints are for terminals alone."""
        if self.terminal:
            print(f"\r\x1b[K{text[: self.width - 1]}", end="", flush=True)
        elif not hint:
            print(text, flush=True)

    def leave(self, text: str) -> None:
        """The last line below an episode's pictures, which stay: what comes next comes below."""
        self.above = 0
        self.print_line(text)
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
