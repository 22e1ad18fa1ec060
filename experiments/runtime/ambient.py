"""What a process is told from outside that changes numbers: set aside, refused, or part of what a cell means.

Settings of jax are set aside at entry (`incentivize.envs.ambient`). Flags of XLA are read by XLA alone, once: those that relax
arithmetic are refused, those that are known to change nothing pass, and all others belong to the version of the code
that a cell counts by (`code.py`), and to `meta.json`. Does not import jax.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from incentivize.envs import ambient
from incentivize.experiments.errors import InputError

FLAGS = ("XLA_FLAGS", "LIBTPU_INIT_ARGS")  # variables that hold flags of XLA
PASSES = re.compile(
    r"xla_(force_host_platform_device_count|cpu_multi_thread_eigen|cpu_parallel_codegen_split_count|gpu_cuda_data_dir|"
    r"gpu_force_compilation_parallelism|hlo_profile|tpu_use_enhanced_launch_barrier|enable_dumping|detailed_logging.*|"
    r"enable_scoped_logging_timers|dump_.*|cpu_dump_.*|gpu_dump_.*|.*_timeout(_seconds)?|.*_warn_stuck_\w+)"
)
"""Flags that change no number: devices, threads (a worker has one whatever they say), dumps, logs and patience."""
RELAXES = re.compile(r"xla_\w*(fast_math|fast_min_max|_ftz|bf16)\w*")
"""Flags that relax arithmetic where they are on; those with "honor" in their names, where they are off."""
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
"""Values that XLA has by itself."""
ARITHMETIC = ("NVIDIA_TF32_OVERRIDE", "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE")
"""Variables of the libraries under XLA that say how exactly it multiplies."""
FLAX: dict[str, Any] = {
    "flax_fix_rng_separator": False,
    "flax_return_frozendict": False,
    "flax_preserve_adopted_names": False,
}
"""Settings of Flax that change first parameters or their names, and their values here."""
UNCOMPILED = "runs are compiled before they begin; unset it (`incentivize run --debug` finds where a NaN comes from)"


def set_up_process(compiles: bool = False) -> None:
    """Make this process, and those that it starts, compute the same whatever the environment says. Before jax.

    Says in one line what it has set aside.

    Args:
        compiles: whether what follows is compiled ahead of its use.

    Raises:
        SettingsError: where a flag relaxes arithmetic, or nothing may be compiled and has to be.
    """
    if compiles and (text := os.environ.get("JAX_DISABLE_JIT", "")).lower() in ambient.ON:
        raise InputError(f"JAX_DISABLE_JIT = {text!r}: {UNCOMPILED}")
    if relaxed := relaxing_flags(os.environ):
        raise InputError(
            f"{'; '.join(relaxed)}: lets XLA round otherwise than it is told, so that results differ; unset it"
        )
    aside = set_aside(os.environ)
    for name in aside:
        del os.environ[name]
    ambient.pin()
    for name, value in FLAX.items() if "flax" in sys.modules else ():
        sys.modules["flax"].config.update(name, value)
    if aside:
        told = ", ".join(f"{name} = {text!r}" for name, text in aside.items())
        print(f"set aside, so that results do not depend on it: {told}", file=sys.stderr)


def set_aside(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of jax and Flax that say otherwise than it has to be, and what they say."""
    flax = {name: variables[name] for name in map(str.upper, FLAX) if name in variables}
    return ambient.overridden_variables(variables) | {
        name: text for name, text in flax.items() if text.lower() not in ambient.OFF
    }


def check_compiled() -> None:
    """Refuse to begin what has to be compiled where nothing may be.

    Raises:
        SettingsError: where jit is disabled.
    """
    import jax

    if jax.config.values["jax_disable_jit"]:
        raise InputError(f"jax_disable_jit = True: {UNCOMPILED}")


@contextmanager
def ambient_for_workers(told: Mapping[str, Any]) -> Iterator[None]:
    """Compute in this thread as where `told` was found, until the block ends. Imports jax.

    Args:
        told: as `otherwise` returned it in another thread or process.

    Raises:
        SettingsError: where this thread cannot be made alike.
    """
    with ambient.with_settings({name: value for name, value in told.items() if name in ambient.NUMBERS}):
        here = unusual_settings()
        if different := [name for name in sorted({*told, *here}) if told.get(name) != here.get(name)]:
            said = ", ".join(f"{name} = {told.get(name, here.get(name))}" for name in different)
            raise InputError(f"{said}: set in this process but not in its workers. Set it as an environment variable.")
        yield


def unusual_settings(variables: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return what changes numbers here and is not as it is elsewhere, by name in order; mostly nothing. Imports jax.

    Settings of jax and of Flax with other values, flags of XLA that do not pass, and variables of ARITHMETIC.
    """
    found = ambient.unusual_settings()
    if "flax" in sys.modules:
        settings = {name: getattr(sys.modules["flax"].config, name, value) for name, value in FLAX.items()}
        found |= {name: now for name, now in settings.items() if now != FLAX[name]}
    found |= {f"--{name}": value for name, value in unusual_flags(variables).items()}
    found |= {name: variables[name] for name in ARITHMETIC if variables.get(name)}
    return dict(sorted(found.items()))


def unusual_flags(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the flags of XLA that may change numbers, by name."""
    given = {name: value for variable in FLAGS for name, value in _flags(variables.get(variable, "")).items()}
    passes = (name for name, value in given.items() if PASSES.fullmatch(name) or USUAL.get(name) == _switch(value))
    return {name: given[name] for name in given.keys() - set(passes)}


def relaxing_flags(variables: Mapping[str, str]) -> list[str]:
    """Return the flags of XLA that relax arithmetic, such as "XLA_FLAGS = '--xla_cpu_enable_fast_math=true'"."""
    return [
        f"{variable} = '--{name}={value}'"
        for variable in FLAGS
        for name, value in _flags(variables.get(variable, "")).items()
        if RELAXES.fullmatch(name) and _switch(value) is ("honor" not in name)
    ]


def spell_out(text: str) -> str:
    """Return flags as they are said, or as the file has them: XLA takes what begins with no dash for a file's name."""
    if not text.strip() or text.strip().startswith("-"):
        return text
    try:
        return " ".join(Path(text.strip()).read_text(encoding="utf-8").split())
    except (OSError, ValueError):  # XLA says so
        return text


def _flags(text: str) -> dict[str, str]:
    """Flag by name, the last one of each."""
    text = spell_out(text)
    try:
        words = shlex.split(text)
    except ValueError:  # a quote that is not closed
        words = text.split()
    said = (word.removeprefix("--").partition("=") for word in words if word.startswith("--"))
    return {name: value if equals else "true" for name, equals, value in said}


def _switch(value: str) -> bool | None:
    """Whether a flag is on; None where it is no switch."""
    return {"true": True, "1": True, "false": False, "0": False}.get(value.lower())
