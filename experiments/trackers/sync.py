"""The copying of a run directory to a tracker. Does not import jax.

Nothing depends on the copy: `incentivize run ... --tracker NAME` changes no setting and no row. The tracker writes to
`DIR/trackers/NAME`, where `written.json` lists its records. Each is written once, and again when its rows change.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from incentivize.experiments.errors import Stopped, escape_control_characters, explain
from incentivize.experiments.runtime import signals
from incentivize.experiments.storage.io import MAX_ROWS_BYTES, read_bounded, write_atomic
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.trackers.record import TrackerRun, run_of_study, runs_of_cells
from incentivize.experiments.trackers.registry import Tracker, load_tracker


class TrackerSync:
    """A tracker, kept up to date with a run directory."""

    def __init__(self, name: str | None, directory: RunDirectory) -> None:
        """Load no tracker yet, and never one where the name is None."""
        self.name, self.directory = name, directory
        self.folder = directory.path / "trackers" / (name or "")
        self.tracker: Tracker | None = None
        self.off = name is None

    def on_cells_finished(self) -> None:
        """Write the cells whose rows are final."""
        self._attempt(self._write, lambda: runs_of_cells(self.directory, include_unscored=False))

    def on_study_finished(self) -> None:
        """Write all cells, the figure and the verdicts."""
        self._attempt(
            self._write, lambda: [*runs_of_cells(self.directory, include_unscored=True), *run_of_study(self.directory)]
        )

    def close(self) -> None:
        """Close the tracker if it was opened."""
        if (tracker := self.tracker) is not None:
            self._attempt(tracker.close)

    def _attempt(self, act: Callable[..., None], *arguments: Any) -> None:
        """Call a tracker; on its first failure print a warning, and write nothing more."""
        try:
            act(*arguments)
        except Stopped:
            raise
        except (Exception, SystemExit) as error:
            if not self.off:
                reason = (explain(error).strip() or type(error).__name__).splitlines()[0]
                warning = f"warning: --tracker = {self.name!r}: {reason.rstrip('.')}. The study goes on without it."
                print(escape_control_characters(warning), file=sys.stderr)
            self.off = True

    def _write(self, make_records: Callable[[], list[TrackerRun]]) -> None:
        """Write those records that are new or have changed."""
        if self.off:
            return
        path = self.folder / "written.json"
        digests = _read_digests(path)
        for record in make_records():
            if digests.get(record.name) == record.digest:
                continue
            if signals.stop_requested.is_set():
                return  # the same command writes the rest
            if self.tracker is None:
                assert self.name is not None
                self.folder.mkdir(parents=True, exist_ok=True)
                self.tracker = load_tracker(self.name)(self.folder)
            self.tracker.write(record)
            digests[record.name] = record.digest
            write_atomic(path, json.dumps(digests, indent=1) + "\n")


def _read_digests(path: Path) -> dict[str, str]:
    """Return the digests of written records by name; empty without a readable file, so that all are written again."""
    try:
        return dict(json.loads(read_bounded(path, MAX_ROWS_BYTES)))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


@contextmanager
def open_tracker(name: str | None, directory: RunDirectory) -> Iterator[TrackerSync]:
    """Open a tracker for a run directory, and close it however the block ends."""
    sync = TrackerSync(name, directory)
    try:
        yield sync
    finally:
        sync.close()
