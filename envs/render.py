"""Pictures: characters on a grid, each with two colours, for terminals, images and animations.

A family's `render` makes a blank `Picture` and writes on it; everything here works on NumPy arrays of one environment.
Images are drawn with Pillow in the DejaVu Sans Mono that matplotlib ships; neither is imported before it is needed.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

# Colours are numbers of the 256 that terminals agree on (xterm's cube from 16 on, its greys from 232 on).
PAPER, INK, FAINT, GRID, WALL = 231, 235, 242, 250, 240
BLUE, GREEN, ORANGE = 25, 22, 166
LEAF, SAND = 194, 229  # papers of a match and of a question
TILES = (153, 223, 151, 225, 180, 189)  # papers that tell six pieces apart

BOX = " ╵╶└╷│┌├╴┘─┴┐┤┬┼"  # lines, by which arms they have: north 1, east 2, south 4, west 8
CELL = (32, 16)  # pixels of a character: height, width
MARGIN = 24  # pixels around an image
CAPTION = 36  # the fewest characters that fit into a caption
FRAME, LAST = 700, 2500  # milliseconds of an animation's frames, and of the last one


@dataclass(frozen=True, eq=False)
class Picture:
    """A grid of H x W characters. `write`, `tile` and `paste` draw on it in place and refuse text that does not fit."""

    characters: np.ndarray  # <U1 [H, W]
    inks: np.ndarray  # uint8 [H, W]: the colours of the characters
    papers: np.ndarray  # uint8 [H, W]: the colours behind them

    @classmethod
    def blank(cls, height: int, width: int) -> "Picture":
        """Make an empty picture of so many characters."""
        shape = (height, width)
        return cls(np.full(shape, " "), np.full(shape, INK, np.uint8), np.full(shape, PAPER, np.uint8))

    def write(self, row: int, column: int, text: str, ink: int = INK, paper: int = PAPER) -> None:
        """Write one line of text from a place on.

        Raises:
            ValueError: if the text does not fit.
        """
        height, width = self.characters.shape
        if not (0 <= row < height and column >= 0 and column + len(text) <= width):
            raise ValueError(
                f"text = {text!r}, row = {row}, column = {column}: does not fit into {height} x {width}. "
                "Enlarge the picture."
            )
        place = row, slice(column, column + len(text))
        self.characters[place], self.inks[place], self.papers[place] = list(text), ink, paper

    def tile(self, cell: tuple[int, int], text: str, ink: int, paper: int) -> None:
        """Fill the cell (row, column) of a `lattice` that begins at the upper left."""
        self.write(2 * cell[0] + 1, 4 * cell[1] + 1, f"{text:^3}", ink, paper)

    def paste(self, row: int, column: int, picture: "Picture") -> None:
        """Copy a picture to a place, its upper left corner."""
        height, width = picture.characters.shape
        for whole, part in zip(vars(self).values(), vars(picture).values(), strict=True):
            whole[row : row + height, column : column + width] = part

    def captioned(self, text: str, ink: int = FAINT) -> "Picture":
        """Return a copy with a caption below, which is cut if it is too long."""
        height, width = self.characters.shape
        picture = Picture.blank(height + 2, max(width, CAPTION))
        picture.paste(0, 0, self)
        picture.write(height + 1, 0, f" {text}"[: max(width, CAPTION)], ink)
        return picture

    def titled(self, text: str) -> "Picture":
        """Return a copy with a title above, which is cut if it is too long."""
        height, width = self.characters.shape
        picture = Picture.blank(height + 2, width)
        picture.paste(2, 0, self)
        picture.write(0, 0, f" {text}"[:width])
        return picture


def tiled(pictures: Sequence[Picture], columns: int) -> Picture:
    """Join pictures of one size into one, with so many columns of them."""
    height, width = pictures[0].characters.shape
    columns = min(columns, len(pictures))
    joined = Picture.blank(-(-len(pictures) // columns) * (height + 1), columns * (width + 1))
    for place, picture in enumerate(pictures):
        joined.paste(place // columns * (height + 1), place % columns * (width + 1), picture)
    return joined


def lattice(over: np.ndarray, left: np.ndarray) -> list[str]:
    """Draw the walls of a grid in lines of text: a cell is three characters wide and one high.

    Args:
        over: bool [rows + 1, columns]: the walls to the north of every cell, then those south of the last row.
        left: bool [rows, columns + 1]: the walls to the west of every cell, then those east of the last column.

    Returns:
        2 * rows + 1 lines of 4 * columns + 1 characters.
    """
    rows, columns = left.shape[0], over.shape[1]
    characters = np.full((2 * rows + 1, 4 * columns + 1), " ")
    arms = (
        1 * np.pad(left, ((1, 0), (0, 0))),
        2 * np.pad(over, ((0, 0), (0, 1))),
        4 * np.pad(left, ((0, 1), (0, 0))),
        8 * np.pad(over, ((0, 0), (1, 0))),
    )
    characters[::2, ::4] = np.array(list(BOX))[sum(arms)]
    characters[1::2, ::4] = np.where(left, "│", " ")
    for shift in (1, 2, 3):
        characters[::2, shift::4] = np.where(over, "─", " ")
    return ["".join(line) for line in characters]


def to_text(picture: Picture, colour: bool = False) -> str:
    """Return the picture as lines of text, with ANSI codes for its colours if `colour`."""
    lines = []
    for characters, inks, papers in zip(picture.characters, picture.inks, picture.papers, strict=True):
        if not colour:
            lines.append("".join(characters).rstrip())
            continue
        line, before = "", None
        for character, *colours in zip(characters, inks, papers, strict=True):
            if colours != before:
                line += "\x1b[38;5;{};48;5;{}m".format(*colours)
            line, before = line + character, colours
        lines.append(line + "\x1b[0m")
    return "\n".join(lines)


def rgb(colour: int) -> tuple[int, int, int]:
    """Return red, green and blue of a colour's number from 16 on, by xterm's scheme (its file 256colres.pl)."""
    if colour >= 232:
        grey = 8 + 10 * (colour - 232)
        return grey, grey, grey
    levels = (0, 95, 135, 175, 215, 255)
    return levels[(colour - 16) // 36], levels[(colour - 16) // 6 % 6], levels[(colour - 16) % 6]


@functools.lru_cache(maxsize=1)
def _pen() -> tuple[Any, Any, Any]:
    """Import Pillow's `Image` and `ImageDraw`, and load the font."""
    try:
        from PIL import Image, ImageDraw, ImageFont

        data = _data_of_matplotlib()
    except ImportError as error:
        raise ImportError(
            f"images need Pillow and matplotlib, and {error.name} is not installed. Install it."
        ) from error
    path = data / "fonts" / "ttf" / "DejaVuSansMono.ttf"
    return Image, ImageDraw, ImageFont.truetype(str(path), 26)  # the height that makes a character one cell wide


def _data_of_matplotlib() -> Path:
    """Return matplotlib's data folder, if possible without the import, which fails with some values of MPLBACKEND."""
    spec = find_spec("matplotlib")
    folder = Path(spec.origin if spec and spec.origin else "").parent / "mpl-data"
    if folder.is_dir():
        return folder
    import matplotlib

    return Path(matplotlib.get_data_path())


def to_image(picture: Picture) -> np.ndarray:
    """Return the picture as an image, uint8 [height, width, 3].

    Raises:
        ImportError: if Pillow or matplotlib is missing.
    """
    image_of, draw_on, font = _pen()
    (rows, columns), (tall, wide) = picture.characters.shape, CELL
    image = image_of.new("RGB", (columns * wide + 2 * MARGIN, rows * tall + 2 * MARGIN), rgb(PAPER))
    draw = draw_on.Draw(image)
    for (row, column), character in np.ndenumerate(picture.characters):
        x, y = MARGIN + column * wide, MARGIN + row * tall
        ink, paper = rgb(int(picture.inks[row, column])), rgb(int(picture.papers[row, column]))
        draw.rectangle((x, y, x + wide - 1, y + tall - 1), paper)
        if character == " ":
            continue
        if character in BOX:  # no font is used for lines, so that they always join
            _lines(draw, x, y, BOX.index(character), ink)
        else:
            draw.text((x + wide / 2, y + 0.72 * tall), character, ink, font, anchor="ms")
    return np.array(image)


def _lines(draw: Any, x: int, y: int, arms: int, ink: tuple[int, int, int]) -> None:
    """Draw the arms of a box character, three pixels wide, from the middle of its cell to its edges."""
    (tall, wide), half = CELL, 1
    middle_x, middle_y = x + wide // 2, y + tall // 2
    ends = ((middle_x, y), (x + wide - 1, middle_y), (middle_x, y + tall - 1), (x, middle_y))
    for arm, (end_x, end_y) in enumerate(ends):
        if arms >> arm & 1:
            left, right = sorted((middle_x, end_x))
            top, bottom = sorted((middle_y, end_y))
            spread = (0, half) if end_y == middle_y else (half, 0)
            corners = (left - spread[0], top - spread[1], right + spread[0], bottom + spread[1])
            draw.rectangle(corners, ink)


def write_png(path: str | Path, picture: Picture) -> None:
    """Write the picture as an image file.

    Raises:
        ImportError: if Pillow or matplotlib is missing.
        OSError: if the file cannot be written.
    """
    _pen()[0].fromarray(to_image(picture)).save(path)


def write_gif(path: str | Path, pictures: Iterable[Picture]) -> None:
    """Write a looping animation, one frame a picture, with the last one held.

    Raises:
        ImportError: if Pillow or matplotlib is missing.
        OSError: if the file cannot be written.
    """
    frames: Sequence[Any] = [_pen()[0].fromarray(to_image(picture)) for picture in pictures]
    durations = [FRAME] * (len(frames) - 1) + [LAST]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, loop=0)
