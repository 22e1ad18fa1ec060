"""Loads what other distributions bring, by their entry points, and says what comes of it. Runs in a process apart."""

import json
from importlib.metadata import EntryPoint, entry_points

GROUPS = tuple(f"incentivize.{kind}" for kind in ("families", "rewards", "networks", "studies", "trackers"))
CODE = "from incentivize.experiments.doctor.plugins import main; main()"


def there() -> list[EntryPoint]:
    """All entry points of the groups; this loads nothing."""
    return [point for group in GROUPS for point in entry_points(group=group)]


def main() -> None:
    """Load all of them, and prints one line of JSON."""
    from incentivize import envs, rewards
    from incentivize.agents.encoders import ENCODERS
    from incentivize.experiments.studies import STUDIES
    from incentivize.experiments.trackers.registry import TRACKERS

    registries = (envs.FAMILIES, rewards.REWARDS, ENCODERS, STUDIES, TRACKERS)
    known = {f"incentivize.{registry.kind}": registry for registry in registries}
    print(json.dumps([_tried(point, known[point.group][point.name]) for point in there()]))


def _whose(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "incentivize"


def _tried(point: EntryPoint, known: EntryPoint) -> dict[str, str]:
    """What comes of one, where `known` has its name."""
    problem = f"left out, because {_whose(known)} has that name" if known != point else ""
    try:
        point.load()
    except BaseException as error:  # also where it ends the process
        problem = f"{point.value} cannot be loaded ({type(error).__name__}: {error})"
    return {"distribution": _whose(point), "group": point.group, "name": point.name, "problem": problem}
