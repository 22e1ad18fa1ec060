"""`incentivize report`."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console

from incentivize.experiments.cli.commands import Report
from incentivize.experiments.cli.options import keep_programs
from incentivize.experiments.cli.result import Answer
from incentivize.experiments.runtime.ambient import enter
from incentivize.experiments.settings.schema import SettingsError


def act(command: Report, console: Console) -> Answer:
    """Reports on run directories, one after the other, and on several a scoreboard too."""
    enter()
    keep_programs()
    from incentivize.experiments.reporting.report import report
    from incentivize.experiments.reporting.scoreboard import scoreboard
    from incentivize.experiments.storage.ownership import alone
    from incentivize.experiments.storage.run_directory import Store

    _check(command)
    claims: list[dict[str, Any]] = []
    pages: list[Path] = []
    for path in command.runs:
        store = Store(path)
        store.enclosed()
        store.settings()  # or else there is no run to keep others from
        out = command.out or path
        target = Store(out / path.resolve().name if command.out and len(command.runs) > 1 else out)
        run = (target.path / "config.toml").exists()
        if run and command.out:
            target.enclosed()
        with alone(target) if run else nullcontext():
            claims += [claim | {"run": path.resolve().name} for claim in report(store, console, target.path)]
        pages.append(target.path / "report.html")
    if len(command.runs) > 1:
        scoreboard(claims, console, command.out)
    return Answer({"reports": list(map(str, pages)), "claims": claims})


def _check(command: Report) -> None:
    """Refuses directories that will not do."""
    for path in command.runs:
        if not path.is_dir():
            raise SettingsError(f"{path}: there is no such run directory")
    if command.out and command.out.exists() and not command.out.is_dir():
        raise SettingsError(f"--out {command.out}: is not a directory")
    names = [path.resolve().name for path in command.runs]
    if command.out and len(set(names)) < len(names):
        raise SettingsError(
            f"--out {command.out}: runs of the same name would overwrite each other ({', '.join(names)})"
        )
