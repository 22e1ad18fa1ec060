"""The house: who may import whom, how many modules a folder holds, how long a chain of imports gets."""

import ast
import os
import shutil
import subprocess
import sys
from functools import lru_cache

import grimp
import pytest

from tests.helpers.paths import ROOT

FOLDERS = ("envs", "rewards", "agents", "experiments")
MOST_MODULES = 16  # in one folder
LONGEST_CHAIN = 16  # modules, each of which imports the next
LINT = ("-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache", "--no-logo")


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of the code to plant imports in."""
    copy = tmp_path_factory.mktemp("house")
    (copy / "incentivize").mkdir()
    for file in (ROOT / "incentivize").glob("*.py"):
        shutil.copy(file, copy / "incentivize")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / "incentivize" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def lint(house):
    """The exit status of the contracts, and what they say."""
    environment = os.environ | {"PYTHONPATH": str(house)}
    ran = subprocess.run(
        [sys.executable, *LINT], cwd=house, env=environment, capture_output=True, text=True, check=False
    )
    return ran.returncode, ran.stdout + ran.stderr


def test_the_contracts_hold(house):
    status, text = lint(house)
    assert status == 0, text


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("experiments/storage/io.py", "import incentivize.experiments.training.pytrees", "Storage never"),
        ("experiments/studies/slopes.py", "from incentivize.experiments.reporting import report", "Studies never"),
        ("experiments/analysis/claims.py", "from incentivize.experiments.cli import main", "The rooms of experiments"),
        ("envs/tasks.py", "from incentivize.agents import networks", "The house"),
        ("envs/wrappers/lives.py", "from incentivize.envs import gym", "The rooms of envs"),
        ("experiments/cli/choices.py", "import jax", "These import no jax"),
    ],
)
def test_a_planted_import_is_noticed(house, module, line, contract):
    path = house / "incentivize" / module
    text = path.read_text()
    path.write_text(f"{text}\n{line}\n")
    try:
        status, report = lint(house)
    finally:
        path.write_text(text)
    assert status == 1
    assert any(contract in row and row.endswith("BROKEN") for row in report.splitlines()), report


def packages():
    tops = [ROOT / folder for folder in (*FOLDERS, "tests", "benchmarks")]
    return sorted({file.parent for top in tops for file in top.rglob("*.py")})


@pytest.mark.parametrize("folder", packages(), ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_folder_can_be_seen_at_a_glance(folder):
    modules = sorted(file.name for file in folder.glob("*.py"))
    assert len(modules) <= MOST_MODULES, modules
    assert "__init__.py" in modules


@pytest.mark.parametrize("folder", [folder for folder in packages() if "tests" not in folder.parts], ids=str)
def test_a_room_says_what_it_holds(folder):
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    assert text.endswith(".")
    if folder.parent.name == "experiments":
        assert "May import" in text or "may import" in text


def test_no_chain_of_imports_is_long():
    graph = grimp.build_graph("incentivize", cache_dir=None)

    @lru_cache
    def longest(module):
        chains = (longest(imported) for imported in graph.find_modules_directly_imported_by(module) - {module})
        return (module, *max(chains, key=len, default=()))

    chain = max(map(longest, graph.modules), key=len)
    assert len(chain) <= LONGEST_CHAIN, chain
