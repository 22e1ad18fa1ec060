"""Validation of settings against families, networks and rewards, before anything compiles."""

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import fields

import jax

from incentivize import envs, rewards
from incentivize.agents.encoders import ENCODERS
from incentivize.agents.memories import MEMORIES
from incentivize.envs.family import Family
from incentivize.envs.registry import LoadError
from incentivize.envs.wrappers.controls import CONTROLS
from incentivize.experiments.cells import Cell
from incentivize.experiments.errors import InputError, check_name, did_you_mean
from incentivize.experiments.runtime import distributed
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.settings.training import TRAINING_KEYS, Training
from incentivize.experiments.training.build import family_from_settings, network_of

FAMILY_OPTIONS = ("pairs", "life")  # allowed among a family's knobs; `family_from_settings` refuses a life


def validate(settings: Settings, without_start_file: Collection[str] = ()) -> None:
    """Refuse settings that do not fit families, networks, rewards or each other.

    Args:
        settings: settings of a run.
        without_start_file: families whose `start_from` file no longer exists, as `recall_start_files` returns them.

    Raises:
        InputError: if there are such settings; the message names all of them.
    """
    _check_device()
    check_name("control", settings.control, ("none", *CONTROLS))
    errors = []
    for name, training in settings.training.items():
        errors += _name_errors(training)
        try:
            if unknown := _knob_errors(settings, name):
                errors += unknown
                continue
            family = family_from_settings(settings, name)
        except LoadError as error:
            errors.append(str(error))
            continue
        except ValueError as error:
            errors.append(_knob_error(name, error))
            continue
        errors += _network_errors(training, name, family, load_start=name not in without_start_file)
        errors += _size_errors(settings, name, family)
    if settings.eval_tasks < settings.specialists:
        errors.append(
            f"eval_tasks = {settings.eval_tasks}: must be at least as many as specialists = {settings.specialists}. "
            "Raise it or lower specialists."
        )
    if errors:
        raise InputError("\n".join(dict.fromkeys(errors)))


def check_devices_per_agent(cells: Sequence[Cell], devices_per_agent: int) -> None:
    """Refuse a number of devices per agent that does not divide the devices and the environments evenly.

    Raises:
        InputError: if it does not; the message names the number that it must divide.
    """
    devices = jax.device_count()
    flag = f"--devices-per-agent = {devices_per_agent}"
    if devices % devices_per_agent:
        raise InputError(f"{flag}: must divide the number of devices, {devices}. Give a divisor of it.")
    if distributed.is_distributed() and devices_per_agent != devices:
        raise InputError(
            f"{flag}: must be {devices}, all devices, where {jax.process_count()} processes train every agent "
            f"together. Give {devices}."
        )
    for training in (cell.training for cell in cells):
        environments = training.num_envs // training.minibatches
        if environments % devices_per_agent:
            raise InputError(
                f"{flag}: must divide the {environments} environments of a minibatch (num_envs = {training.num_envs}, "
                f"minibatches = {training.minibatches}). Give a divisor of it, or change these settings."
            )


def _check_device() -> None:
    """Refuse to start without the accelerator that JAX_PLATFORMS asks for.

    Raises:
        InputError: if jax finds no such device.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError):  # raised by jax where no backend is left
        value = os.environ.get("JAX_PLATFORMS", "")
        raise InputError(
            f"JAX_PLATFORMS = {value!r}: jax finds no such device. Unset it, or install incentivize[cuda] or [tpu]."
        ) from None


def _name_errors(training: Training) -> list[str]:
    """Return errors of names: of network, memory and rewards that do not exist or cannot be loaded."""
    errors = []
    for key, names in (("network", ENCODERS), ("memory", MEMORIES)):
        if getattr(training, key) not in names:
            value = getattr(training, key)
            errors.append(f"{key} = {value!r}: there is no such name. {did_you_mean(value, names)}")
    for part in training.reward.split("+"):
        try:
            rewards.REWARDS.load(part.strip())
        except KeyError:
            errors.append(
                f"reward = {training.reward!r}: there is no reward {part!r}. {did_you_mean(part, rewards.names())}"
            )
        except LoadError as error:
            errors.append(str(error))
    return errors


def _knob_errors(settings: Settings, name: str) -> list[str]:
    """Return errors of knobs that a family does not have.

    Raises:
        LoadError: if another package's family cannot be loaded.
    """
    knobs = [knob.name for knob in fields(envs.make(name))]  # pyright: ignore[reportArgumentType]
    unknown = [knob for knob in settings.knobs.get(name, {}) if knob not in (*knobs, *FAMILY_OPTIONS)]
    return [f"knobs.{name}.{knob}: {name} has no such knob. {did_you_mean(knob, knobs)}" for knob in unknown]


def _knob_error(name: str, error: ValueError) -> str:
    """Return an error of the class of a family as an error of settings, with the key of the knob that it names."""
    if is_of_control := re.match(r"control ?= ?", str(error)):
        return f"control = {str(error)[is_of_control.end() :]}"
    knobs = [knob.name for knob in fields(envs.make(name))]  # pyright: ignore[reportArgumentType]
    return _with_key(f"knobs.{name}", str(error), (*knobs, *FAMILY_OPTIONS))


def _with_key(table: str, message: str, keys: Collection[str]) -> str:
    """Return an error with the full key of the setting of a table that it names first, or with the table alone."""
    named = re.match(r"(\w+) ?= ?", message)
    if named is None or named[1] not in keys:
        return f"{table}: {message}"
    return f"{table}.{named[1]} = {message[named.end() :]}"


def _size_errors(settings: Settings, name: str, family: Family) -> list[str]:
    """Return errors of numbers of tasks that are larger than a family's splits."""
    errors = []
    training, heldout = (family.tasks.split_size(split) for split in ("training", "heldout"))
    for key in ("pools", "control_pools", "taught_pools"):
        for size in getattr(settings, key):
            if size is not None and size > training:
                errors.append(f"{key} = {size:,}: {name} has only {training:,} training tasks. Give a smaller pool.")
    for key in ("specialists", "eval_tasks"):
        if getattr(settings, key) > heldout:
            errors.append(f"{key} = {getattr(settings, key):,}: {name} has only {heldout:,} held-out tasks. Lower it.")
    return errors


def _network_errors(training: Training, name: str, family: Family, load_start: bool) -> list[str]:
    """Return errors of a family's network, and of the file from which its agents start where `load_start`."""
    if training.network not in ENCODERS or training.memory not in MEMORIES:
        return []  # `_name_errors` has them
    try:
        network = network_of(training, family)
    except ValueError as error:
        return [_with_key(f"training.{name}", str(error), TRAINING_KEYS)]
    if not training.start_from or not load_start:
        return []
    from incentivize.experiments.storage.parameters import load  # here, because it takes long to import

    key = f"training.{name}.start_from"
    try:
        training.start_from.encode()
    except UnicodeEncodeError:
        return [f"{key} = {training.start_from}: cannot be written as text in config.toml. Rename the file."]
    try:
        load(training.start_from, network.shapes())
    except InputError as error:  # which begins with the path
        return [f"{key} = {error}"]
    except ValueError as error:
        return [f"{key} = {training.start_from}: {error}"]
    return []
