"""Checks of jax: whether it computes, on which devices, and which environment variables change it."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from incentivize.experiments.doctor import Finding
from incentivize.experiments.doctor.isolated import IsolatedRun

PROBE = """
import json, time
began = time.perf_counter()
import jax, jax.numpy as jnp
value = float(jax.jit(lambda matrix: (matrix @ matrix).sum())(jnp.ones((8, 8))))
report = {"backend": jax.default_backend(), "devices": [f"{d.platform}:{d.device_kind}" for d in jax.devices()]}
print(json.dumps(report | {"value": value, "seconds": time.perf_counter() - began, "version": jax.__version__}))
"""
EXPECTED_VALUE = 512.0  # computed by the probe
SLOW_SECONDS = 30.0

NOTABLE = {
    "JAX_DISABLE_JIT": "nothing is compiled; `run`, `tune` and `bench` refuse to start, everything else is very slow",
    "JAX_DEBUG_NANS": "every number is checked, which is slow; `incentivize run --debug` does so where it is useful",
    "JAX_DEBUG_INFS": "every number is checked, which is slow",
}
"""Variables of jax that are no mistake in themselves, and their effect here."""
OVERRIDDEN = "`incentivize` and Gymnasium environments override it, other programs do not"


def parse_probe(ran: IsolatedRun) -> dict[str, Any]:
    """Return the document that the probe printed; empty where it failed before that."""
    try:
        return dict(json.loads(ran.out.strip().splitlines()[-1])) if ran.status == 0 else {}
    except (ValueError, IndexError, TypeError):
        return {}


def check_jax(ran: IsolatedRun) -> Finding:
    """Check whether jax compiled and ran the probe, correctly and in time."""
    probe = parse_probe(ran)
    if not probe:
        return Finding("jax", "wrong", f"a small program does not run: {ran.explain()}")
    devices = ", ".join(probe["devices"])
    if probe["value"] != EXPECTED_VALUE:
        result = f"a small program computes {probe['value']} instead of {EXPECTED_VALUE} on {devices}"
        return Finding("jax", "wrong", f"{result}. Reinstall jax and jaxlib.")
    speed = f"{probe['version']} compiles and runs on {devices} ({probe['seconds']:.1f} s including the import)"
    if probe["seconds"] > SLOW_SECONDS:
        return Finding("jax", "warning", f"{speed}: slow. Check for other load or a network disk.")
    return Finding("jax", "ok", speed)


def check_accelerator(files: Sequence[str], libtpu: bool, backend: str | None, platforms: str) -> Finding:
    """Check whether jax uses an accelerator that is present.

    Args:
        files: device files, such as /dev/nvidia0 or /dev/accel0.
        libtpu: whether the library for TPUs is installed.
        backend: the backend of jax; None where jax does not run.
        platforms: the value of JAX_PLATFORMS, empty where it is not set.
    """
    gpus, tpus = ([file for file in files if kind in file] for kind in ("nvidia", "accel"))
    if backend not in ("cpu", None):
        return Finding("accelerator", "ok", f"jax uses it: {backend}")
    if not gpus and not tpus and not libtpu:
        return Finding("accelerator", "ok", "none found: runs use the CPU")
    kind, extra = ("a GPU", "cuda") if gpus else ("a TPU", "tpu")
    unused = f"{kind} is present ({', '.join(gpus or tpus) or 'libtpu is installed'}), but jax does not use it"
    if platforms:
        return Finding("accelerator", "warning", f"JAX_PLATFORMS = {platforms!r}: {unused}. Unset the variable.")
    return Finding("accelerator", "warning", f"{unused}. Run pip install 'incentivize[{extra}]'.")


def check_environment_variables(variables: Mapping[str, str], offending: Sequence[str]) -> Finding:
    """Check the environment variables that change jax.

    Args:
        variables: all environment variables, by name.
        offending: the names of those without which jax runs, where it does not run with them.
    """
    if offending:
        values = ", ".join(f"{name} = {variables[name]!r}" for name in offending)
        unset = "it" if len(offending) == 1 else "them"
        return Finding("environment", "wrong", f"{values}: jax runs only without {unset}. Unset {unset}.")
    from incentivize.envs.jax_settings import ON
    from incentivize.experiments.runtime import jax_settings  # imports gymnasium and pydantic, which may be broken, too

    if relaxed := jax_settings.relaxing_flags(variables):
        refusal = "allows XLA to relax arithmetic, so `incentivize` refuses to start. Unset it."
        return Finding("environment", "wrong", f"{'; '.join(relaxed)}: {refusal}")
    notes = [
        f"{name} = {variables[name]!r}: {effect}"
        for name, effect in NOTABLE.items()
        if variables.get(name, "").lower() in ON
    ]
    notes += [f"{name} = {text!r}: {OVERRIDDEN}" for name, text in jax_settings.set_aside(variables).items()]
    numeric = [f"--{name}={value}" for name, value in jax_settings.unusual_flags(variables).items()]
    numeric += [f"{name} = {variables[name]!r}" for name in jax_settings.ARITHMETIC if variables.get(name)]
    pronoun = "it" if len(numeric) == 1 else "them"
    apart = f"; cells trained with {', '.join(numeric)} are not reused without {pronoun}" if numeric else ""
    if notes:
        return Finding("environment", "warning", "; ".join(notes) + apart)
    names = ", ".join(name for name in sorted(variables) if _concerns_jax(name)) or "no variable of jax is set"
    return Finding("environment", "ok", f"no variable interferes with jax ({names}){apart}")


def offending_variables(variables: Mapping[str, str], runs: Callable[[Mapping[str, str]], bool]) -> list[str]:
    """Find the variables without which jax runs: a single one if that is enough, otherwise all of jax's.

    Args:
        variables: all environment variables, by name.
        runs: function that returns whether jax runs in an environment.
    """
    names = [name for name in sorted(variables) if _concerns_jax(name)]
    for removed in [*([name] for name in names), names]:
        if removed and runs({name: value for name, value in variables.items() if name not in removed}):
            return removed
    return []


def _concerns_jax(name: str) -> bool:
    return name.startswith(("JAX_", "XLA_", "TPU_", "LIBTPU_", "FLAX_")) or name == "CUDA_VISIBLE_DEVICES"
