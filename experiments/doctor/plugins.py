"""Loads what other distributions bring, by their entry points, and says what comes of it. Runs in a process apart."""

import json
from importlib.metadata import EntryPoint, entry_points

GROUPS = tuple(f"incentivize.{kind}" for kind in ("families", "rewards", "networks", "studies", "trackers"))
CODE = "from experiments.doctor.plugins import main; main()"


def there() -> list[EntryPoint]:
    """All entry points of the groups; this loads nothing."""
    return [point for group in GROUPS for point in entry_points(group=group)]


def main() -> None:
    """Loads all of them, and prints one line of JSON."""
    print(json.dumps(list(map(_tried, there()))))


def _tried(point: EntryPoint) -> dict[str, str]:
    dist = point.dist
    whose = f"{dist.name} {dist.version}" if dist else "an unknown distribution"
    problem = ""
    try:
        point.load()
    except BaseException as error:  # also where it ends the process
        problem = f"{point.value} cannot be loaded ({type(error).__name__}: {error})"
    return {"distribution": whose, "group": point.group, "name": point.name, "problem": problem}
