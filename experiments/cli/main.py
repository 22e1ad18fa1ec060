"""The program `incentivize`. Nothing here imports jax before a command needs it: help must appear at once."""

import gc
import json
import os
import signal
import sys
import traceback
import warnings
from contextlib import nullcontext, redirect_stdout
from functools import reduce
from operator import or_
from typing import Annotated, Any

import tyro

from incentivize.envs.registry import LoadError
from incentivize.experiments.cli.arguments import check_arguments, expand_home
from incentivize.experiments.cli.commands import COMMANDS
from incentivize.experiments.cli.console import console_for, reader_has_gone
from incentivize.experiments.cli.docstrings import docstring
from incentivize.experiments.cli.result import CommandResult
from incentivize.experiments.errors import STOPPED_STATUS as STOPPED
from incentivize.experiments.errors import InputError, Stopped, did_you_mean, escape_control_characters, explain
from incentivize.experiments.runtime.signals import SIGNALS, interrupt_once
from incentivize.experiments.runtime.standard_streams import (
    discard_output,
    set_up_streams,
    supports_colour,
    tolerate_broken_streams,
)

DONE, FAILED, BAD_INPUT = 0, 1, 2
UNREAD = 128 + signal.SIGPIPE  # exit status that a shell reports for a program whose reader has exited
DESCRIPTION = "Train one agent on very many generated tasks with a sparse reward, and compare it with specialists."


def main(args: list[str] | None = None) -> int:
    """Run a command line, and return the exit status: 0 done, 1 failed, 2 bad input, 75 stopped and resumable."""
    args = sys.argv[1:] if args is None else args
    try:
        command = _parse(args)
    except InputError as error:
        document = _report_error(str(error), BAD_INPUT)
        if "--json" in args:
            print(json.dumps(document, indent=1))
        return BAD_INPUT
    return dispatch(command)


def _parse(args: list[str]) -> Any:
    """Parse a command line into a command.

    Raises:
        InputError: if an argument is wrong.
        SystemExit: from the parser, for help, and for errors that only the parser finds.
    """
    if not args:
        raise InputError(f"incentivize: COMMAND is missing. Give one of {', '.join(COMMANDS)}.")
    if args[0] not in (*COMMANDS, "-h", "--help"):
        raise InputError(f"incentivize {args[0]}: there is no such command. {did_you_mean(args[0], COMMANDS)}")
    kinds = _command_types(args[0])
    if args[0] in kinds:
        check_arguments(args[0], kinds[args[0]], args[1:])
        args = [args[0], *expand_home(args[1:])]
    # tyro ignores NO_COLOR, and looks at standard output to find out whether standard error is a terminal.
    tyro._experimental_options["ansi_codes"] = supports_colour(sys.stderr)
    subcommands = (
        Annotated[kind, tyro.conf.subcommand(name, description=docstring(kind))] for name, kind in kinds.items()
    )
    any_command: Any = reduce(or_, subcommands)
    return tyro.cli(any_command, prog="incentivize", description=DESCRIPTION, args=args)


def _command_types(asked: str) -> dict[str, Any]:
    """Return the class of every command by name, with a warning in place of those that cannot be imported.

    Raises:
        InputError: if the command `asked` cannot be imported.
    """
    kinds = {}
    for name in COMMANDS:
        try:
            kinds[name] = COMMANDS.load(name)
        except LoadError as error:
            if name == asked:
                raise InputError(str(error)) from error
            warnings.warn(str(error), stacklevel=2)
    return kinds


def dispatch(command: Any) -> int:
    """Execute a command, and return the exit status. Errors are printed as a sentence.

    With `--json` standard output gets one document and nothing else: messages go to standard error, and after an error
    the document holds the error.
    """
    as_json = getattr(command.common, "json", False)
    try:
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            result: CommandResult = command.execute(console_for())
        document, status = result
    except (KeyboardInterrupt, Stopped):
        text = "stopped; the same command resumes where it stopped" if command.RESUMES else "stopped"
        document, status = _report_error(text, STOPPED), STOPPED
    except (Exception, SystemExit) as error:  # SystemExit: raised by code of another package
        if reader_has_gone(error):
            raise
        bad = isinstance(error, InputError)
        status = BAD_INPUT if bad else FAILED
        document = _report_error(str(error) if bad else f"failed: {explain(error)}", status)
        if command.common.debug:
            traceback.print_exc()
    if as_json:
        print(json.dumps(document, indent=1))
    return status


def _report_error(text: str, status: int) -> dict[str, Any]:
    """Print an error to standard error, and return it as the document of `--json`."""
    with tolerate_broken_streams():  # so that a terminal that is gone does not change the exit status
        console_for(stderr=True).print(escape_control_characters(text), markup=False, highlight=False, soft_wrap=True)
    return {"error": text, "status": status}


def entry() -> None:
    """Run the console script `incentivize`."""
    for number in SIGNALS:
        signal.signal(number, interrupt_once)
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"  # without the line of code
    set_up_streams()
    os.environ["MPLBACKEND"] = "agg"  # a notebook passes on its own backend, which need not be installed here
    status = DONE
    try:
        try:
            status = main()
        except SystemExit as end:  # from the parser, which has printed help or an error
            status = int(end.code or DONE)
        sys.stdout.flush()
    except OSError as error:  # `| head`, or a full disk; the rest of the output is discarded
        if isinstance(error, BrokenPipeError):
            status = UNREAD
        elif not status:
            status = _report_error(f"standard output: {explain(error)}", FAILED)["status"]
        discard_output(sys.stdout)
    # XLA may still be compiling in its threads, and crashes where the interpreter finalises first. Of several
    # distributed processes, each would wait at exit for all others.
    if status == STOPPED or (status and "jax" in sys.modules and sys.modules["jax"].distributed.is_initialized()):
        gc.collect()  # releases the semaphores of the workers' queues
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
