"""Loading of settings: shipped defaults < preset < file (TOML) < flags. Reports every wrong key and value at once."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from incentivize.experiments.errors import InputError, did_you_mean
from incentivize.experiments.settings.encoding import decode
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.settings.training import OLDER_NAMES, TAUGHT_OVERRIDES, TRAINING_KEYS

MAX_CONFIG_BYTES = 2**20  # bytes of a configuration


def load_file(path: Path) -> dict[str, Any]:
    """Read a TOML file that a user wrote, unchecked.

    Raises:
        InputError: if the file is missing, unreadable, too large, or not TOML.
    """
    key = f"--config = {path}"
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{key}: is not a file. Give a TOML file.")
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise InputError(f"{key}: is larger than {MAX_CONFIG_BYTES:,} bytes. Give a file of settings.")
        text = decode(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{key}: there is no such file. Check the path.") from None
    except OSError as error:
        raise InputError(f"{key}: cannot be read ({error.strerror}). Make it readable.") from None
    except ValueError as error:  # of `decode`
        raise InputError(f"{key}: {error}") from None
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{key}: is not readable as TOML ({error}). Correct it.") from None


FOLLOWERS = {key: f"taught_{key}" for key in TAUGHT_OVERRIDES} | {"entropy_coef": "entropy_coef_final"}
"""By key, the key that has the same value unless it is set itself. Setting the first clears the second."""


ALL_OTHER_FAMILIES = "*"


def resolve(base: dict[str, Any], defaults: dict[str, dict[str, Any]], *layers: dict[str, Any]) -> Settings:
    """Resolve the settings of a run: values of later layers replace those of earlier ones.

    Args:
        base: study, name of the preset, and the preset's values. Its tables by family may name families that this run
            has not: they are dropped.
        defaults: shipped training values by family; `ALL_OTHER_FAMILIES` holds those of families without an entry.
        layers: file and flags, in rising order of precedence. A training key at the top level sets every family, one
            in a table `training.<family>` that family. A key also clears its entry in `FOLLOWERS`.

    Returns:
        The validated settings.

    Raises:
        InputError: if a key or value is wrong; the message names all of them.
    """
    for layer in (base, *layers):
        _check_training_tables(layer.get("training", {}))
    families = _chosen_families(base, *layers)
    layers = (_keep_chosen_families(base, families), *layers)
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= {key: value for key, value in layer.items() if key not in TRAINING_KEYS}
    configured = [family for layer in layers for family in layer.get("training", {})]
    merged["training"] = {}
    for family in dict.fromkeys([*configured, *families]):
        values = defaults.get(family, defaults.get(ALL_OTHER_FAMILIES, {}))
        for layer in layers:
            values = _override(values, _training_values(layer, family))
        merged["training"][family] = values
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise InputError(_explain_validation_errors(error)) from None


def _check_training_tables(tables: Any) -> None:
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise InputError(f"training = {tables!r}: must be tables by family. Write them as [training.errands].")


def _chosen_families(*layers: dict[str, Any]) -> list[str]:
    """Return the families of the last layer that names any; nothing where they are no list of names."""
    families = Settings.model_fields["families"].default
    for layer in layers:
        families = layer.get("families", families)
    return [name for name in families if isinstance(name, str)] if isinstance(families, (list, tuple)) else []


def _keep_chosen_families(preset: dict[str, Any], families: Sequence[str]) -> dict[str, Any]:
    """Return a preset without the tables of families that are not chosen."""
    return preset | {
        key: {family: table for family, table in preset[key].items() if family in families}
        for key in ("knobs", "training")
        if key in preset
    }


def _training_values(layer: dict[str, Any], family: str) -> dict[str, Any]:
    """Return a layer's training values of a family: those of every family, and its own above them."""
    for_all = {key: value for key, value in layer.items() if key in TRAINING_KEYS}
    return for_all | layer.get("training", {}).get(family, {})


def _override(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """Merge the upper values over the lower ones, of which those that follow a key of the upper are dropped."""
    cleared = {follower for key, follower in FOLLOWERS.items() if key in upper}
    return {key: value for key, value in lower.items() if key not in cleared} | upper


def _explain_validation_errors(error: ValidationError) -> str:
    """Return one line for each of pydantic's findings."""
    return "\n".join(dict.fromkeys(_explain_validation_error(finding) for finding in error.errors()))


EXPLANATIONS = {
    "bool_type": "must be true or false.",
    "dict_type": "must be a table.",
    "finite_number": "must be a finite number.",
    "float_parsing": "must be a number.",
    "float_type": "must be a number.",
    "greater_than": "must be more than {gt}.",
    "greater_than_equal": "must be at least {ge}.",
    "int_from_float": "must be a whole number.",
    "int_type": "must be a whole number.",
    "less_than": "must be less than {lt}.",
    "less_than_equal": "must be at most {le}.",
    "literal_error": "must be {expected}.",
    "model_type": "must be a table.",
    "string_type": "must be text in quotes.",
    "too_long": "must have at most {max_length} values.",
    "too_short": "must have at least {min_length} value(s).",
    "tuple_type": "must be a list.",
}
"""Explanations by pydantic's type of a finding; pydantic's own words are the explanation of all others."""


def _explain_validation_error(error: Any) -> str:
    """Explain one of pydantic's findings in a line."""
    kind, parts = error["type"], [str(part) for part in error["loc"] if part != "int"]
    is_knob = parts[:1] == ["knobs"] and len(error["loc"]) > 3  # pydantic has one finding for each type of a knob
    path = ".".join(parts[:3] if is_knob else parts)
    if kind == "extra_forbidden":
        choices = (*Settings.model_fields, *TRAINING_KEYS)
        return f"{path}: there is no such setting. {did_you_mean(parts[-1], choices)}"
    message = error["msg"].removeprefix("Value error, ")
    if kind == "value_error" and isinstance(error["input"], dict):
        if not path:
            return message
        return f"{path}.{message}" if re.match(r"\w+ = ", message) else f"{path}: {message}"
    if kind == "missing":
        return f"{path}: is missing. Add it."
    if is_knob:
        message = "must be a whole number, text in quotes, true or false."
    elif kind in EXPLANATIONS:
        message = EXPLANATIONS[kind].format(**error.get("ctx", {}))
    elif kind != "value_error":
        message = f"{message[:1].lower()}{message[1:]}."
    return f"{path} = {error['input']!r}: {message}"


def dump(settings: Settings) -> str:
    """Return the settings as TOML."""
    return tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True))  # TOML has no null


def _with_current_names(tables: dict[str, Any]) -> dict[str, Any]:
    """Return the tables of a resolved configuration with the present names of training settings."""
    training = tables.get("training")
    if not isinstance(training, dict):
        return tables
    present = {old: new for new, old in OLDER_NAMES.items()}
    renamed = {
        family: {present.get(key, key): value for key, value in table.items()} if isinstance(table, dict) else table
        for family, table in training.items()
    }
    return tables | {"training": renamed}


def load(text: str, path: Path) -> Settings:
    """Return the settings that the resolved configuration `text` holds; `path` is its file, named in errors.

    Raises:
        InputError: if it is not TOML, or not a resolved configuration.
    """
    try:
        return Settings.model_validate(_with_current_names(tomllib.loads(text)))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path}: is not readable as TOML ({error}). Restore it, or use another --out.") from None
    except ValidationError as error:
        problem = f"{path}: does not hold resolved settings. Restore it, or use another --out."
        raise InputError(f"{problem}\n{_explain_validation_errors(error)}") from None
