"""`incentivize list`."""

from dataclasses import dataclass, field, fields
from typing import Annotated, Any

import tyro
from rich.console import Console

from incentivize import envs, rewards
from incentivize.experiments import studies
from incentivize.experiments.cli.choices import TOPICS, check_choice
from incentivize.experiments.cli.docstrings import docstring
from incentivize.experiments.cli.options import JsonOptions, one_of
from incentivize.experiments.cli.result import Command, CommandResult


@dataclass(frozen=True)
class List(Command):
    """List the families, rewards, learners, networks and studies to choose from."""

    topic: Annotated[str, tyro.conf.Positional, one_of(("all", *TOPICS))] = "all"
    """Topic to list."""
    common: Annotated[JsonOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JsonOptions)

    def execute(self, console: Console) -> CommandResult:
        """List one topic, or all."""
        check_choice("TOPIC", self.topic)
        rows_by_topic = {topic: rows_of_topic(topic) for topic in TOPICS if self.topic in ("all", topic)}
        if not self.common.json:
            _print_tables(rows_by_topic, console)
        return CommandResult(rows_by_topic if self.topic == "all" else rows_by_topic[self.topic])


def _print_tables(rows_by_topic: dict[str, list[dict[str, object]]], console: Console) -> None:
    """Print a table of every topic; long columns of families as lines below it."""
    from incentivize.experiments.presentation.tables import format_value, rich_table

    for topic, rows in rows_by_topic.items():
        long = {"description", "knobs"} if topic == "families" else set()
        cells = [{key: format_value(value) for key, value in row.items() if key not in long} for row in rows]
        console.print(rich_table(topic, cells))
        for row in rows if long else ():
            console.print(f"{row['name']}: {row['description']} Knobs: {row['knobs']}.", highlight=False)


NO_DESCRIPTION = "(no description)"


def _first_line(described: Any) -> str:
    """Return the first line of a docstring."""
    return docstring(described).strip().partition("\n")[0] or NO_DESCRIPTION


def rows_of_topic(topic: str) -> list[dict[str, Any]]:
    """Return the rows of a topic: names, descriptions and key figures."""
    if topic == "families":
        return [_family(name) for name in envs.names()]
    if topic == "rewards":
        return [{"name": name, "description": _first_line(rewards.REWARDS.load(name))} for name in rewards.names()]
    if topic == "learners":
        from incentivize.agents.teachers import TEACHERS

        ppo = {"name": "ppo", "teacher": "-", "description": "incentivized: PPO on the reward alone"}
        warm = {
            "name": "ppo",
            "teacher": "any of those below",
            "description": "taught for taught_steps, then incentivized",
        }
        taught = [
            {"name": "cloning", "teacher": name, "description": f"taught: {teacher.description}"}
            for name, teacher in TEACHERS.items()
        ]
        return [ppo, warm, *taught]
    if topic == "networks":
        from incentivize.agents.encoders import ENCODERS
        from incentivize.agents.memories import MEMORIES

        rows = [{"name": name, "description": _first_line(ENCODERS.load(name))} for name in ENCODERS]
        memories = [{"name": f"+ {name}", "description": _first_line(kind)} for name, kind in MEMORIES.items()]
        return [*rows, *memories[1:]]
    return [{"name": name, "asks": studies.load(name).QUESTION} for name in studies.names()]


def _family(name: str) -> dict[str, Any]:
    """Return the row of a family."""
    family: Any = envs.make(name)
    module = __import__(type(family).__module__, fromlist=["_"])
    return {
        "name": name,
        "description": _first_line(module).partition(": ")[2] or NO_DESCRIPTION,
        "tasks": family.tasks.size,
        "instances": family.instances,
        "actions": family.num_actions,
        "horizon": family.horizon,
        "rule": "visible" if family.reveals_rule else "hidden",
        "knobs": ", ".join(f"{knob.name}={getattr(family, knob.name)!r}" for knob in fields(family)),
    }
