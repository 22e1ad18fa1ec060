"""The names that may stand after a flag: what is completed in a shell, and what a wrong name is compared with.

A new kind of name is one line here. Imports jax only for names that lie beside what they stand for.
"""

from collections.abc import Callable, Iterable

from incentivize.experiments.errors import check_name
from incentivize.experiments.settings import presets, schema


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
    "arm": lambda: schema.ARMS,
    "control": _controls,
    "family": _families,
    "launcher": lambda: LAUNCHERS,
    "memory": _memories,
    "network": _networks,
    "preset": lambda: presets.PRESETS,
    "reward": _rewards,
    "shell": lambda: SHELLS,
    "specialist-learners": lambda: schema.ARMS,
    "study": _studies,
    "topic": lambda: ("all", *TOPICS),
    "tracker": _trackers,
    "what": lambda: BENCHMARKS,
}
"""By flag or, for a word without one, by its name in the help."""


def check_choice(key: str, value: str) -> None:
    """Refuse a name that is not among those known after `key`, such as "--arm" or "STUDY".

    Raises:
        SettingsError: which names what was meant.
    """
    check_name(key, value, CHOICES[key.lstrip("-").lower()]())
