"""The settings of jax that change numbers, and the values that this project computes with.

Environment variables (`JAX_ENABLE_X64`), `jax.config` and jax's context managers set them. Importing this module
changes none of them, and does not import jax.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from enum import Enum
from functools import cache, wraps
from operator import attrgetter
from typing import Any, ParamSpec, TypeVar

Params = ParamSpec("Params")
Result = TypeVar("Result")

# fmt: off
DRAWS: dict[str, Any] = {
    "jax_enable_x64": False, "jax_explicit_x64_dtypes": "warn", "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True, "jax_random_seed_offset": 0, "jax_high_dynamic_range_gumbel": False,
}
"""Settings that change types and random numbers, by name, with this project's values."""

ROUNDS: dict[str, Any] = {
    "jax_default_matmul_precision": None, "jax_softmax_custom_jvp": False, "jax_use_direct_linearize": True,
    "jax_custom_vjp3": False, "jax_remat3": False, "eager_constant_folding": False,
    "jax_use_simplified_jaxpr_constants": False, "jax_embedded_constants_max_bytes": 32,
    "jax_threefry_gpu_kernel_lowering": False, "jax_use_shardy_partitioner": True,
    "jax_compiler_enable_remat_pass": True, "jax_enable_pgle": False, "jax_disable_most_optimizations": False,
    "jax_optimization_level": "UNKNOWN", "jax_exec_time_optimization_effort": 0.0,
    "jax_memory_fitting_level": "O2", "jax_memory_fitting_effort": 0.0,
}
"""Settings that compile the same code differently, which may change rounding, with this project's values."""

NUMBERS = DRAWS | ROUNDS
"""All settings that change numbers. The values are those that jax 0.10.2 ships with."""

GUARDS: dict[str, Any] = {
    "jax_numpy_rank_promotion": "allow", "jax_numpy_dtype_promotion": "standard",
    "jax_transfer_guard_host_to_device": "allow", "jax_transfer_guard_device_to_device": "allow",
    "jax_transfer_guard_device_to_host": "allow", "jax_debug_key_reuse": False, "jax_scan3": False,
    "jax_no_tracing": False, "jax_no_execution": False,
}
"""Settings that change no number, but make correct programs fail, with this project's values."""
# fmt: on

HARMLESS = (None, "warn", "log", "log_explicit")  # values of guards with which programs run on
_VALUE = attrgetter("value")
ON, OFF = ("y", "yes", "t", "true", "on", "1"), ("n", "no", "f", "false", "off", "0")


def unusual_settings() -> dict[str, Any]:
    """Return the settings that change numbers and have other values than NUMBERS in this thread, by name."""
    return {name: value for name, value in _now().items() if name in NUMBERS and value != NUMBERS[name]}


@contextmanager
def with_settings(settings: Mapping[str, Any]) -> Iterator[None]:
    """Set all settings of NUMBERS and GUARDS in this thread until the block ends.

    Args:
        settings: values by name, as `unusual_settings` returns them; all others get their values of NUMBERS and GUARDS.
    """
    with _entered(_wrong(_now(), settings)):
        yield


def pinned(function: Callable[Params, Result]) -> Callable[Params, Result]:
    """Make a function of integers return the same under all settings of jax, which it leaves as they were.

    Rounding is left to the settings: no episode depends on it. The check costs a few microseconds a call, and nothing
    is compiled again from one call to the next.
    """

    @wraps(function)
    def steady(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        wrong = _wrong_by_values(tuple(map(_VALUE, _drawing())))
        if not wrong:
            return function(*args, **kwargs)
        with _entered(wrong):
            return function(*args, **kwargs)

    return steady


def pin() -> None:
    """Set all settings of NUMBERS and GUARDS for this process and those that it starts."""
    for name in overridden_variables(os.environ):
        del os.environ[name]
    if "jax" in sys.modules:
        for name, value in _wrong(_now(), {}).items():
            sys.modules["jax"].config.update(name, value)


def overridden_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that set a value other than this project's, or one that jax does not know."""
    overridden = {}
    for name, value in ({"jax_transfer_guard": "allow"} | GUARDS | NUMBERS).items():  # the first sets all three guards
        text = variables.get(name.upper())
        if text is not None and not _fits(name, _read(text, value), value):
            overridden[name.upper()] = text
    return overridden


def _fits(name: str, current: Any, value: Any) -> bool:
    """Return whether a setting has its required value, or a harmless one."""
    return current == value or (name not in NUMBERS and current in HARMLESS)


def _wrong(current: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the required values of those settings that have others: `settings` first, then GUARDS and NUMBERS."""
    required = GUARDS | NUMBERS | dict(settings)
    return {name: required[name] for name, value in current.items() if not _fits(name, value, required[name])}


def _now() -> dict[str, Any]:
    """Return this thread's values of the settings that this version of jax has, as its variables spell them."""
    import jax

    values = jax.config.values
    return {name: _plain(values[name]) for name in (*NUMBERS, *GUARDS) if name in values}


def _plain(value: Any) -> Any:
    """Return a member of an enumeration as its variable spells it, and any other value itself."""
    return value.name.lower() if isinstance(value, Enum) else value


def _read(text: str, value: Any) -> Any:
    """Parse a variable's text as a value of the same type as `value`; return the text itself if that fails."""
    if isinstance(value, bool):
        return True if text.lower() in ON else False if text.lower() in OFF else text
    try:
        return type(value)(text) if isinstance(value, int | float) else text
    except ValueError:
        return text


@contextmanager
def _entered(settings: Mapping[str, Any]) -> Iterator[None]:
    """Set values in this thread, of those settings that a thread can have for itself."""
    with ExitStack() as stack:
        for name, value in settings.items():
            if name in _states():
                stack.enter_context(_states()[name](value))
        yield


@cache
def _states() -> dict[str, Any]:
    """Return the objects that set a setting for one thread, by name. jax makes only some of them public."""
    from jax._src import config

    return {name: config.config_states[name] for name in (*NUMBERS, *GUARDS) if name in config.config_states}


@cache
def _drawing() -> tuple[Any, ...]:
    """Return the settings whose values `pinned` reads, of those that this version of jax has."""
    return tuple(_states()[name] for name in (*DRAWS, *GUARDS) if name in _states())


@cache
def _wrong_by_values(values: tuple[Any, ...]) -> dict[str, Any]:
    """Return `_wrong` of the values of `_drawing`; cached, as every step asks for it."""
    return _wrong({state.name: _plain(value) for state, value in zip(_drawing(), values, strict=True)}, {})
