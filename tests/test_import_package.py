"""How the package is imported: by its own name, by the folders of a checkout, and beside folders of somebody else's."""

import os
import subprocess
import sys

import pytest

from tests.helpers.apart import COMMAND, python
from tests.helpers.paths import ROOT

THEIRS = ("envs", "rewards", "agents", "experiments")  # folders that another project may well have, too
MODULES = (
    "envs",
    "envs.family",
    "envs.tasks",
    "envs.families.errands",
    "rewards",
    "rewards.sparse",
    "agents",
    "agents.ppo",
    "experiments",
    "experiments.cells",
)
SAME = """
import importlib, sys
ours = importlib.import_module("incentivize.NAME") if FIRST else None
alias = importlib.import_module("NAME")
ours = importlib.import_module("incentivize.NAME")
assert alias is ours is sys.modules["NAME"], (alias, ours)
assert ours.__name__ == ours.__spec__.name == "incentivize.NAME", (ours.__name__, ours.__spec__)
"""


def strict(folder, code, **environment):
    """Run code in a folder, where any warning is an error."""
    return python(folder, "-W", "error", "-c", code, **environment)


@pytest.fixture
def somebody(tmp_path):
    """A folder of another project with packages of our names, which fail when they are imported."""
    for name in THEIRS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise RuntimeError('{name} is not ours')\n")
    return tmp_path


def path(folder):
    """The PYTHONPATH of another project: its own folder, then the repository."""
    return {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}


@pytest.mark.parametrize("first", [False, True])
def test_a_folder_of_the_checkout_is_the_package_of_its_name(first):
    code = "".join(SAME.replace("NAME", name).replace("FIRST", str(first)) for name in MODULES)
    strict(ROOT, code)


def test_names_of_the_folders_modules_are_the_same_objects():
    strict(
        ROOT,
        "from envs.tasks import TaskSpace\n"
        "import envs.family, envs, rewards, agents, experiments, incentivize\n"
        "import incentivize.envs.tasks as tasks\n"
        "assert TaskSpace is tasks.TaskSpace\n"
        "assert envs.make('errands') == incentivize.envs.make('errands')\n"
        "assert (envs, rewards, agents, experiments) == tuple(\n"
        "    getattr(incentivize, name) for name in ('envs', 'rewards', 'agents', 'experiments'))\n",
    )


def test_a_module_that_is_not_there_is_not_found_under_either_name():
    for name in ("envs.nothing", "incentivize.envs.nothing"):
        attempt = f"import envs\ntry: import {name}\nexcept ModuleNotFoundError: raise SystemExit\n"
        strict(ROOT, f"{attempt}raise SystemExit(1)")


REGISTERED = """
import os
import gymnasium
import jax  # others' packages are imported once; ours by each of the processes that follow
def made(name, first=""):
    child = os.fork()
    if not child:
        exec(first)
        gymnasium.make(name).reset(seed=0)
        os._exit(0)  # not reached after an exception, which ends the process with another status
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, name
made("incentivize:incentivize/Errands-v0")
made("envs:incentivize/Errands-v0")
made("incentivize/Errands-v0", "import incentivize")
"""


def test_the_environments_are_registered_by_either_name():
    strict(ROOT, REGISTERED)


def test_the_package_is_the_command(tmp_path):
    assert "usage: incentivize" in python(ROOT, *COMMAND, "--help")
    assert "usage: incentivize" in python(tmp_path, *COMMAND, "--help", PYTHONPATH=str(ROOT))


def test_packages_of_our_names_in_another_project_are_left_alone(somebody):
    make = "import gymnasium; gymnasium.make('incentivize:incentivize/Errands-v0').reset(seed=0); "
    strict(somebody, f"{make}import sys; assert 'envs' not in sys.modules", **path(somebody))
    assert "relational" in python(somebody, *COMMAND, "list", "networks", **path(somebody))


def test_the_doctor_is_not_disturbed_by_packages_of_our_names(somebody):
    done = subprocess.run(
        [sys.executable, *COMMAND, "doctor"],
        cwd=somebody,
        capture_output=True,
        text=True,
        env=os.environ | path(somebody),
        check=False,
    )
    assert "is not ours" not in done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
