"""The examination: finds what the checks are of, one after the other, and survives whatever it meets."""

import glob
import json
import multiprocessing
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

from incentivize.experiments.doctor import Finding, devices, machine, packages, plugins
from incentivize.experiments.doctor.isolated import run_isolated
from incentivize.experiments.runtime import cgroup
from incentivize.experiments.runtime.compilation_cache import cache_folder

NAME = "incentivize"
OURS = ("dev", "docs", "peers")  # extras for whoever works on the package itself


def run_checks() -> Iterator[Finding]:
    """All findings, as they come."""
    for check, look in CHECKS.items():
        try:
            yield from look()
        except Exception as error:
            yield Finding(check, "wrong", f"could not be looked at ({type(error).__name__}: {error})")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _requires(name: str) -> list[str]:
    return metadata.requires(name) or []


def _packages() -> Iterator[Finding]:
    try:
        about = metadata.metadata(NAME)
    except metadata.PackageNotFoundError:
        yield Finding("packages", "wrong", f"{NAME} is not installed, only its files are there: pip install .")
        return
    yield packages.python(platform.python_version(), about["Requires-Python"] or "")
    yield packages.packages(_requires(NAME), _version)
    for name in about.get_all("Provides-Extra") or ():
        if name not in OURS:
            wanted = [text for text in _requires(NAME) if _only_of(Requirement(text), name)]
            yield packages.extra(name, wanted, _version, _requires)


def _only_of(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _jax() -> Iterator[Finding]:
    ran = run_isolated(devices.PROBE)
    yield devices.computes(ran)
    backend = devices.answer(ran).get("backend")
    files = [*glob.glob("/dev/nvidia[0-9]*"), *glob.glob("/dev/accel[0-9]*")]
    yield devices.accelerator(files, find_spec("libtpu") is not None, backend, os.environ.get("JAX_PLATFORMS", ""))
    variables = dict(os.environ)

    def runs(environment: Mapping[str, str]) -> bool:
        return bool(devices.answer(run_isolated(devices.PROBE, environment)))

    yield devices.environment_variables(variables, [] if backend else devices.offending_variables(variables, runs))


def _machine() -> Iterator[Finding]:
    here = Path.cwd()
    yield machine.disk(here, shutil.disk_usage(here).free)
    import psutil

    limits = cgroup.limits()
    yield machine.memory(psutil.virtual_memory().available, limits.left)
    there = os.cpu_count() or 1
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else there
    yield machine.cores(mine, there, limits.cores)
    yield machine.semaphores(multiprocessing.get_context("spawn").Lock)
    yield machine.programs(os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(cache_folder() or ""))


def _files() -> Iterator[Finding]:
    yield packages.templates(Path(__file__).parent.parent / "presentation" / "templates")


def _gymnasium() -> Iterator[Finding]:
    import gymnasium

    from incentivize import envs

    yield packages.ids([entry.attr for entry in envs.FAMILIES.values()], gymnasium.registry)


def _plugins() -> Iterator[Finding]:
    if not plugins.there():
        yield from packages.plugins([])
        return
    ran = run_isolated(plugins.CODE)
    if ran.status != 0:
        names = ", ".join(point.name for point in plugins.there())
        yield Finding("plug-ins", "wrong", f"loading {names}: {ran.why()}")
        return
    yield from packages.plugins(json.loads(ran.out.strip().splitlines()[-1]))


CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "packages": _packages,
    "jax": _jax,
    "machine": _machine,
    "templates": _files,
    "gymnasium": _gymnasium,
    "plug-ins": _plugins,
}
