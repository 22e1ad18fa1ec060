"""What `incentivize list` shows. Imports jax only for the families, whose tasks are counted."""

from dataclasses import fields
from typing import Any

from incentivize import envs, rewards
from incentivize.experiments import studies
from incentivize.experiments.cli.docstrings import docstring

NOTHING = "(it does not say)"


def _said(thing: Any) -> str:
    """What a thing says of itself: its docstring's first line."""
    return docstring(thing).strip().partition("\n")[0] or NOTHING


def listing(topic: str) -> list[dict[str, Any]]:
    """Rows of one topic: name, what it is, and what counts."""
    if topic == "families":
        return [_family(name) for name in envs.names()]
    if topic == "rewards":
        return [{"name": name, "is": _said(rewards.REWARDS.load(name))} for name in rewards.names()]
    if topic == "learners":
        from incentivize.agents.teachers import TEACHERS

        ppo = {"name": "ppo", "teacher": "-", "is": "incentivized: PPO on the reward alone"}
        warm = {"name": "ppo", "teacher": "any of those below", "is": "taught for taught_steps, then incentivized"}
        taught = [{"name": "cloning", "teacher": name, "is": f"taught: {it.words}"} for name, it in TEACHERS.items()]
        return [ppo, warm, *taught]
    if topic == "networks":
        from incentivize.agents.encoders import ENCODERS
        from incentivize.agents.memories import MEMORIES

        rows = [{"name": name, "is": _said(ENCODERS.load(name))} for name in ENCODERS]
        memories = [{"name": f"+ {name}", "is": _said(kind)} for name, kind in MEMORIES.items()]
        return [*rows, *memories[1:]]
    return [{"name": name, "asks": studies.load(name).QUESTION} for name in studies.names()]


def _family(name: str) -> dict[str, Any]:
    family: Any = envs.make(name)
    module = __import__(type(family).__module__, fromlist=["_"])
    return {
        "name": name,
        "is": _said(module).partition(": ")[2] or NOTHING,
        "tasks": family.tasks.size,
        "instances": family.instances,
        "actions": family.num_actions,
        "horizon": family.horizon,
        "rule": "visible" if family.reveals_rule else "hidden",
        "knobs": ", ".join(f"{knob.name}={getattr(family, knob.name)!r}" for knob in fields(family)),
    }
