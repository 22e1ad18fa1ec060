"""Files that agents start from, as settings and run directories name them: by path and content. Does not import jax."""

import re
from collections.abc import Iterable
from pathlib import Path

from incentivize.experiments.cells import Cell
from incentivize.experiments.errors import InputError
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.run_directory import RunDirectory


def parse_start_from(start_from: str) -> tuple[Path, str | None]:
    """Return the path of a file that agents start from and, where it is noted, the digest of its content."""
    match = re.fullmatch(r"(.*)#sha256=([0-9a-f]{16})", start_from, re.DOTALL)
    return (Path(match[1]), match[2]) if match else (Path(start_from), None)


def with_recorded_paths(there: Settings, settings: Settings) -> Settings:
    """Return settings with paths as those of a run have them, where agents start from the same content."""
    training = dict(settings.training)
    for family in training.keys() & there.training.keys():
        noted = there.training[family].start_from
        digest = parse_start_from(noted)[1]
        if digest and parse_start_from(training[family].start_from)[1] == digest:
            training[family] = training[family].model_copy(update={"start_from": noted})
    return settings.model_copy(update={"training": training})


def recall_start_files(settings: Settings, out: Path) -> tuple[Settings, frozenset[str]]:
    """Find what a run directory has noted of files that agents started from and that are gone.

    So a run that needs them no more can be known again.

    Args:
        settings: of the command.
        out: the run directory, which need not be there.

    Returns:
        The settings, with the digests of such files, and the families whose agents started from them.
    """
    if not any(one.start_from for one in settings.training.values()) or not (out / "config.toml").is_file():
        return settings, frozenset()
    there, training, gone = RunDirectory(out).settings().training, dict(settings.training), set()
    for family in settings.training.keys() & there.keys():
        (path, digest), (known, noted) = (parse_start_from(one[family].start_from) for one in (training, there))
        same = digest == noted if digest else path.absolute() == known.absolute()
        if noted and same and not path.exists():
            pinned = {"start_from": f"{path}#sha256={noted}"}
            training[family] = training[family].model_copy(update=pinned)
            gone.add(family)
    return settings.model_copy(update={"training": training}), frozenset(gone)


def check_start_files(cells: Iterable[Cell]) -> None:
    """Refuse to train without the files that agents start from.

    Raises:
        SettingsError: which of them is gone.
    """
    for start in dict.fromkeys(cell.training.start_from for cell in cells if cell.training.start_from):
        path = parse_start_from(start)[0]
        if not path.is_file():
            raise InputError(
                f"start_from = {str(path)!r}: there is no such file any more, and training runs that are missing start "
                "from it; put it back, or say with --start-from where it is now"
            )
