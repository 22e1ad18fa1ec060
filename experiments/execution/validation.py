"""What can be wrong across settings, found before anything compiles. It imports little, so that refusal is quick."""

import os
from collections.abc import Collection
from dataclasses import fields

import jax

from incentivize import envs, rewards
from incentivize.agents.encoders import ENCODERS
from incentivize.agents.memories import MEMORIES
from incentivize.envs.family import Family
from incentivize.envs.registry import LoadError
from incentivize.envs.wrappers.controls import CONTROLS
from incentivize.experiments.errors import InputError, did_you_mean
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.settings.training import Training
from incentivize.experiments.training.build import family_from_settings, network_of

FAMILY_OPTIONS = ("pairs", "life")  # what stands among a family's knobs, and is none: of these, a life is refused later


def validate(settings: Settings, gone: Collection[str] = ()) -> None:
    """What can be wrong across fields, found before anything compiles.

    Args:
        settings: of a run.
        gone: families whose agents have started from a file that is not there any more, as `starts.recalled` finds.

    Raises:
        SettingsError: all of it at once.
    """
    _device()
    wrong = []
    if settings.control not in ("none", *CONTROLS):
        told = did_you_mean(settings.control, ("none", *CONTROLS))
        raise InputError(f"control = {settings.control!r}: {told}")
    for name, training in settings.training.items():
        for key, known in (("network", ENCODERS), ("memory", MEMORIES)):
            if getattr(training, key) not in known:
                wrong.append(f"{key} = {getattr(training, key)!r}: {did_you_mean(getattr(training, key), known)}")
        wrong += _reward(training)
        try:
            if unknown := _knobs(settings, name):
                wrong += unknown
                continue
            family = family_from_settings(settings, name)
        except LoadError as error:
            wrong.append(str(error))
            continue
        except ValueError as error:
            whose = "" if str(error).startswith("control=") else f"knobs.{name}: "
            wrong.append(f"{whose}{error}")
            continue
        wrong += _network(training, name, family, load_start=name not in gone)
        tasks = family.tasks
        most = tasks.split_size("training")
        for key in ("pools", "control_pools", "taught_pools"):
            for size in getattr(settings, key):
                if size != "new" and size > most:
                    wrong.append(f"{key}: pool size {size:,} is larger than the {most:,} training tasks of {name}")
        for key in ("specialists", "eval_tasks"):
            if getattr(settings, key) > tasks.split_size("heldout"):
                held = tasks.split_size("heldout")
                wrong.append(f"{key} = {getattr(settings, key):,}: {name} has only {held:,} held-out tasks")
    if settings.eval_tasks < settings.specialists:
        wrong.append(
            f"eval_tasks = {settings.eval_tasks}: want at least as many as specialists = {settings.specialists}"
        )
    if wrong:
        raise InputError("\n".join(dict.fromkeys(wrong)))


def _device() -> None:
    """Refuse to start without the accelerator that somebody asked for."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError):  # from jax, where no backend is left
        asked = os.environ.get("JAX_PLATFORMS", "")
        raise InputError(f"JAX_PLATFORMS = {asked!r}: there is no such device here; unset it for what is") from None


def _reward(training: Training) -> list[str]:
    """What keeps agents from having the reward: a name that there is not, or what cannot be loaded."""
    wrong = []
    for part in training.reward.split("+"):
        try:
            rewards.REWARDS.load(part.strip())
        except KeyError:
            wrong.append(f"reward = {training.reward!r}: {part!r}: {did_you_mean(part, rewards.names())}")
        except LoadError as error:
            wrong.append(str(error))
    return wrong


def _knobs(settings: Settings, name: str) -> list[str]:
    """Knobs that a family has not, with what was meant.

    Raises:
        LoadError: where another package's family cannot be loaded.
    """
    there = [knob.name for knob in fields(envs.make(name))]  # pyright: ignore[reportArgumentType]
    unknown = [knob for knob in settings.knobs.get(name, {}) if knob not in (*there, *FAMILY_OPTIONS)]
    return [f"knobs.{name}: {knob}: no knob of {name}; {did_you_mean(knob, there)}" for knob in unknown]


def _network(training: Training, name: str, family: Family, load_start: bool) -> list[str]:
    """What keeps a family's agents from having the network, or starting where they are told to."""
    if training.network not in ENCODERS or training.memory not in MEMORIES:
        return []  # told already
    try:
        network = network_of(training, family)
    except ValueError as error:
        return [f"training.{name}: {error}"]
    if not training.start_from or not load_start:
        return []
    from incentivize.experiments.storage.parameters import load  # only here, as it takes long to import

    try:
        training.start_from.encode()
    except UnicodeEncodeError:
        return [f"training.{name}.start_from: {training.start_from}: is no text that config.toml could hold; rename it"]
    try:
        load(training.start_from, jax.eval_shape(network.init, jax.random.key(0)))
    except (InputError, ValueError) as error:
        return [f"training.{name}.start_from: {error}"]
    return []
