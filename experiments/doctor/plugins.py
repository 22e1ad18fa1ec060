"""Loading of other distributions' plug-ins, in an isolated process."""

import json
from importlib.metadata import EntryPoint, entry_points

GROUPS = tuple(f"incentivize.{kind}" for kind in ("families", "rewards", "networks", "studies", "trackers"))
CODE = "from incentivize.experiments.doctor.plugins import main; main()"


def find_plugins() -> list[EntryPoint]:
    """List the entry points of all groups, without loading them."""
    return [point for group in GROUPS for point in entry_points(group=group)]


def main() -> None:
    """Load all plug-ins, and print one line of JSON: the arguments of `check_plugins`."""
    from incentivize import envs, rewards
    from incentivize.agents.encoders import ENCODERS
    from incentivize.experiments.studies import STUDIES
    from incentivize.experiments.trackers.registry import TRACKERS

    registries = (envs.FAMILIES, rewards.REWARDS, ENCODERS, STUDIES, TRACKERS)
    by_group = {f"incentivize.{registry.kind}": registry for registry in registries}
    print(json.dumps([_try(point, by_group[point.group][point.name]) for point in find_plugins()]))


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "incentivize"


def _try(point: EntryPoint, registered: EntryPoint) -> dict[str, str]:
    """Load an entry point, and return the arguments of `check_plugins`; `registered` is the one that has its name."""
    problem = f"left out, because {_distribution(registered)} has that name" if registered != point else ""
    try:
        point.load()
    except BaseException as error:  # also where it ends the process
        problem = f"{point.value} cannot be loaded ({type(error).__name__}: {error})"
    return {"distribution": _distribution(point), "group": point.group, "name": point.name, "problem": problem}
