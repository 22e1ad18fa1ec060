"""The code blocks of the README and of the pages in docs/."""

import re
import shlex
from functools import cache
from itertools import takewhile
from typing import NamedTuple

from markdown_it import MarkdownIt

from tests.helpers.paths import ROOT

FILES = [file.relative_to(ROOT).as_posix() for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))]


class Block(NamedTuple):
    """A code block, and the file that it is said to be, if any."""

    language: str
    text: str
    file: str


@cache
def blocks(name: str) -> tuple[Block, ...]:
    """Return the code blocks of a file."""
    found, before = [], ""
    for token in MarkdownIt("commonmark").parse((ROOT / name).read_text(encoding="utf-8")):
        if token.type == "fence":
            said = re.search(r"`([\w.-]+\.\w+)`[^`]*:$", before)
            found.append(Block(token.info.strip(), token.content, said[1] if said else ""))
        elif token.type == "inline":
            before = token.content
    return tuple(found)


THEIRS = "pip install ./examples/"  # blocks with this command need another package, and `test_examples` runs them


def commands(name: str, theirs: bool = False) -> list[list[str]]:
    """Return the commands of a file in order, each as its words, up to a pipe or a redirection."""
    mine = [block for block in blocks(name) if block.language == "bash" and (THEIRS in block.text) == theirs]
    texts = [block.text.replace("\\\n", " ") for block in mine]
    lines = [shlex.split(line, comments=True) for text in texts for line in text.splitlines()]
    return [list(takewhile(lambda word: word not in ("|", ">"), words)) for words in lines if words]
