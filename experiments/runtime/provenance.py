"""Provenance of a run: versions, devices, and the commit."""

import os
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any


def provenance() -> dict[str, Any]:
    """Collect versions, devices, the commit and `ambient.unusual_settings`, for `meta.json`. Imports jax."""
    import platform

    import jax

    from incentivize.experiments.runtime.jax_settings import unusual_settings

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
    """Return the commit of this program's own repository; None where it has none, as when it is installed.

    A repository around the program, such as that of a project with its packages inside, is not its own.
    """
    root = Path(__file__).resolve().parents[2]
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_")
    }  # set in hooks of git

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        result = subprocess.run(command, env=variables, capture_output=True, text=True, errors="replace", check=False)
        return result.stdout.strip() if result.returncode == 0 else ""

    try:
        with (root / "pyproject.toml").open("rb") as file:
            if tomllib.load(file)["project"]["name"] != "incentivize":
                return None
        top = git("rev-parse", "--show-toplevel")
        is_own = top and Path(top).resolve() == root and git("ls-files", "--", str(Path(__file__).resolve()))
        return git("rev-parse", "HEAD") or None if is_own else None
    except (OSError, ValueError, KeyError, TypeError):  # git or pyproject.toml is missing
        return None
