"""Ambient settings that change numbers: set aside, refused, or part of a cell's code version. Does not import jax.

Settings of jax are set aside at entry (`envs.jax_settings`). XLA reads its flags itself, once: flags that relax
arithmetic are refused, flags that change no number pass, and all others are part of the code version
(`storage.code_version`) and of `meta.json`.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from incentivize.envs import jax_settings
from incentivize.experiments.errors import InputError

FLAGS = ("XLA_FLAGS", "LIBTPU_INIT_ARGS")  # environment variables that hold flags of XLA
PASSES = re.compile(
    r"xla_(force_host_platform_device_count|cpu_multi_thread_eigen|cpu_parallel_codegen_split_count|gpu_cuda_data_dir|"
    r"gpu_force_compilation_parallelism|hlo_profile|tpu_use_enhanced_launch_barrier|enable_dumping|detailed_logging.*|"
    r"enable_scoped_logging_timers|dump_.*|cpu_dump_.*|gpu_dump_.*|.*_timeout(_seconds)?|.*_warn_stuck_\w+)"
)
"""Flags that change no number: devices, threads (a worker always has one), dumps, logs and timeouts."""
RELAXES = re.compile(r"xla_\w*(fast_math|fast_min_max|_ftz|bf16)\w*")
"""Flags that relax arithmetic when they are on; those with "honor" in their names when they are off."""
USUAL = {
    "xla_allow_excess_precision": True,
    "xla_enable_fast_math": False,
    "xla_cpu_enable_fast_math": False,
    "xla_cpu_enable_fast_min_max": False,
    "xla_cpu_fast_math_honor_nans": True,
    "xla_cpu_fast_math_honor_infs": True,
    "xla_cpu_fast_math_honor_functions": True,
    "xla_cpu_fast_math_honor_division": True,
}
"""Defaults of XLA."""
ARITHMETIC = ("NVIDIA_TF32_OVERRIDE", "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE")
"""Environment variables of libraries under XLA that set the precision of products."""
FLAX: dict[str, Any] = {
    "flax_fix_rng_separator": False,
    "flax_return_frozendict": False,
    "flax_preserve_adopted_names": False,
}
"""Settings of Flax that change initial parameters or their names, with the values required here."""
UNCOMPILED = "runs need compiled programs. Unset it; `incentivize run --debug` locates a NaN."


def set_up_process(compiles: bool = False) -> None:
    """Make this process, and those that it starts, compute the same in any environment. Call it before jax is imported.

    Prints one line on the settings that it has set aside.

    Args:
        compiles: whether programs are compiled ahead of their use.

    Raises:
        InputError: if a flag relaxes arithmetic, or jit is disabled although programs are to be compiled.
    """
    if compiles and (text := os.environ.get("JAX_DISABLE_JIT", "")).lower() in jax_settings.ON:
        raise InputError(f"JAX_DISABLE_JIT = {text!r}: {UNCOMPILED}")
    if relaxed := relaxing_flags(os.environ):
        raise InputError(f"{'; '.join(relaxed)}: allows XLA to relax arithmetic, which changes results. Unset it.")
    overridden = set_aside(os.environ)
    for name in overridden:
        del os.environ[name]
    jax_settings.pin()
    for name, value in FLAX.items() if "flax" in sys.modules else ():
        sys.modules["flax"].config.update(name, value)
    if overridden:
        names = ", ".join(f"{name} = {text!r}" for name, text in overridden.items())
        print(f"{names}: ignored, so that results do not depend on them", file=sys.stderr)


def set_aside(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of jax and Flax with other values than required, with these values."""
    flax = {name: variables[name] for name in map(str.upper, FLAX) if name in variables}
    return jax_settings.overridden_variables(variables) | {
        name: text for name, text in flax.items() if text.lower() not in jax_settings.OFF
    }


def check_compiled() -> None:
    """Refuse to run while jit is disabled. Imports jax.

    Raises:
        InputError: if jit is disabled.
    """
    import jax

    if jax.config.values["jax_disable_jit"]:
        raise InputError(f"jax_disable_jit = True: {UNCOMPILED}")


@contextmanager
def ambient_for_workers(expected: Mapping[str, Any]) -> Iterator[None]:
    """Give this thread the ambient settings of another one until the block ends. Imports jax.

    Args:
        expected: settings that `unusual_settings` returned in the other thread or process.

    Raises:
        InputError: if some of the settings cannot be set in this thread.
    """
    with jax_settings.with_settings({name: value for name, value in expected.items() if name in jax_settings.NUMBERS}):
        actual = unusual_settings()
        if different := [name for name in sorted({*expected, *actual}) if expected.get(name) != actual.get(name)]:
            values = ", ".join(f"{name} = {expected.get(name, actual.get(name))}" for name in different)
            raise InputError(
                f"{values}: set in this process but not in its workers. Set it as an environment variable."
            )
        yield


def unusual_settings(variables: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return ambient settings that change numbers and differ from the defaults, sorted by name. Imports jax.

    They are settings of jax and Flax, flags of XLA, and variables of `ARITHMETIC`. Mostly there are none.
    """
    unusual = jax_settings.unusual_settings()
    if "flax" in sys.modules:
        settings = {name: getattr(sys.modules["flax"].config, name, value) for name, value in FLAX.items()}
        unusual |= {name: now for name, now in settings.items() if now != FLAX[name]}
    unusual |= {f"--{name}": value for name, value in unusual_flags(variables).items()}
    unusual |= {name: variables[name] for name in ARITHMETIC if variables.get(name)}
    return dict(sorted(unusual.items()))


def unusual_flags(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the flags of XLA that may change numbers, by name."""
    given = {name: value for variable in FLAGS for name, value in _flags(variables.get(variable, "")).items()}
    usual = {name for name, value in given.items() if name in USUAL and USUAL[name] == _switch(value)}
    return {name: value for name, value in given.items() if name not in usual and not PASSES.fullmatch(name)}


def relaxing_flags(variables: Mapping[str, str]) -> list[str]:
    """Return the flags of XLA that relax arithmetic, such as "XLA_FLAGS = '--xla_cpu_enable_fast_math=true'"."""
    return [
        f"{variable} = '--{name}={value}'"
        for variable in FLAGS
        for name, value in _flags(variables.get(variable, "")).items()
        if RELAXES.fullmatch(name) and _switch(value) is ("honor" not in name)
    ]


def spell_out(text: str) -> str:
    """Return the text of flags, read from a file where it does not begin with a dash: XLA takes it for a file name."""
    if not text.strip() or text.strip().startswith("-"):
        return text
    try:
        return " ".join(Path(text.strip()).read_text(encoding="utf-8").split())
    except (OSError, ValueError):  # XLA reports it
        return text


def _flags(text: str) -> dict[str, str]:
    """Parse flags into values by name; the last value of each counts."""
    text = spell_out(text)
    try:
        words = shlex.split(text)
    except ValueError:  # a quote that is not closed
        words = text.split()
    flags = (word.removeprefix("--").partition("=") for word in words if word.startswith("--"))
    return {name: value if equals else "true" for name, equals, value in flags}


def _switch(value: str) -> bool | None:
    """Return whether a flag's value means on or off; None where it means neither."""
    return {"true": True, "1": True, "false": False, "0": False}.get(value.lower())
