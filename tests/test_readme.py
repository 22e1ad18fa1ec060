"""Every command in the README runs, on a run small enough for a test."""

import io
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from experiments.cli import main
from experiments.settings import Settings, dump

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line]
TINY = ROOT / "tests" / "tiny.toml"


def test_the_commands_are_of_known_kinds():
    assert len(COMMANDS) >= 5
    assert {command.split()[0] for command in COMMANDS} == {"make", "incentivize"}


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make")])
def test_make_targets_exist_and_run_the_study(command):
    shown = subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "incentivize run task-count --preset quick" in shown.stdout


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("incentivize")])
def test_the_other_commands_are_understood(command, tmp_path, monkeypatch):
    """As far as their settings: what they do is tested elsewhere, and with the slow tests they are all run."""
    for name in (
        "main.run_study",
        "checks.check",
        "tune.tune",
        "bench.bench",
        "report.report",
        "play.play",
        "watch.watch",
    ):
        monkeypatch.setattr(f"experiments.{name}", lambda *_, **__: [])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)  # the run to be reported
    (tmp_path / "runs" / "mine" / "config.toml").write_text(dump(Settings(study="task-count")))
    assert main(shlex.split(command)[1:]) == 0


@pytest.mark.slow
def test_the_other_commands_run_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody plays
    monkeypatch.setattr("experiments.bench.SPECIALISTS", 4)
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        if program == "make":
            continue
        if arguments[0] == "run":
            arguments += ["--config", str(TINY), "--workers", "1"]
        if arguments[0] == "tune":
            arguments[arguments.index("--trials") + 1] = "1"
            arguments += ["--seeds", "1", "--budget", "8192", "--workers", "1"]
        if arguments[0] == "bench":
            arguments += ["--family", "errands", "--repeats", "1"]
        assert main(arguments) == 0, command
    for run in ("standard", "mine"):
        assert (tmp_path / "runs" / run / "report.html").exists()
    assert {"mazes.gif", "mazes.png", "agents.gif", "agents.html"} <= {path.name for path in tmp_path.iterdir()}


def test_the_python_runs():
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_the_picture_is_there():
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", TEXT):
        assert (ROOT / picture).stat().st_size > 10_000


def test_the_task_counts_are_true():
    import envs

    for name in envs.names():
        assert f"{envs.make(name).tasks.size:,}" in TEXT
        assert f"| {envs.make(name).horizon} |" in TEXT
