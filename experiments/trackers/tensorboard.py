"""The tracker TensorBoard: a folder of event files for each record, written by tensorboardX."""

import io
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2

from incentivize.experiments.trackers.record import TrackerRun


class TensorBoard:
    """A writer of event files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, record: TrackerRun) -> None:
        """Write a record, replacing an earlier one of the same name."""
        folder = self.folder / record.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        # Not a SummaryWriter: on a full disk its thread dies silently.
        writer = EventsWriter(str(folder / "events"))
        try:
            for step, scalars in record.points.items():
                for tag, value in scalars.items():
                    _add(writer, summary.scalar(tag, value), step)
            config = [{"setting": key, "value": value} for key, value in record.config.items()]
            for title, rows in ({"config": config} | record.tables).items():
                _add(writer, summary.text(title, _markdown(rows)), 0)
            for title, png in record.images.items():
                pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
                _add(writer, summary.image(title, pixels, dataformats="HWC"), 0)
        finally:
            writer.close()

    def close(self) -> None:
        """Do nothing: no file stays open."""


def _add(writer: EventsWriter, value: Any, step: int) -> None:
    event = event_pb2.Event(wall_time=time.time(), step=step, summary=value)  # pyright: ignore[reportAttributeAccessIssue]
    writer.write_event(event)


def _markdown(rows: list[dict[str, Any]]) -> str:
    """Format rows with the same keys as a Markdown table."""

    def line(cells: Iterable[Any]) -> str:
        texts = ("" if cell is None else str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
        return f"| {' | '.join(texts)} |"

    keys = list(rows[0]) if rows else []
    return "\n".join([line(keys), line("---" for _ in keys), *(line(row.values()) for row in rows)])
