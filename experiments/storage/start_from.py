"""Start files: parameter files from which agents start, named by path and content. Does not import jax."""

import re
from collections.abc import Iterable
from pathlib import Path

from incentivize.experiments.cells import Cell
from incentivize.experiments.errors import InputError
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.run_directory import RunDirectory


def parse_start_from(start_from: str) -> tuple[Path, str | None]:
    """Return the path of a start file, and the digest of its content where the setting has one."""
    match = re.fullmatch(r"(.*)#sha256=([0-9a-f]{16})", start_from, re.DOTALL)
    return (Path(match[1]), match[2]) if match else (Path(start_from), None)


def with_recorded_paths(recorded: Settings, settings: Settings) -> Settings:
    """Return settings with the paths of a run's recorded settings for start files of the same content."""
    training = dict(settings.training)
    for family in training.keys() & recorded.training.keys():
        start_from = recorded.training[family].start_from
        digest = parse_start_from(start_from)[1]
        if digest and parse_start_from(training[family].start_from)[1] == digest:
            training[family] = training[family].model_copy(update={"start_from": start_from})
    return settings.model_copy(update={"training": training})


def recall_start_files(settings: Settings, out: Path) -> tuple[Settings, frozenset[str]]:
    """Add the digests that a run directory has recorded of start files that no longer exist.

    So a finished run is recognised without the files.

    Args:
        settings: settings of the command.
        out: the run directory; it need not exist.

    Returns:
        The settings with these digests, and the families of such start files.
    """
    uses_start_files = any(values.start_from for values in settings.training.values())
    if not uses_start_files or not (out / "config.toml").is_file():
        return settings, frozenset()
    recorded, training, missing = RunDirectory(out).settings().training, dict(settings.training), set()
    for family in settings.training.keys() & recorded.keys():
        path, digest = parse_start_from(training[family].start_from)
        recorded_path, recorded_digest = parse_start_from(recorded[family].start_from)
        same = digest == recorded_digest if digest else path.absolute() == recorded_path.absolute()
        if recorded_digest and same and not path.exists():
            pinned = {"start_from": f"{path}#sha256={recorded_digest}"}
            training[family] = training[family].model_copy(update=pinned)
            missing.add(family)
    return settings.model_copy(update={"training": training}), frozenset(missing)


def check_start_files(cells: Iterable[Cell]) -> None:
    """Refuse to train cells whose start file is missing.

    Raises:
        InputError: if a start file is missing; the message names it.
    """
    for start in dict.fromkeys(cell.training.start_from for cell in cells if cell.training.start_from):
        path = parse_start_from(start)[0]
        if not path.is_file():
            raise InputError(
                f"start_from = {str(path)!r}: the file no longer exists, and cells that are still to train start "
                "from it. Put it back, or give its new place with --start-from."
            )
