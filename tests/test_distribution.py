"""The wheel: one import package, which works beside packages and folders that are called like ours."""

import json
import shutil
import subprocess
import zipfile

import pytest
from uv import find_uv_bin

from tests.helpers import apart
from tests.helpers.apart import COMMAND
from tests.helpers.paths import ROOT

THEIRS = ("envs", "agents", "rewards", "experiments")  # as openai-agents and many projects call theirs
MAKE = """
import gymnasium
env = gymnasium.make("incentivize:incentivize/Errands-v0", pool_size=4)
env.reset(seed=0)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, made from the source distribution as a registry's users get it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if name.split("/")[0] in (*THEIRS, "incentivize", "pyproject.toml", "README.md", "LICENSE"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name, follow_symlinks=False)
    subprocess.run([find_uv_bin(), "build", "--quiet", "--out-dir", str(out), str(source)], check=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def project(wheel, tmp_path_factory):
    """A project with folders of its own by our names, none of which can be imported; the wheel lies behind it."""
    folder = tmp_path_factory.mktemp("project")
    for name in THEIRS:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("import a_package_of_theirs\n")
    installed = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(installed)
    return folder, installed


def python(project, *arguments):
    folder, installed = project
    return apart.python(folder, *arguments, PYTHONPATH=str(installed))


def test_the_wheel_holds_one_package_and_all_of_it(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == {"incentivize"}
    ours = {
        f"incentivize/{file.relative_to(ROOT).as_posix()}"
        for folder in THEIRS
        for pattern in ("*.py", "*.html", "*.js")
        for file in (ROOT / folder).rglob(pattern)
    }
    assert ours | {f"incentivize/{name}.py" for name in ("__init__", "__main__", "checkout")} == names


def test_the_commands_work_beside_folders_of_the_same_names(project):
    networks = json.loads(python(project, *COMMAND, "list", "networks", "--json"))
    assert "mlp" in {row["name"] for row in networks}
    assert "is wrong" in python(project, *COMMAND, "doctor")
    where = python(project, "-c", "import incentivize; print(incentivize.__file__)").strip()
    assert where == str(project[1] / "incentivize" / "__init__.py")


def test_gymnasium_makes_an_environment_beside_them(project):
    python(project, "-W", "error", "-c", MAKE)
