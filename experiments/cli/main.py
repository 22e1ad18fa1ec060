"""The command `incentivize`. Nothing here imports jax before a command needs it: help has to appear at once."""

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

from incentivize.experiments.cli.arguments import check_arguments, expand_home
from incentivize.experiments.cli.commands import COMMANDS
from incentivize.experiments.cli.console import console_for, reader_has_gone
from incentivize.experiments.cli.docstrings import docstring
from incentivize.experiments.cli.result import CommandResult
from incentivize.experiments.errors import STOPPED_STATUS as STOPPED
from incentivize.experiments.errors import InputError, Stopped, did_you_mean, escape_control_characters, explain
from incentivize.experiments.runtime.streams import (
    discard_output,
    set_up_streams,
    supports_colour,
    tolerate_broken_streams,
)

DONE, FAILED, BAD_INPUT = 0, 1, 2
UNREAD = 128 + signal.SIGPIPE  # what a shell says of a program whose reader has ended
DESCRIPTION = "Train one agent on very many generated tasks with a sparse reward, and compare it with specialists."


def main(args: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 failed, 2 bad input, 75 stopped and resumable."""
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
    """The command line as a command.

    Raises:
        SettingsError: where it will not do.
        SystemExit: from the parser, for help, and for whatever passed here and not there.
    """
    if not args:
        raise InputError(f"incentivize: want one of {', '.join(COMMANDS)}; `incentivize --help` says what they do")
    if args[0] not in (*COMMANDS, "-h", "--help"):
        raise InputError(f"incentivize {args[0]}: there is no such command; {did_you_mean(args[0], COMMANDS)}")
    if args[0] in COMMANDS:
        check_arguments(args[0], COMMANDS.load(args[0]), args[1:])
        args = [args[0], *expand_home(args[1:])]
    # By itself it knows no NO_COLOR, and asks standard output whether standard error is a terminal.
    tyro._experimental_options["ansi_codes"] = supports_colour(sys.stderr)
    kinds = {name: COMMANDS.load(name) for name in COMMANDS}
    told = {name: tyro.conf.subcommand(name, description=docstring(kind)) for name, kind in kinds.items()}
    every: Any = reduce(or_, (Annotated[kind, told[name]] for name, kind in kinds.items()))
    return tyro.cli(every, prog="incentivize", description=DESCRIPTION, args=args)


def dispatch(command: Any) -> int:
    """Do what a command says; whatever goes wrong is a sentence and an exit status.

    With `--json` standard output gets one document and nothing else: words go to standard error, and where something
    goes wrong, the document says so.
    """
    as_json = getattr(command.common, "json", False)
    try:
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            result: CommandResult = command.execute(console_for())
        document, status = result
    except (KeyboardInterrupt, Stopped):
        text = "stopped; the same command goes on where it was" if command.RESUMES else "stopped"
        document, status = _report_error(text, STOPPED), STOPPED
    except (Exception, SystemExit) as error:  # SystemExit: of another package's code
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
    """Say a sentence, and gives it back as `--json` has it."""
    with tolerate_broken_streams():  # or a terminal that is gone would decide over the exit status
        console_for(stderr=True).print(escape_control_characters(text), markup=False, highlight=False, soft_wrap=True)
    return {"error": text, "status": status}


def _interrupt_once(*_: object) -> None:
    """Interrupt once: an impatient second signal must not disturb the clearing up."""
    for polite in (signal.SIGINT, signal.SIGTERM):
        signal.signal(polite, signal.SIG_IGN)
    raise KeyboardInterrupt


def entry() -> None:
    """The console script."""
    for polite in (signal.SIGINT, signal.SIGTERM):
        signal.signal(polite, _interrupt_once)
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"  # a sentence, without lines of code
    set_up_streams()
    os.environ["MPLBACKEND"] = "agg"  # a notebook hands its own on, which need not be installed here
    status = DONE
    try:
        try:
            status = main()
        except SystemExit as end:  # the parser's, which has printed help or what is wrong
            status = int(end.code or DONE)
        sys.stdout.flush()
    except OSError as error:  # as of `| head`, or a full disk; what is left to be written goes nowhere
        if isinstance(error, BrokenPipeError):
            status = UNREAD
        elif not status:
            status = _report_error(f"standard output: {explain(error)}", FAILED)["status"]
        discard_output(sys.stdout)
    # XLA may still be compiling in its threads, and crashes where the interpreter winds up first; and of several
    # processes each would wait for all others, which wait for this one.
    if status == STOPPED or (status and "jax" in sys.modules and sys.modules["jax"].distributed.is_initialized()):
        gc.collect()  # gives back what the workers' queues held in the system
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
