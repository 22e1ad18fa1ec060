"""A run small enough to be made several times over."""

from pathlib import Path

import pytest

from experiments.cli import main


@pytest.fixture(scope="session")
def tiny_config():
    return Path(__file__).parent.parent / "tiny.toml"


@pytest.fixture(scope="session")
def tiny_run(tiny_config, tmp_path_factory):
    """The directory of a finished run, made by two workers."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    arguments = ["run", "task-count", "--config", str(tiny_config), "--out", str(out), "--workers", "2"]
    assert main(arguments) == 0
    return out
