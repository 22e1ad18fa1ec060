"""A family is added as the README says, to a copy of the package: one file, one line, and everything works on it."""

import json
import re
import shutil

import pytest

from tests.helpers import apart
from tests.helpers.apart import COMMAND
from tests.helpers.paths import ROOT

TOY = ROOT / "examples" / "sums" / "incentivize_sums" / "family.py"
RUN = """
families = ["sums"]
pools = [1, "new"]
control_pools = ["new"]
seeds = 1
specialists = 1
eval_tasks = 8
eval_instances = 2
evaluations = 1
num_envs = 16
rollout_steps = 8
budget = 512
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the package with the toy family in it."""
    copy = tmp_path_factory.mktemp("package")
    for folder in ("incentivize", "envs", "rewards", "agents", "experiments", "tests"):
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    shutil.copy(TOY, copy / "envs" / "families" / "sums.py")
    registry = copy / "envs" / "__init__.py"
    line = '        "sums": "incentivize.envs.families.sums:Sums",\n'
    registry.write_text(re.sub(r'("families",\n    \{\n)', rf"\1{line}", registry.read_text(), count=1))
    assert line in registry.read_text()
    (copy / "run.toml").write_text(RUN)
    return copy


def python(package, *arguments):
    return apart.python(package, *arguments, JAX_COMPILATION_CACHE_DIR=str(ROOT / ".jax_cache"))


def test_it_is_one_short_file():
    assert len(TOY.read_text().splitlines()) <= 120


@pytest.mark.slow  # `test_examples` holds another family from outside against the contract
def test_it_obeys_the_contract(package):
    told = python(
        package, "-m", "pytest", "tests/envs/families/test_families.py", "tests/envs/test_render.py", "-k", "Sums"
    )
    assert "passed" in told


def test_it_is_listed_and_open_to_gymnasium(package):
    listed = json.loads(python(package, *COMMAND, "list", "families", "--json"))
    assert next(row["tasks"] for row in listed if row["name"] == "sums") == 5**6
    python(package, "-c", "import gymnasium as g; g.make('incentivize:incentivize/Sums-v0').reset(seed=0)")


@pytest.mark.slow
def test_it_is_studied(package):
    python(package, *COMMAND, "run", "task-count", "--config", "run.toml", "--out", "out", "--workers", "1")
    assert '"family": "sums"' in (package / "out" / "results.jsonl").read_text()
    assert (package / "out" / "report.html").exists()
