"""Another package brings a family, a reward, a network and a study by entry points, and everything works on them."""

import json
import os
import re
import subprocess
import sys
import tomllib
import types
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from incentivize import rewards
from incentivize.envs import registry
from incentivize.experiments import study_api
from incentivize.experiments.settings.schema import Settings
from tests.helpers import apart
from tests.helpers.apart import COMMAND
from tests.helpers.code_blocks import FILES, blocks, commands
from tests.helpers.paths import ROOT

SUMS = ROOT / "examples" / "sums"
TINY = """
pools = [4, "new"]
seeds = 1
eval_tasks = 8
eval_instances = 2
evaluations = 1
num_envs = 16
rollout_steps = 8
epochs = 1
minibatches = 1
width = 4
budget = 128
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the package installed in it, which is on the path of nobody else."""
    target = tmp_path_factory.mktemp("installed")
    uv = Path(sys.executable).with_name("uv")
    with FileLock(tmp_path_factory.getbasetemp().parent / "sums.lock"):  # it is built where it lies
        subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", "--target", target, SUMS], check=True)
    (target / "tiny.toml").write_text(TINY)
    return target


def python(folder, *arguments):
    return apart.python(folder, *arguments, PYTHONPATH=f"{folder}{os.pathsep}{ROOT}")


def test_its_own_tests_pass(folder):
    assert "passed" in python(folder, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", str(SUMS / "tests"))


COMMANDS = sorted({tuple(words) for name in FILES for words in commands(name, theirs=True)})
BROUGHT = [("families", "sums"), ("rewards", "stakes"), ("networks", "residual"), ("studies", "stakes")]
SEVERAL = """
import io, json, sys
from contextlib import redirect_stdout
from incentivize.experiments.cli.main import main
shown = []
for words in json.loads(sys.argv[1]):
    with redirect_stdout(io.StringIO()) as out:
        assert main(words) == 0, words
    shown.append([words, out.getvalue()])
print(json.dumps(shown))
"""


@pytest.fixture(scope="module")
def shown(folder):
    """The output of commands that take little time, by their words: all in one process."""
    lists = [["list", topic, "--json"] for topic, _ in BROUGHT]
    asked = [*lists, *(list(words[1:]) for words in COMMANDS if words[1] in ("list", "play"))]
    answers = json.loads(python(folder, "-c", SEVERAL, json.dumps(asked)))
    return {tuple(words): text for words, text in answers}


@pytest.mark.parametrize(("topic", "name"), BROUGHT)
def test_what_it_brings_is_listed(shown, topic, name):
    assert name in {row["name"] for row in json.loads(shown["list", topic, "--json"])}


@pytest.fixture(scope="module")
def studied(folder):
    """The page's command that runs the study, and its output: made small."""
    (words,) = (words for words in COMMANDS if words[1] == "run")
    return words, python(folder, *COMMAND, *words[1:], "--config", "tiny.toml", "--workers", "1")


def test_its_study_runs_with_its_family_reward_and_network(folder, studied):
    run = folder / "runs" / "stakes-quick"
    rows = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    assert {row["family"] for row in rows} == {"sums"}
    assert {row["reward"] for row in rows} - {None} == {"sparse", "sparse+stakes"}  # None: nobody learnt in it
    assert {row["network"] for row in rows} - {None} == {"residual"}
    assert "failures that cost something help" in (run / "report.html").read_text()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_commands_of_pages_that_install_it(request, words):
    if words[0] == "pip":
        assert words[1:] == ("install", f"./{SUMS.relative_to(ROOT)}")  # that is how the folder came about
        return
    if words[1] == "run":
        assert dict([request.getfixturevalue("studied")])[words]
    else:
        assert request.getfixturevalue("shown")[words[1:]]


def test_gymnasium_knows_its_family(folder):
    python(folder, "-c", "import gymnasium as g; g.make('incentivize:incentivize/Sums-v0').reset(seed=0)")


CHANGE = """
import json
import pathlib
from incentivize.experiments import studies
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.storage import code_version
study = studies.load("stakes")
base = {"study": "stakes", "preset": "quick"} | study.PRESETS["quick"]
cells = study.cells(resolve(base, presets.training_defaults("quick")))

def found():
    for cached in (code_version._digest, code_version._tree, code_version._statements):
        cached.cache_clear()
    return sorted({str(code_version.code_version(cell)) for cell in cells})

versions = {"": found()}
for file in FILES:
    path = pathlib.Path("incentivize_sums", file)
    text = path.read_text()
    path.write_text(f"{text}\\nMORE = 1\\n")
    versions[file] = found()
    path.write_text(text)
print(json.dumps(versions))
"""


@pytest.fixture(scope="module")
def versions(folder):
    """The versions of its study's cells: as it is, and with a change in one of its files."""
    files = ["family.py", "reward.py", "network.py"]
    return json.loads(python(folder, "-c", f"FILES = {files}\n{CHANGE}"))


@pytest.mark.parametrize("file", ["family.py", "reward.py", "network.py"])
def test_a_change_in_it_is_another_version_of_its_cells(versions, file):
    before, after = set(versions[""]), set(versions[file])
    assert before.isdisjoint(after) == (file != "reward.py")  # half of the cells do without the reward
    assert before != after


@pytest.mark.parametrize("name", study_api.__all__)
def test_every_name_of_the_door_for_studies_is_documented(name):
    value = getattr(study_api, name)
    constant = name.isupper() or isinstance(value, types.GenericAlias)
    assert constant or (
        value.__doc__ and not value.__doc__.startswith(f"{name}(")
    )  # which dataclasses write themselves


def test_the_door_for_studies_lists_all_that_it_has():
    assert {name for name in vars(study_api) if not name.startswith("__")} == set(study_api.__all__)


@pytest.mark.parametrize(
    "path", [ROOT / "docs" / "extending.md", *sorted(SUMS.rglob("*.py"))], ids=lambda path: path.name
)
def test_the_example_and_its_page_use_the_door_alone(path):
    """Compare the modules that a file names with those that packages may use; a command has a door of its own."""
    studies, _, commands = path.read_text().partition("## A command\n")
    named, of_commands = (set(re.findall(r"incentivize\.experiments[.\w]*", text)) for text in (studies, commands))
    assert named <= {"incentivize.experiments.study_api"}
    assert of_commands <= {"incentivize.experiments.cli.options", "incentivize.experiments.cli.result"}


def test_the_command_of_the_page_is_one(tmp_path):
    """Run the command of the page as a package that is not installed here would bring it."""
    module, entry_points = (
        block.text for block in blocks("docs/extending.md") if re.search("Command|commands", block.text)
    )
    group = tomllib.loads(entry_points)["project"]["entry-points"]["incentivize.commands"]
    ((name, where),) = group.items()
    file = tmp_path.joinpath(*where.partition(":")[0].split(".")).with_suffix(".py")
    file.parent.mkdir()
    file.write_text(module)
    about = tmp_path / "theirs-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[incentivize.commands]\n{name} = {where}\n")
    (tmp_path / "results.jsonl").write_text("{}\n{}\n")
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    assert "Count the rows of a run." in apart.python(tmp_path, *COMMAND, name, "--help", PYTHONPATH=path)
    assert "2 rows" in apart.python(tmp_path, *COMMAND, name, ".", PYTHONPATH=path)
    assert json.loads(apart.python(tmp_path, *COMMAND, name, ".", "--json", PYTHONPATH=path)) == {"rows": 2}


def test_the_page_lists_every_name_of_the_door():
    table = (ROOT / "docs" / "extending.md").read_text().partition("| names | meaning |")[2].partition("\n\n")[0]
    first_columns = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(first_columns))) == sorted(study_api.__all__)


def brought(monkeypatch, **entries):
    """A registry of one name of ours, beside which a package brings `entries`."""
    found = [EntryPoint(name, where, "incentivize.rewards") for name, where in entries.items()]
    for entry in found:
        vars(entry).update(dist=SimpleNamespace(name="theirs"))
    monkeypatch.setattr(registry, "entry_points", lambda group: found)
    return registry.Registry("rewards", {"sparse": "incentivize.rewards.sparse:sparse"})


def test_what_cannot_be_loaded_is_named(monkeypatch):
    both = brought(monkeypatch, more="nowhere.at_all:more")
    assert list(both) == ["sparse", "more"]
    named = r"'more' of rewards, from the package theirs: cannot be loaded from .*\. Reinstall theirs\.$"
    with pytest.raises(registry.LoadError, match=named):
        both.load("more")


def test_a_name_of_ours_stays_ours(monkeypatch):
    both = brought(monkeypatch, sparse="theirs:sparse")
    with pytest.warns(UserWarning, match="'sparse' of rewards, from the package theirs: the name is taken"):
        assert list(both) == ["sparse"]
    assert both.load("sparse").__module__ == "incentivize.rewards.sparse"


def test_of_two_packages_with_one_name_the_first_has_it(monkeypatch):
    later, first = (EntryPoint("more", f"{name}:more", "incentivize.rewards") for name in ("later", "first"))
    vars(later).update(dist=SimpleNamespace(name="of-z"))
    vars(first).update(dist=SimpleNamespace(name="of-a"))
    for found in ([later, first], [first, later]):
        monkeypatch.setattr(registry, "entry_points", lambda group, found=found: found)
        with pytest.warns(UserWarning, match="'more' of rewards, from the package of-z: the name is taken"):
            assert registry.Registry("rewards", {})["more"] == first


def test_a_command_that_cannot_be_loaded_is_left_out_and_named_where_it_is_asked_for(monkeypatch, capsys):
    from incentivize.experiments.cli import main

    entries = {name: main.COMMANDS[name].value for name in ("doctor", "list")} | {"more": "nowhere.at_all:More"}
    monkeypatch.setattr(main, "COMMANDS", brought(monkeypatch, **entries))
    problem = "'more' of rewards, from the package theirs: cannot be loaded from "
    with pytest.warns(UserWarning, match=problem):
        assert main.main(["list", "rewards"]) == 0
    capsys.readouterr()
    assert main.main(["more"]) == 2
    assert problem in capsys.readouterr().err


def test_a_run_is_refused_where_its_reward_cannot_be_loaded(monkeypatch):
    from incentivize.experiments.errors import InputError
    from incentivize.experiments.execution.validation import validate
    from incentivize.experiments.settings.training import Training

    monkeypatch.setattr(rewards, "REWARDS", brought(monkeypatch, more="nowhere.at_all:more"))
    settings = Settings(study="task-count", families=("errands",), training={"errands": Training(reward="more")})
    with pytest.raises(InputError, match=r"cannot be loaded from nowhere\.at_all:more \(ModuleNotFoundError"):
        validate(settings)
