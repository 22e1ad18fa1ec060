"""Captions: what is said of an episode, step by step, and of its end."""

from incentivize.envs.family import Family


def caption(family: Family, step: int = 0, action: int | None = None, end: str = "") -> str:
    """What is said below a picture: which step led to it, and how the episode ended, if it did."""
    if action is None:
        return f"{count_steps(family.horizon)} to go"
    return f"step {step} of {family.horizon}: {family.action_names[action]}" + (f" - {end}" if end else "")


def count_steps(steps: int) -> str:
    """A number of steps in words."""
    return f"{steps} step{'s' * (steps != 1)}"


def describe_end(succeeded: bool, terminated: bool) -> str:
    """How an episode ended, in words."""
    return "won" if succeeded else "lost" if terminated else "time is up"
