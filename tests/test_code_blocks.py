"""Every code block of the README and of the pages in docs/ is what it says: Python runs, commands are understood.

Settings (TOML) that a page gives a name ("`small.toml`:", just before) are there for its commands. With the slow tests
the commands really run, on budgets small enough for a test.
"""

import io
import re
import subprocess
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from incentivize.experiments.cli.main import main
from incentivize.experiments.settings.loading import dump
from incentivize.experiments.settings.schema import Settings
from tests.helpers.code_blocks import FILES, blocks, commands
from tests.helpers.paths import ROOT

TINY = tomllib.loads((ROOT / "tests" / "tiny.toml").read_text(encoding="utf-8"))
SHOWN = ("text", "bibtex", "{toctree}")  # languages of blocks in which there is nothing to be run


def write_settings(name: str, folder: Path) -> None:
    """Write the settings that a file gives a name."""
    for block in blocks(name):
        if block.language == "toml" and block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")


WITH = [name for name in FILES if commands(name)]


def test_the_readme_has_commands_and_python():
    assert len(commands("README.md")) >= 5
    assert any(block.language == "python" for block in blocks("README.md"))


@pytest.mark.parametrize("name", FILES)
def test_the_blocks_are_of_known_kinds(name):
    assert {block.language for block in blocks(name)} <= {"bash", "python", "toml", *SHOWN}
    for block in blocks(name):
        if block.language == "toml":
            tomllib.loads(block.text)


@pytest.mark.parametrize("name", [name for name in FILES if any(block.language == "python" for block in blocks(name))])
def test_the_python_runs(name, tmp_path, monkeypatch):
    """Block after block, each with the names of those before."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks(name):
        if block.language == "python":
            exec(compile(block.text, name, "exec"), names)


def understood(words: list[str], folder: Path) -> None:
    """As far as its settings: what it does is tested elsewhere."""
    if words[1] in ("report", "watch"):  # there has to be such a run
        for run in (folder / word for word in words[2:] if word.startswith("runs/")):
            run.mkdir(parents=True, exist_ok=True)
            (run / "config.toml").write_text(dump(Settings(study="task-count")))
    assert main(words[1:]) == 0


def made(words: list[str], folder: Path) -> None:
    """The target exists; the demo is the study that is told of."""
    shown = subprocess.run([*words, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert words != ["make", "demo"] or "incentivize run task-count --preset quick" in shown.stdout


def installed(words: list[str], folder: Path) -> None:
    """The package, with extras that there are."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert words[1] == "install"
    for word in words[2:]:
        wanted = Requirement(re.sub(r"^\.", "incentivize", word))
        assert wanted.name == "incentivize"
        assert wanted.extras <= set(extras)


def environment(words: list[str], folder: Path) -> None:
    """An environment is made, or entered."""
    assert words in (["python3", "-m", "venv", ".venv"], ["source", ".venv/bin/activate"])


def shown(words: list[str], folder: Path) -> None:
    """TensorBoard shows what a tracker has written: a server, which is not started here."""
    assert words[1:] == ["--logdir", "runs/mine/trackers/tensorboard"]


KINDS = {
    "incentivize": understood,
    "make": made,
    "pip": installed,
    "python3": environment,
    "source": environment,
    "tensorboard": shown,
}


@pytest.mark.parametrize("name", WITH)
def test_the_commands_are_understood(name, tmp_path, monkeypatch):
    for program in (
        "execution.study_run.run_study",
        "execution.slurm.launch",
        "runtime.distributed.initialize",
        "execution.tuning.tune",
        "bench.suite.bench",
        "reporting.report.report",
        "viewing.play.play",
        "viewing.watch.watch",
    ):
        answer = None if program == "execution.slurm.launch" else []
        monkeypatch.setattr(f"incentivize.experiments.{program}", lambda *_, answer=answer, **__: answer)
    monkeypatch.chdir(tmp_path)
    write_settings(name, tmp_path)
    for words in commands(name):
        assert words[0] in KINDS, words
        KINDS[words[0]](words, tmp_path)


def tiny(words: list[str]) -> list[str]:
    """The arguments of a command, and what makes it small."""
    more = {"tune": ["--trials", "1", "--seeds", "1", "--budget", "8192"], "bench": ["--repeats", "1"], "run": []}
    for key, value in TINY.items():
        if key == "families" and not {"--family", "--config"} & set(words):
            more["run"] += ["--family", *value]
        elif key not in ("families", "knobs") and (flag := f"--{key.replace('_', '-')}") not in words:
            more["run"] += [flag, *map(str, value if isinstance(value, list) else [value])]
    more["bench"] += ["--family", "errands"]
    return [*words[1:], *more.get(words[1], []), *["--workers", "1"] * (words[1] in ("run", "tune"))]


def runnable(name: str) -> list[list[str]]:
    """The commands of a file that run here: jobs, and several processes, have slow tests of their own."""
    ours = [words for words in commands(name) if words[0] == "incentivize"]
    return [words for words in ours if not {"--launcher", "--coordinator"} & set(words)]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in WITH if runnable(name)])
def test_the_commands_run_in_order(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody plays
    monkeypatch.setattr("incentivize.experiments.bench.suite.SPECIALISTS", 4)
    write_settings(name, tmp_path)
    for words in runnable(name):
        assert main(tiny(words)) == 0, words
        told = dict(pairwise(words))
        if words[1] == "run":
            assert (Path(told["--out"]) / "report.html").exists()
        assert all(Path(told[flag]).exists() for flag in ("--gif", "--picture", "--page") if flag in told)


def test_the_task_counts_of_the_readme_are_true():
    from incentivize import envs

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in envs.names():
        assert f"{envs.make(name).tasks.size:,}" in text
        assert f"| {envs.make(name).horizon} |" in text
