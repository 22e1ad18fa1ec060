"""What `incentivize list` shows. Imports jax only for the families, whose tasks are counted."""

from dataclasses import fields
from typing import Any

import envs
import rewards
from experiments import studies


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def listing(topic: str) -> list[dict[str, Any]]:
    """Rows of one topic: name, what it is, and what counts."""
    if topic == "families":
        return [_family(name) for name in envs.names()]
    if topic == "rewards":
        return [{"name": name, "is": _first_line(rewards.make(name).__doc__)} for name in rewards.names()]
    if topic == "learners":
        return [
            {"name": "ppo", "teacher": "-", "is": "incentivized: PPO on the reward alone"},
            {"name": "cloning", "teacher": "dagger", "is": "taught: the expert's labels on the student's own states"},
            {"name": "cloning", "teacher": "bc", "is": "taught: the expert's labels on the expert's states"},
        ]
    if topic == "networks":
        from agents.networks import NETWORKS

        return [{"name": name, "is": _first_line(kind.__doc__)} for name, kind in NETWORKS.items()]
    return [{"name": name, "asks": studies.load(name).QUESTION} for name in studies.names()]


def _family(name: str) -> dict[str, Any]:
    family: Any = envs.make(name)
    module = __import__(type(family).__module__, fromlist=["_"])
    return {
        "name": name,
        "is": _first_line(module.__doc__).partition(": ")[2],
        "tasks": family.tasks.size,
        "instances": family.instances,
        "actions": family.num_actions,
        "horizon": family.horizon,
        "rule": "visible" if family.reveals_rule else "hidden",
        "knobs": ", ".join(f"{knob.name}={getattr(family, knob.name)!r}" for knob in fields(family)),
    }
