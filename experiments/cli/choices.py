"""Choices: the names that a flag accepts, for completion in a shell and for suggestions.

A new kind of name is one line here. Imports jax only for names whose module needs it.
"""

from collections.abc import Callable, Iterable

from incentivize.experiments.errors import check_name
from incentivize.experiments.settings import presets, training


def _families() -> Iterable[str]:
    from incentivize import envs

    return envs.names()


def _controls() -> Iterable[str]:
    from incentivize.envs.wrappers.controls import CONTROLS

    return CONTROLS


def _networks() -> Iterable[str]:
    from incentivize.agents.encoders import ENCODERS

    return ENCODERS


def _memories() -> Iterable[str]:
    from incentivize.agents.memories import MEMORIES

    return MEMORIES


def _rewards() -> Iterable[str]:
    from incentivize import rewards

    return rewards.names()


def _studies() -> Iterable[str]:
    from incentivize.experiments import studies

    return studies.names()


def _trackers() -> Iterable[str]:
    from incentivize.experiments.trackers.registry import TRACKERS

    return TRACKERS


TOPICS = ("families", "rewards", "learners", "networks", "studies")
BENCHMARKS = ("all", "envs", "train", "tasks", "saves", "specialists")
LAUNCHERS = ("local", "slurm", "trial")
SHELLS = ("bash", "zsh", "tcsh", "fish")

CHOICES: dict[str, Callable[[], Iterable[str]]] = {
    "arm": lambda: training.ARMS,
    "benchmark": lambda: BENCHMARKS,
    "control": _controls,
    "family": _families,
    "launcher": lambda: LAUNCHERS,
    "memory": _memories,
    "network": _networks,
    "preset": lambda: presets.PRESETS,
    "reward": _rewards,
    "shell": lambda: SHELLS,
    "specialist-learners": lambda: training.ARMS,
    "study": _studies,
    "topic": lambda: ("all", *TOPICS),
    "tracker": _trackers,
}
"""Names by flag or, for a positional argument, by its name in the help."""


def check_choice(key: str, value: str) -> None:
    """Refuse a name that is no choice of `key`, such as "--arm" or "STUDY".

    Raises:
        InputError: if there is no such choice; the message names the probable one.
    """
    check_name(key, value, CHOICES[key.lstrip("-").lower()]())
