"""Loading of settings: shipped defaults < preset < file (TOML) < flags. Reports every wrong key and value at once."""

import tomllib
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import (
    ValidationError,
)

from incentivize.experiments.errors import InputError, did_you_mean
from incentivize.experiments.settings.encoding import decode
from incentivize.experiments.settings.schema import TAUGHT_OVERRIDES, TRAINING_KEYS, Settings

MAX_CONFIG_BYTES = 2**20  # bytes of a configuration


def load_file(path: Path) -> dict[str, Any]:
    """A TOML file as it stands."""
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"--config {path}: is no file")
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise InputError(f"--config {path}: is larger than {MAX_CONFIG_BYTES:,} bytes")
        return tomllib.loads(decode(path.read_bytes()))
    except FileNotFoundError:
        raise InputError(f"--config {path}: there is no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"--config {path}: not a readable TOML file ({error})") from None


RENAMED = {"entropy": "entropy_coef", "entropy_end": "entropy_coef_final", "value": "value_coef"}
"""Training settings of run directories that older versions wrote, and their names now."""

FOLLOWERS = {key: f"taught_{key}" for key in TAUGHT_OVERRIDES} | {"entropy_coef": "entropy_coef_final"}
"""Keys whose absence means "the same", by the key that they follow: who sets that alone sets both."""


def _override(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """The upper values, and those of the lower ones that they leave."""
    gone = {follower for key, follower in FOLLOWERS.items() if key in upper}
    return {key: value for key, value in lower.items() if key not in gone} | upper


ALL_OTHER_FAMILIES = "*"


def resolve(base: dict[str, Any], defaults: dict[str, dict[str, Any]], *layers: dict[str, Any]) -> Settings:
    """The settings of a run.

    Args:
        base: the study, the preset and the preset's values, among them training values for every family if it has any.
        defaults: shipped training values by family; for one that has none, those under OTHERS.
        layers: file and flags, rising in rank. A training key at the top level is meant for every family, one in a
            table `training.<family>` for that family. What goes with a key falls with it: see `FOLLOWERS`.

    Raises:
        SettingsError: every wrong key and value at once.
    """
    merged: dict[str, Any] = {}
    told: list[tuple[dict[str, Any], dict[str, dict[str, Any]]]] = []  # for every family, and by family
    for layer in (base, *layers):
        tables = layer.get("training", {})
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            raise InputError(f"training = {tables!r}: want a table by family, such as [training.errands]")
        flat = {key: value for key, value in layer.items() if key in TRAINING_KEYS}
        merged |= {key: value for key, value in layer.items() if key not in flat and key != "training"}
        told.append((flat, tables))
    families = merged.get("families", Settings.model_fields["families"].default)
    chosen = [name for name in families if isinstance(name, str)] if isinstance(families, (list, tuple)) else []
    if "knobs" in base and merged["knobs"] is base["knobs"]:  # a preset's, which knows of more families
        merged["knobs"] = {family: knobs for family, knobs in base["knobs"].items() if family in chosen}
    flat, tables = told[0]
    told[0] = (flat, {family: table for family, table in tables.items() if family in chosen})
    merged["training"] = {}
    for name in dict.fromkeys([*(name for _, tables in told for name in tables), *chosen]):
        values = defaults.get(name, defaults.get(ALL_OTHER_FAMILIES, {}))
        for flat, tables in told:
            values = _override(values, flat | tables.get(name, {}))
        merged["training"][name] = values
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise InputError("\n".join(_explain_validation_error(item) for item in error.errors())) from None


def _explain_validation_error(error: Any) -> str:
    """One line for one of pydantic's findings."""
    path = ".".join(str(part) for part in error["loc"] if part not in ("int", "literal['new']"))
    key = path.rpartition(".")[2]
    if error["type"] == "extra_forbidden":
        return f"{path}: there is no such key; {did_you_mean(key, (*Settings.model_fields, *TRAINING_KEYS))}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error" and isinstance(error["input"], dict):
        return f"{path}: {message}" if path else message
    if error["type"] == "missing":
        return f"{path}: is missing"
    message = (message[:1].lower() + message[1:]).replace("tuple", "list")
    return f"{path} = {error['input']!r}: {message}"


def dump(settings: Settings) -> str:
    """The settings as TOML."""
    return tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True))  # TOML has no null


def _with_current_names(tables: dict[str, Any]) -> dict[str, Any]:
    """Return resolved settings with the names that training settings have now."""
    training = tables.get("training")
    if not isinstance(training, dict):
        return tables
    renamed = {
        family: {RENAMED.get(key, key): value for key, value in table.items()} if isinstance(table, dict) else table
        for family, table in training.items()
    }
    return tables | {"training": renamed}


def load(text: str, path: Path) -> Settings:
    """The settings of a resolved TOML text, which came from `path`.

    Raises:
        SettingsError: where it is none.
    """
    try:
        return Settings.model_validate(_with_current_names(tomllib.loads(text)))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not a readable TOML file ({error})") from None
    except ValidationError as error:
        wrong = "\n".join(_explain_validation_error(item) for item in error.errors())
        raise InputError(f"{path}: not a resolved configuration\n{wrong}") from None
