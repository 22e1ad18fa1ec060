"""Settings that would do nothing in a run: refused, where somebody set them to other values than those shipped."""

from collections.abc import Callable, Sequence
from typing import Any

from incentivize.agents.teachers import TEACHERS
from incentivize.experiments import studies
from incentivize.experiments.cells import Cell
from incentivize.experiments.errors import InputError
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.settings.training import Training


def _rewarded(*names: str) -> Callable[[Cell], bool]:
    """Whether one of these rewards is among a cell's."""
    return lambda cell: cell.learner == "ppo" and any(p.strip() in names for p in cell.training.reward.split("+"))


def _taught(frozen: bool) -> Callable[[Cell], bool]:
    """Whether a cell has a teacher at hand, or one of whom there are demonstrations only."""
    return lambda cell: cell.teacher is not None and TEACHERS[cell.teacher].frozen == frozen


def _changes(cell: Cell) -> bool:
    """Whether a cell's entropy bonus changes."""
    training = cell.training
    return training.entropy_steps > 0 and training.entropy_coef_final not in (None, training.entropy_coef)


TAKES_EFFECT_WHEN: dict[str, tuple[Callable[[Cell], bool], str]] = {
    "noise": (_taught(False), "nobody is taught by a teacher who could err"),
    "demonstrations": (_taught(True), "no teacher has a fixed number of them"),
    "hunger": (
        _rewarded("hunger", "fading"),
        "this number is no agent's cost of a step in the rewards hunger or fading",
    ),
    "shaping": (_rewarded("shaped"), "no agent has the reward shaped"),
    "taste": (_rewarded("taste"), "this number is no agent's share in the reward taste"),
    "taste_steps": (_rewarded("taste"), "no agent has the reward taste"),
    "near": (_rewarded("taste"), "no agent has the reward taste"),
    "entropy_coef_final": (
        _changes,
        "the entropy bonus does not change; it needs entropy_steps, and another value of entropy_coef",
    ),
    "entropy_steps": (_changes, "the entropy bonus does not change; it needs another value as entropy_coef_final"),
    "reward": (lambda cell: cell.learner == "ppo", "the study gives its agents rewards of its own"),
    "width": (lambda cell: not cell.training.parameters, "parameters finds the width"),
}
"""Of a training setting, the cells in which it does something, and what to say where there is none."""


def _shipped(settings: Settings) -> dict[str, Training]:
    """Training settings by family where nobody sets any."""
    base: dict[str, Any] = {"study": settings.study, "preset": settings.preset}
    if settings.study in studies.STUDIES:
        base |= studies.load(settings.study).PRESETS[settings.preset]
    return resolve(base | {"families": settings.families}, presets.training_defaults(settings.preset)).training


def check_unused_settings(settings: Settings, cells: Sequence[Cell]) -> None:
    """Refuse what was set and does nothing in any cell.

    Raises:
        SettingsError: all of it at once.
    """
    wrong, as_shipped = [], _shipped(settings)
    for family, training in settings.training.items():
        shipped = as_shipped[family]
        for key, (acts, why) in TAKES_EFFECT_WHEN.items():
            value = getattr(training, key)
            if value in (getattr(shipped, key), Training.model_fields[key].default):
                continue
            if any(acts(cell) and getattr(cell.training, key) == value for cell in cells):
                continue
            wrong.append(f"{key} = {value!r}: would do nothing in {settings.study}: {why}")
    if wrong:
        raise InputError("\n".join(dict.fromkeys(wrong)))
