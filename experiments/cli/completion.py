"""Completion of `incentivize` in a shell: scripts that shtab makes from the commands and their choices."""

import argparse
from pathlib import Path

import shtab

from incentivize.experiments.cli.arguments import Argument, arguments_of
from incentivize.experiments.cli.choices import CHOICES
from incentivize.experiments.cli.commands import COMMANDS
from incentivize.experiments.cli.docstrings import docstring


def completion_script(shell: str) -> str:
    """Return the script for one of `choices.SHELLS`."""
    return shtab.complete(parser(), shell=shell)


def parser() -> argparse.ArgumentParser:
    """Return the commands as an argparse parser with all present choices. It is never used to parse."""
    top = argparse.ArgumentParser(prog="incentivize")
    commands = top.add_subparsers()
    for name in COMMANDS:
        kind = COMMANDS.load(name)
        description = docstring(kind).partition("\n")[0].replace("%", "%%")
        command = commands.add_parser(name, help=description, description=description)
        for argument in arguments_of(kind):
            _add(command, argument)
    return top


def _add(command: argparse.ArgumentParser, argument: Argument) -> None:
    """Add an argument to the parser of a command."""
    name = argument.name.lstrip("-")
    help_text = argument.help.replace("%", "%%") or name
    if not argument.value:
        command.add_argument(argument.name, action="store_true", help=help_text)
        return
    nargs = "*" if argument.takes_several else None
    action = command.add_argument(argument.name, nargs=nargs, help=help_text, metavar=argument.value)
    if name in CHOICES:
        action.choices = list(CHOICES[name]())
    elif Path in argument.kinds:
        kind = shtab.DIRECTORY if argument.value.startswith("DIR") else shtab.FILE
        action.complete = kind  # pyright: ignore[reportAttributeAccessIssue]
