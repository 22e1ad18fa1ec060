"""Provenance: what a run is made with, such as versions, devices and the commit."""

import os
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any


def provenance() -> dict[str, Any]:
    """Versions, devices, the commit, and what changes numbers (`ambient.otherwise`), for `meta.json`. Imports jax."""
    import platform

    import jax

    from incentivize.experiments.runtime.ambient import unusual_settings

    packages = ("incentivize", "jax", "jaxlib", "flax", "optax", "numpy", "gymnasium")
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    devices = [f"{device.platform}:{device.device_kind}" for device in jax.devices()]
    made_with = {"versions": versions, "devices": devices, "cores": os.cpu_count(), "commit": _commit()}
    return made_with | {"ambient": unusual_settings()}


def _commit() -> str | None:
    """The commit of this program's own repository; None where it does not lie in one, as where it is installed.

    A repository around it, such as that of a project with its packages inside, is another program's.
    """
    root = Path(__file__).resolve().parents[2]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # as of a hook

    def git(*asked: str) -> str:
        command = ["git", "-C", str(root), *asked]
        ran = subprocess.run(command, env=variables, capture_output=True, text=True, errors="replace", check=False)
        return ran.stdout.strip() if ran.returncode == 0 else ""

    try:
        with (root / "pyproject.toml").open("rb") as file:
            if tomllib.load(file)["project"]["name"] != "incentivize":
                return None
        there = git("rev-parse", "--show-toplevel")
        own = there and Path(there).resolve() == root and git("ls-files", "--", str(Path(__file__).resolve()))
        return git("rev-parse", "HEAD") or None if own else None
    except (OSError, ValueError, KeyError, TypeError):  # there is no git, or no such file
        return None
