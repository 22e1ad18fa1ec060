"""The run of all checks: collects the facts of each, and survives the failure of any."""

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
DEVELOPMENT_EXTRAS = ("dev", "docs", "peers")


def run_checks() -> Iterator[Finding]:
    """Run all checks, and yield the findings of each as soon as it is done."""
    for name, check in CHECKS.items():
        try:
            yield from check()
        except Exception as error:
            yield Finding(name, "wrong", f"the check itself failed ({type(error).__name__}: {error})")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _requires(name: str) -> list[str]:
    return metadata.requires(name) or []


def _packages() -> Iterator[Finding]:
    try:
        installed = metadata.metadata(NAME)
    except metadata.PackageNotFoundError:
        yield Finding("packages", "wrong", f"{NAME} is not installed, only its files are present. Run pip install .")
        return
    yield packages.check_python(platform.python_version(), installed["Requires-Python"] or "")
    yield packages.check_packages(_requires(NAME), _version)
    for name in installed.get_all("Provides-Extra") or ():
        if name not in DEVELOPMENT_EXTRAS:
            required = [text for text in _requires(NAME) if _belongs_to_extra(Requirement(text), name)]
            yield packages.check_extra(name, required, _version, _requires)


def _belongs_to_extra(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _jax() -> Iterator[Finding]:
    ran = run_isolated(devices.PROBE)
    yield devices.check_jax(ran)
    backend = devices.parse_probe(ran).get("backend")
    files = [*glob.glob("/dev/nvidia[0-9]*"), *glob.glob("/dev/accel[0-9]*")]
    yield devices.check_accelerator(
        files, find_spec("libtpu") is not None, backend, os.environ.get("JAX_PLATFORMS", "")
    )
    variables = dict(os.environ)

    def runs(environment: Mapping[str, str]) -> bool:
        return bool(devices.parse_probe(run_isolated(devices.PROBE, environment)))

    offending = [] if backend else devices.offending_variables(variables, runs)
    yield devices.check_environment_variables(variables, offending)


def _machine() -> Iterator[Finding]:
    folder = Path.cwd()
    yield machine.check_disk(folder, shutil.disk_usage(folder).free)
    import psutil

    limits = cgroup.limits()
    yield machine.check_memory(psutil.virtual_memory().available, limits.left)
    total = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else total
    yield machine.check_cores(usable, total, limits.cores)
    yield machine.check_semaphores(multiprocessing.get_context("spawn").Lock)
    yield machine.check_compilation_cache(os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(cache_folder() or ""))


def _files() -> Iterator[Finding]:
    yield packages.check_templates(Path(__file__).parent.parent / "presentation" / "templates")


def _gymnasium() -> Iterator[Finding]:
    import gymnasium

    from incentivize import envs

    yield packages.check_gymnasium_ids([entry.attr for entry in envs.FAMILIES.values()], gymnasium.registry)


def _plugins() -> Iterator[Finding]:
    names = ", ".join(point.name for point in plugins.find_plugins())
    if not names:
        yield from packages.check_plugins([])
        return
    ran = run_isolated(plugins.CODE)
    if ran.status != 0:
        yield Finding("plug-ins", "wrong", f"loading {names}: {ran.explain()}")
        return
    yield from packages.check_plugins(json.loads(ran.out.strip().splitlines()[-1]))


CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "packages": _packages,
    "jax": _jax,
    "machine": _machine,
    "templates": _files,
    "gymnasium": _gymnasium,
    "plug-ins": _plugins,
}
