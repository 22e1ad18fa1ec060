"""Records that trackers write, one for each cell and one for the study, made from a run directory alone."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from incentivize.experiments.errors import escape_control_characters
from incentivize.experiments.storage.io import MAX_ROWS_BYTES, read_bounded
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.storage.schema import Row

MEASURES = ("success", "score", "success_greedy", "success_best", "path", "log_likelihood")
CONFIG_KEYS = (
    "study", "family", "variant", "control", "learner", "teacher", "reward", "network", "n_params", "pool_size",
    "pool_seed", "seed", "role", "cell",
)  # fmt: skip
VERDICT_KEYS = ("verdict", "family", "claim", "effect", "low", "high", "n", "reason")


@dataclass(frozen=True)
class TrackerRun:
    """The record of a cell or of the study, which a tracker shows as one run.

    Attributes:
        name: unique within the run directory; its parts are joined by "/".
        group: the name of the run directory.
        config: settings, in values that JSON has.
        points: scalars by tag, such as "success/unseen", by number of environment steps, in rising order.
        tables: rows by title; the rows of a table have the same keys.
        images: contents of PNG files by title.
    """

    name: str
    group: str
    config: dict[str, Any]
    points: dict[int, dict[str, float]] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    images: dict[str, bytes] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The SHA-256 hash of the whole record, in hexadecimal."""
        content = asdict(self) | {
            "images": {title: hashlib.sha256(png).hexdigest() for title, png in self.images.items()}
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def runs_of_cells(directory: RunDirectory, include_unscored: bool) -> list[TrackerRun]:
    """Make a record of every cell that has rows, for every role that it has in the study.

    Args:
        directory: the run directory.
        include_unscored: whether to include cells without scores, as the blind level of their family is not measured.
    """
    levels = directory.meta().get("blind", {})
    rows_by_role: dict[tuple[str, str], list[Row]] = {}
    for row in directory.rows():
        if row["role"] not in ("uniform", "scripted"):
            rows_by_role.setdefault((row["cell"], row["role"]), []).append(row)
    group = escape_control_characters(directory.path.resolve().name)
    return [
        _run_of_role(rows, group)
        for rows in rows_by_role.values()
        if include_unscored or all(levels.get(row["family"]) is not None for row in rows)
    ]


def _run_of_role(rows: Sequence[Row], group: str) -> TrackerRun:
    """Make the record of one cell in one role."""
    first = rows[0]
    families = list(dict.fromkeys(row["family"] for row in rows))
    config = {key: first.get(key) for key in CONFIG_KEYS} | {"family": "+".join(families)}
    pool = "new" if first["pool_size"] is None else first["pool_size"]
    parts = (config["family"], first["role"], f"pool-{pool}", f"seed-{first['seed']}", first["cell"])
    points: dict[int, dict[str, float]] = {}
    for row in sorted(rows, key=lambda row: row["env_steps"]):
        points.setdefault(row["env_steps"], {}).update(_scalars(row, len(families) > 1))
    name = "/".join(re.sub(r"[^\w+.-]", "-", str(part)) for part in parts)
    return TrackerRun(name, group, config, points)


def _scalars(row: Row, name_family: bool) -> dict[str, float]:
    """Return the measures of a row by tag: `measure[/family]/split[/simulations-N]`."""
    parts = [row["family"]] if name_family else []
    parts.append(row["evaluated_on"])
    if row["simulations"]:
        parts.append(f"simulations-{row['simulations']}")
    place = "/".join(parts)
    scalars = {f"{key}/{place}": row[key] for key in MEASURES if row[key] is not None}
    attempts = row["success_by_attempt"] or ()
    if len(attempts) > 1:
        scalars |= {f"success_by_attempt/{place}/{number}": value for number, value in enumerate(attempts, start=1)}
    return scalars


def run_of_study(directory: RunDirectory) -> list[TrackerRun]:
    """Make the record of the figure and the verdicts; an empty list without a report."""
    settings, claims = directory.settings(), directory.path / "claims.json"
    figure = directory.path / "figures" / f"{settings.study}.png"
    if not (claims.is_file() and figure.is_file() and (directory.path / "report.html").is_file()):
        return []
    verdicts = [{key: claim[key] for key in VERDICT_KEYS} for claim in directory.claims()]
    config = settings.model_dump(mode="json")
    images = {"figure": read_bounded(figure, MAX_ROWS_BYTES)}
    group = escape_control_characters(directory.path.resolve().name)
    return [TrackerRun("study", group, config, tables={"verdicts": verdicts}, images=images)]
