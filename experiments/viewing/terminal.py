"""Pictures and keys in a terminal: drawn over each other, read as they are pressed; plain text and lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console

from incentivize.experiments.runtime.standard_streams import is_terminal

if TYPE_CHECKING:
    from incentivize.envs.render import Picture

ARROWS = {"\x1b[A": "w", "\x1b[C": "d", "\x1b[B": "s", "\x1b[D": "a"}  # as terminals send them, to the keys of a grid
END_OF_INPUT = "\x04"  # Ctrl-D


def transliterate(text: str, encoding: str) -> str:
    """Replace characters that an encoding lacks: box-drawing lines by -, | and +, others by ?."""
    from incentivize.envs.render import BOX

    if text.encode(encoding, "replace").decode(encoding) == text:
        return text
    lines = {sign: " |-+||++-+-+++++"[place] for place, sign in enumerate(BOX)}
    return text.translate(str.maketrans(lines)).encode(encoding, "replace").decode(encoding)


class Screen:
    """The place where pictures are shown: redrawn in place in a terminal, one below the other elsewhere."""

    def __init__(self, console: Console) -> None:
        self.terminal = console.is_terminal
        self.colour = (console.is_terminal or console.color_system is not None) and not console.no_color
        self.width = console.width
        self.encoding = getattr(console.file, "encoding", None) or "utf-8"
        self.above = 0  # lines above the cursor that the next picture is drawn over

    def show(self, picture: Picture) -> None:
        """Show the next picture of an episode."""
        from incentivize.envs.render import to_text  # imports Gymnasium, which help does not need

        text = transliterate(to_text(picture, self.colour), self.encoding) + "\n"
        if self.terminal:
            back = f"\r\x1b[{self.above}A" if self.above else ""
            text = back + "\x1b[J" + text
            self.above = text.count("\n")
        print(text, end="" if self.terminal else "\n", flush=True)

    def print_line(self, text: str, hint: bool = False) -> None:
        """Print a line below the picture, in a terminal until the next picture; print hints only in a terminal."""
        if self.terminal:
            print(f"\r\x1b[K{text[: self.width - 1]}", end="", flush=True)
        elif not hint:
            print(text, flush=True)

    def leave(self, text: str) -> None:
        """Print the last line of an episode; later output goes below, and the picture stays."""
        self.above = 0
        self.print_line(text)
        if self.terminal:
            print()


@contextlib.contextmanager
def key_presses() -> Iterator[Iterator[str]]:
    """Read keys from standard input: in a terminal as they are pressed, otherwise all characters except white space."""
    if not is_terminal(sys.stdin):
        yield (key for line in sys.stdin or () for key in line if not key.isspace())
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def keys() -> Iterator[str]:
        while (pressed := os.read(descriptor, 64).decode(errors="replace")) not in ("", END_OF_INPUT):
            for sequence, key in ARROWS.items():
                pressed = pressed.replace(sequence, key)
            yield from pressed

    try:
        tty.setcbreak(descriptor, termios.TCSADRAIN)  # keeps what was typed ahead
        yield keys()
    except KeyboardInterrupt:
        print()  # so that the next output has a line of its own
        raise
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
