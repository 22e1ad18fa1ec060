"""Scripts that complete `incentivize` in a shell: made by shtab from the commands, and the names that may follow."""

import argparse
from pathlib import Path

import shtab

from incentivize.experiments.cli.arguments import Argument, arguments_of
from incentivize.experiments.cli.choices import CHOICES
from incentivize.experiments.cli.commands import COMMANDS
from incentivize.experiments.cli.docstrings import docstring


def completion_script(shell: str) -> str:
    """The script for one of the shells of `known.SHELLS`."""
    return shtab.complete(parser(), shell=shell)


def parser() -> argparse.ArgumentParser:
    """The commands as argparse has them, with every name that is known by now. It is never used to parse."""
    top = argparse.ArgumentParser(prog="incentivize")
    commands = top.add_subparsers()
    for name in COMMANDS:
        kind = COMMANDS.load(name)
        told = docstring(kind).partition("\n")[0].replace("%", "%%")
        command = commands.add_parser(name, help=told, description=told)
        for word in arguments_of(kind):
            _add(command, word)
    return top


def _add(command: argparse.ArgumentParser, word: Argument) -> None:
    told = word.help.replace("%", "%%") or word.name.lstrip("-")
    if not word.value:
        command.add_argument(word.name, action="store_true", help=told)
        return
    action = command.add_argument(word.name, nargs="*" if word.takes_several else None, help=told, metavar=word.value)
    if (name := word.name.lstrip("-")) in CHOICES:
        action.choices = list(CHOICES[name]())
    elif Path in word.kinds:
        action.complete = shtab.DIRECTORY if word.value.startswith("DIR") else shtab.FILE  # pyright: ignore[reportAttributeAccessIssue]
