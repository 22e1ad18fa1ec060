"""The scoreboard of published claims, `docs/results/scoreboard`: `python -m benchmarks.published` draws it again.

Claims stay as they were judged. `withdrawn.json` in the folder of results lists those that no longer stand, with the
reason: their markers are hollow, and the reason is in the CSV file.
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
    """Read the published claims as rows of the scoreboard.

    Args:
        results: the folder with a folder for every run, and `withdrawn.json`.

    Returns:
        The rows, each with `withdrawn`: why the claim does not stand as judged, or "".

    Raises:
        ValueError: where a claim is withdrawn that is not among those published.
    """
    withdrawn = json.loads((results / "withdrawn.json").read_text(encoding="utf-8"))
    reasons = {(entry["study"], entry["family"], entry["claim"]): entry["why"] for entry in withdrawn}
    rows = [row for name in FOLDERS for row in json.loads((results / name / "claims.json").read_text(encoding="utf-8"))]
    rows = [row | {"withdrawn": reasons.pop((row["study"], row["family"], row["claim"]), "")} for row in rows]
    if reasons:
        raise ValueError(
            f"withdrawn.json: names claims that are not published ({', '.join(map(repr, reasons))}). Remove them."
        )
    return group_claims(rows)


def main(results: Path = RESULTS) -> None:
    """Draw the scoreboard again, as PNG, SVG and CSV."""
    rows = claims(results)
    save(draw_scoreboard(rows), rows, results / "scoreboard", "scoreboard")


if __name__ == "__main__":
    main()
