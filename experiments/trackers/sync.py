"""Trackers: a run's rows, figure and verdicts, shown where other experiments are. Does not import jax.

A tracker copies what the run directory says, and nothing depends on it: `incentivize run ... --tracker NAME` changes no
setting and no row. It writes to `DIR/trackers/NAME`, where `written.json` says what has been written: every training
run once, and again only where its rows are others.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from incentivize.experiments.errors import Stopped, escape_control_characters, explain
from incentivize.experiments.runtime import signals
from incentivize.experiments.storage.io import MAX_ROWS_BYTES, read_bounded, write_atomic
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.trackers.record import TrackerRun, run_of_study, runs_of_cells
from incentivize.experiments.trackers.registry import Tracker, load_tracker


class TrackerSync:
    """Has a tracker write what a run directory says, as far as it has not been written."""

    def __init__(self, name: str | None, store: RunDirectory) -> None:
        """Follow nothing where the name is None."""
        self.name, self.store = name, store
        self.folder = store.path / "trackers" / (name or "")
        self.tracker: Tracker | None = None
        self.off = name is None

    def on_cells_finished(self) -> None:
        """Training runs have been finished: those are written whose rows will not change any more."""
        self._attempt(lambda: self._write(lambda: runs_of_cells(self.store, whole=False)))

    def on_study_finished(self) -> None:
        """The study is finished: all is written."""
        self._attempt(lambda: self._write(lambda: [*runs_of_cells(self.store, whole=True), *run_of_study(self.store)]))

    def close(self) -> None:
        """Close the tracker, if there is one."""
        if (tracker := self.tracker) is not None:
            self._attempt(tracker.close)

    def _attempt(self, act: Callable[[], None]) -> None:
        """Whatever goes wrong is said once, and then nothing more is written."""
        try:
            act()
        except Stopped:
            raise
        except (Exception, SystemExit) as error:
            if not self.off:
                why = (explain(error).strip() or type(error).__name__).splitlines()[0]
                text = f"warning: --tracker {self.name}: {why}; the study goes on without it"
                print(escape_control_characters(text), file=sys.stderr)
            self.off = True

    def _write(self, find: Callable[[], list[TrackerRun]]) -> None:
        if self.off:
            return
        path = self.folder / "written.json"
        written = _written(path)
        for record in find():
            if written.get(record.name) == record.digest:
                continue
            if signals.stop_requested.is_set():
                return  # the next time
            if self.tracker is None:
                assert self.name is not None
                self.folder.mkdir(parents=True, exist_ok=True)
                self.tracker = load_tracker(self.name)(self.folder)
            self.tracker.write(record)
            written[record.name] = record.digest
            write_atomic(path, json.dumps(written, indent=1) + "\n")


def _written(path: Path) -> dict[str, str]:
    """Digests by the name of a record; empty where nothing has been written or nobody can read what."""
    try:
        return dict(json.loads(read_bounded(path, MAX_ROWS_BYTES)))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


@contextmanager
def open_tracker(name: str | None, store: RunDirectory) -> Iterator[TrackerSync]:
    """A follower, closed however the block ends."""
    follower = TrackerSync(name, store)
    try:
        yield follower
    finally:
        follower.close()
