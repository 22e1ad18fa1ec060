"""Settings without effect in a run: refused where they were set to other values than those shipped."""

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


def _has_reward(*names: str) -> Callable[[Cell], bool]:
    """Return a check whether one of these rewards is among a cell's."""
    return lambda cell: cell.learner == "ppo" and any(p.strip() in names for p in cell.training.reward.split("+"))


def _has_teacher(frozen: bool) -> Callable[[Cell], bool]:
    """Return a check whether a cell has a teacher, either with a fixed set of demonstrations or without."""
    return lambda cell: cell.teacher is not None and TEACHERS[cell.teacher].frozen == frozen


def _anneals_entropy(cell: Cell) -> bool:
    """Return whether a cell's entropy bonus changes during training."""
    training = cell.training
    return training.entropy_steps > 0 and training.entropy_coef_final not in (None, training.entropy_coef)


TAKES_EFFECT_WHEN: dict[str, tuple[Callable[[Cell], bool], str]] = {
    "noise": (_has_teacher(False), "no agent has a teacher that could err. Drop the setting"),
    "demonstrations": (
        _has_teacher(True),
        "no agent has a teacher with a fixed number of demonstrations. Drop the setting",
    ),
    "hunger": (
        _has_reward("hunger", "fading"),
        'no agent uses the reward "hunger" or "fading" with this value. Add --reward sparse+hunger or drop the setting',
    ),
    "shaping": (
        _has_reward("shaped"),
        'no agent uses the reward "shaped" with this value. Add --reward sparse+shaped or drop the setting',
    ),
    "taste": (
        _has_reward("taste"),
        'no agent uses the reward "taste" with this value. Add --reward sparse+taste or drop the setting',
    ),
    "taste_steps": (
        _has_reward("taste"),
        'no agent uses the reward "taste". Add --reward sparse+taste or drop the setting',
    ),
    "near": (
        _has_reward("taste"),
        'no agent uses the reward "taste". Add --reward sparse+taste or drop the setting',
    ),
    "entropy_coef_final": (
        _anneals_entropy,
        "the entropy bonus does not change. Set entropy_steps, and another value than entropy_coef",
    ),
    "entropy_steps": (
        _anneals_entropy,
        "the entropy bonus does not change. Set entropy_coef_final to another value than entropy_coef",
    ),
    "reward": (lambda cell: cell.learner == "ppo", "the study sets the rewards of its agents. Drop the setting"),
    "width": (
        lambda cell: not cell.training.parameters,
        "the setting parameters decides the width. Drop one of the two",
    ),
}
"""By training setting: whether it has an effect in a cell, and the reason and remedy where it has none in any."""


def _shipped_training(settings: Settings) -> dict[str, Training]:
    """Return the training settings by family as shipped."""
    base: dict[str, Any] = {"study": settings.study, "preset": settings.preset}
    if settings.study in studies.STUDIES:
        base |= studies.load(settings.study).PRESETS[settings.preset]
    return resolve(base | {"families": settings.families}, presets.training_defaults(settings.preset)).training


def check_unused_settings(settings: Settings, cells: Sequence[Cell]) -> None:
    """Refuse training settings that were changed and have no effect in any cell.

    Raises:
        InputError: if there are such settings; the message names all of them.
    """
    errors, as_shipped = [], _shipped_training(settings)
    for family, training in settings.training.items():
        for key, (has_effect, reason) in TAKES_EFFECT_WHEN.items():
            value = getattr(training, key)
            if value in (getattr(as_shipped[family], key), Training.model_fields[key].default):
                continue
            if any(has_effect(cell) and getattr(cell.training, key) == value for cell in cells):
                continue
            errors.append(f"{key} = {value!r}: has no effect in {settings.study}, as {reason}.")
    if errors:
        raise InputError("\n".join(dict.fromkeys(errors)))
