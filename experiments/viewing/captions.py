"""Captions of the steps and the end of an episode."""

from incentivize.envs.family import Family


def caption(family: Family, step: int = 0, action: int | None = None, end: str = "") -> str:
    """Describe the step that led to a picture, and how the episode ended, if it did."""
    if action is None:
        return f"{count_steps(family.horizon)} to go"
    text = f"step {step} of {family.horizon}: {family.action_names[action]}"
    return f"{text} - {end}" if end else text


def count_steps(steps: int) -> str:
    """Write out a number of steps."""
    return "1 step" if steps == 1 else f"{steps} steps"


def describe_end(succeeded: bool, terminated: bool) -> str:
    """Say how an episode ended."""
    return "won" if succeeded else "lost" if terminated else "time is up"
