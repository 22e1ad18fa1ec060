"""The scoreboard of published claims, `docs/results/scoreboard`: `python -m benchmarks.published` draws it again.

Claims stay as they were judged. `withdrawn.json` beside them says which of them do not stand any more, and why: these
are drawn hollow, and their reason is in the CSV.
"""

import json
from pathlib import Path
from typing import Any

from incentivize.experiments.presentation.charts import save
from incentivize.experiments.reporting.scoreboard import draw_scoreboard, group_claims

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"
FAMILIES = ("errands", "mazes", "codebooks")
STUDIES = ("task-count", "signal-and-scope", "emergence", "weak-incentive", "slopes", "specialty", "distribution-shift")
FOLDERS = (
    *(f"{study}-{family}" for study in STUDIES for family in FAMILIES),
    "memory-codebooks",
    "threshold-prediction",
    *(f"taste-and-hunger-{family}" for family in ("mazes", "errands", "puzzles")),
    "test-time-three",
)
"""Runs of the preset `standard`, in the order of the scoreboard."""


def claims(results: Path = RESULTS) -> list[dict[str, Any]]:
    """The published claims as rows of the scoreboard, with `withdrawn`: why one does not stand as judged, or "".

    Args:
        results: the folder with a folder for every run, and `withdrawn.json`.

    Raises:
        ValueError: where something is withdrawn that has not been claimed.
    """
    listed = json.loads((results / "withdrawn.json").read_text(encoding="utf-8"))
    why = {(one["study"], one["family"], one["claim"]): one["why"] for one in listed}
    rows = [row for name in FOLDERS for row in json.loads((results / name / "claims.json").read_text(encoding="utf-8"))]
    found = [row | {"withdrawn": why.pop((row["study"], row["family"], row["claim"]), "")} for row in rows]
    if why:
        raise ValueError(f"withdrawn.json: nobody has claimed {', '.join(map(repr, why))}")
    return group_claims(found)


def main(results: Path = RESULTS) -> None:
    """Draw the scoreboard again, as PNG, SVG and CSV."""
    found = claims(results)
    save(draw_scoreboard(found), found, results / "scoreboard", "scoreboard")


if __name__ == "__main__":
    main()
