"""Claims as a study makes them, of every verdict."""


def claim(study="task-count", family="errands", verdict="supported", effect=0.5, low=0.4, high=0.6, **own):
    """Return a claim as `claims.json` has it, with fields of its own."""
    row = {"study": study, "claim": "skill appears", "verdict": verdict, "effect": effect, "low": low, "high": high}
    return (
        row
        | {
            "n": 5,
            "rule": "above 0",
            "family": family,
            "reason": "it lies above",
            "env_steps": 3_000_000,
            "setting": "quick",
            "controls": [],
            "run": "a run",
        }
        | own
    )


CLAIMS = [
    claim(),
    claim(family="mazes", verdict="refuted", effect=-4.5, low=-9.0, high=-2.0),
    claim(
        "specialty", verdict="inconclusive", effect=None, low=None, high=None, n=0, reason="<b>cells</b> are missing"
    ),
]
