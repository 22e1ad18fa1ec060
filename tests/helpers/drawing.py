"""Reports without their pictures: for tests of the files that a report reads, writes and refuses."""

import pytest

from incentivize.experiments.storage.io import write_atomic
from incentivize.experiments.studies import task_count
from incentivize.experiments.viewing.replays import Replay


def leave_out_pictures(patch: pytest.MonkeyPatch) -> None:
    """Replace the drawing of reports on `task-count`; results and parameters are still read, judged and played."""
    patch.setattr(task_count, "draw_task_count", lambda *_: (None, []))
    patch.setattr("incentivize.experiments.reporting.report.plotly_panels", lambda _: [])
    patch.setattr("incentivize.experiments.reporting.heatmap.heat_map", lambda *_: None)
    patch.setattr("incentivize.experiments.viewing.replays._replay", _unseen)
    patch.setattr(
        "incentivize.experiments.presentation.charts.save",
        lambda *given: write_atomic(given[2] / f"{given[3]}.png", b"drawn"),
    )


def _unseen(family: object, player: str, episode: object) -> Replay:
    """Return a replay without moments."""
    return Replay(player, (), (), False, ())
