"""Records: what a tracker writes of a training run or of the study, from the files of a run directory alone."""

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
FIXED = (
    "study", "family", "variant", "control", "learner", "teacher", "reward", "network", "n_params", "pool_size",
    "pool_seed", "seed", "role", "cell",
)  # fmt: skip
JUDGED = ("verdict", "family", "claim", "effect", "low", "high", "n", "reason")


@dataclass(frozen=True)
class TrackerRun:
    """One run, as trackers call it.

    Attributes:
        name: tells it from others of the run directory; its parts are joined by "/".
        group: the name of the run directory.
        config: what it was made with, in values that JSON has.
        points: scalars by tag, such as "success/unseen", at every number of environment steps, rising.
        tables: rows by title.
        images: PNG files by title.
    """

    name: str
    group: str
    config: dict[str, Any]
    points: dict[int, dict[str, float]] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    images: dict[str, bytes] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The hash of all that it holds, in hexadecimal."""
        said = asdict(self) | {"images": {title: hashlib.sha256(png).hexdigest() for title, png in self.images.items()}}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def runs_of_cells(store: RunDirectory, whole: bool) -> list[TrackerRun]:
    """A record of every training run that has rows, for every part that it plays in the study.

    Args:
        store: the run directory.
        whole: also of those whose scores may still come, as the blind level of their family is not known yet.
    """
    levels = store.meta().get("blind", {})
    parts: dict[tuple[str, str], list[Row]] = {}
    for row in store.rows():
        if row["role"] not in ("uniform", "scripted"):
            parts.setdefault((row["cell"], row["role"]), []).append(row)
    group = escape_control_characters(store.path.resolve().name)
    return [
        _of_part(rows, group)
        for rows in parts.values()
        if whole or all(levels.get(row["family"]) is not None for row in rows)
    ]


def _of_part(rows: Sequence[Row], group: str) -> TrackerRun:
    """The record of one cell in one part."""
    first = rows[0]
    families = list(dict.fromkeys(row["family"] for row in rows))
    config = {key: first.get(key) for key in FIXED} | {"family": "+".join(families)}
    pool = "new" if first["pool_size"] is None else first["pool_size"]
    parts = (config["family"], first["role"], f"pool-{pool}", f"seed-{first['seed']}", first["cell"])
    points: dict[int, dict[str, float]] = {}
    for row in sorted(rows, key=lambda row: row["env_steps"]):
        points.setdefault(row["env_steps"], {}).update(_scalars(row, len(families) > 1))
    return TrackerRun("/".join(re.sub(r"[^\w+.-]", "-", str(part)) for part in parts), group, config, points)


def _scalars(row: Row, several: bool) -> dict[str, float]:
    """What a row measures, by tag: the measure, the family if there are several, the split, the simulations if any."""
    place = f"{row['family']}/" * several + row["evaluated_on"]
    place += f"/simulations-{row['simulations']}" * bool(row["simulations"])
    found = {f"{key}/{place}": row[key] for key in MEASURES if row[key] is not None}
    attempts = row["success_by_attempt"] or ()
    if len(attempts) > 1:
        found |= {f"success_by_attempt/{place}/{number}": value for number, value in enumerate(attempts, start=1)}
    return found


def run_of_study(store: RunDirectory) -> list[TrackerRun]:
    """The record of the figure and the verdicts; none where there is no report."""
    settings, claims = store.settings(), store.path / "claims.json"
    figure = store.path / "figures" / f"{settings.study}.png"
    if not (claims.is_file() and figure.is_file() and (store.path / "report.html").is_file()):
        return []
    verdicts = [{key: claim[key] for key in JUDGED} for claim in json.loads(read_bounded(claims, MAX_ROWS_BYTES))]
    config = settings.model_dump(mode="json")
    images = {"figure": read_bounded(figure, MAX_ROWS_BYTES)}
    return [
        TrackerRun(
            "study",
            escape_control_characters(store.path.resolve().name),
            config,
            tables={"verdicts": verdicts},
            images=images,
        )
    ]
