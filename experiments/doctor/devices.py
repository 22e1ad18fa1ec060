"""Checks of jax: whether it computes, on which devices, and what the environment does to it."""

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
found = {"backend": jax.default_backend(), "devices": [f"{d.platform}:{d.device_kind}" for d in jax.devices()]}
print(json.dumps(found | {"value": value, "seconds": time.perf_counter() - began, "version": jax.__version__}))
"""
EXPECTED = 512.0  # what it computes
SLOW = 30.0  # seconds

NOTABLE = {
    "JAX_DISABLE_JIT": "nothing is compiled: `run`, `tune` and `bench` refuse, Gymnasium and the rest are very slow",
    "JAX_DEBUG_NANS": "every number is looked at, which is slow; `incentivize run --debug` does so where it is of use",
    "JAX_DEBUG_INFS": "every number is looked at, which is slow",
}
"""Variables of jax that are no mistake as such, and what they do here."""
ASIDE = "`incentivize` and Gymnasium environments set it aside, other programs do not"


def answer(ran: IsolatedRun) -> dict[str, Any]:
    """What the probe found; empty where it did not get that far."""
    try:
        return dict(json.loads(ran.out.strip().splitlines()[-1])) if ran.status == 0 else {}
    except (ValueError, IndexError, TypeError):
        return {}


def computes(ran: IsolatedRun) -> Finding:
    """Whether jax compiles and runs a small program, rightly and in time."""
    found = answer(ran)
    if not found:
        return Finding("jax", "wrong", f"a small program does not run: {ran.why()}")
    devices = ", ".join(found["devices"])
    if found["value"] != EXPECTED:
        return Finding("jax", "wrong", f"computes {found['value']} for {EXPECTED} on {devices}: reinstall jax, jaxlib")
    said = f"{found['version']} compiles and runs on {devices} ({found['seconds']:.1f} s with the import)"
    if found["seconds"] > SLOW:
        return Finding("jax", "warning", f"{said}: that is slow; is the machine busy, or its disk far away?")
    return Finding("jax", "ok", said)


def accelerator(files: Sequence[str], libtpu: bool, backend: str | None, asked: str) -> Finding:
    """Whether an accelerator that is there is used.

    Args:
        files: of devices, such as /dev/nvidia0 or /dev/accel0.
        libtpu: whether TPUs' library is installed.
        backend: jax's; None where it does not run.
        asked: JAX_PLATFORMS.
    """
    gpus, tpus = ([file for file in files if kind in file] for kind in ("nvidia", "accel"))
    if backend not in ("cpu", None):
        return Finding("accelerator", "ok", f"jax uses it: {backend}")
    if not gpus and not tpus and not libtpu:
        return Finding("accelerator", "ok", "none is to be seen: runs use the CPU")
    what = "a GPU" if gpus else "a TPU"
    seen = f"{what} is there ({', '.join(gpus or tpus) or 'libtpu is installed'})"
    if asked:
        return Finding("accelerator", "warning", f"{seen}, but JAX_PLATFORMS = {asked!r}: unset it to use {what}")
    pip = "pip install 'incentivize[cuda]'" if gpus else "pip install 'incentivize[tpu]'"
    return Finding("accelerator", "warning", f"{seen}, but jax does not use it: {pip}")


def environment_variables(variables: Mapping[str, str], blamed: Sequence[str]) -> Finding:
    """What the environment does to jax.

    Args:
        variables: the environment.
        blamed: those without which jax runs, where it does not run with them.
    """
    if blamed:
        told = ", ".join(f"{name} = {variables[name]!r}" for name in blamed)
        return Finding("environment", "wrong", f"jax does not run with {told}, and does without: unset it")
    from incentivize.envs.ambient import ON
    from incentivize.experiments.runtime import ambient  # and with it gymnasium and pydantic, which may be broken, too

    if relaxed := ambient.relaxing_flags(variables):
        return Finding(
            "environment",
            "wrong",
            f"{'; '.join(relaxed)}: lets XLA round otherwise, so `incentivize` refuses: unset it",
        )
    on = {name: why for name, why in NOTABLE.items() if variables.get(name, "").lower() in ON}
    told = [f"{name} = {variables[name]!r}: {why}" for name, why in on.items()]
    aside = ambient.set_aside(variables)
    told += [f"{name} = {text!r}: {ASIDE}" for name, text in aside.items()]
    counts = [f"--{name}={value}" for name, value in ambient.unusual_flags(variables).items()]
    counts += [f"{name} = {variables[name]!r}" for name in ambient.ARITHMETIC if variables.get(name)]
    apart = f"; training runs with {', '.join(counts)} count as other ones" if counts else ""
    if told:
        return Finding("environment", "warning", "; ".join(told) + apart)
    known = [name for name in sorted(variables) if _of_jax(name)]
    seen = ", ".join(known) or "no variable of jax is set"
    return Finding("environment", "ok", f"nothing stands in the way ({seen}){apart}")


def offending_variables(variables: Mapping[str, str], runs: Callable[[Mapping[str, str]], bool]) -> list[str]:
    """The variables without which jax runs; one if one is enough, all of jax's if it takes them all."""
    mine = [name for name in sorted(variables) if _of_jax(name)]
    for gone in [*([name] for name in mine), mine]:
        if gone and runs({name: value for name, value in variables.items() if name not in gone}):
            return gone
    return []


def _of_jax(name: str) -> bool:
    return name.startswith(("JAX_", "XLA_", "TPU_", "LIBTPU_", "FLAX_")) or name == "CUDA_VISIBLE_DEVICES"
