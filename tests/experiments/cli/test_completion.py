"""Completion: every command and flag is in it, and bash really completes what it should."""

import shutil
import subprocess

import pytest

from incentivize import envs
from incentivize.experiments import studies
from incentivize.experiments.cli.arguments import arguments_of, flags_of
from incentivize.experiments.cli.choices import CHOICES, SHELLS
from incentivize.experiments.cli.commands import COMMANDS
from incentivize.experiments.cli.completion import completion_script
from incentivize.experiments.cli.main import main

COMPLETE = """
source /dev/stdin <<< "$SCRIPT"
COMP_WORDS=(incentivize "$@")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
$(complete -p incentivize | sed 's/.*-F \\([^ ]*\\) .*/\\1/') incentivize "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def bash():
    """From the words of a command line, the last of them unfinished, to what bash offers."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    made = completion_script("bash")

    def offered(*words, cwd=None):
        command = ["bash", "--norc", "-c", COMPLETE, "bash", *words]
        shown = subprocess.run(command, env={"SCRIPT": made, "PATH": "/usr/bin:/bin"}, cwd=cwd, capture_output=True)
        assert not shown.stderr, shown.stderr
        return set(shown.stdout.decode().split())

    return offered


def test_bash_completes_commands_and_names(bash):
    assert bash("") == set(COMMANDS)
    assert bash("re") == {"report"}
    assert bash("run", "") >= set(studies.names())
    assert bash("run", "ta") == {"taste-and-hunger", "task-count"}
    assert bash("run", "--preset", "quick", "task-") == {"task-count"}
    assert bash("play", "") >= set(envs.names())
    assert bash("list", "fam") == {"families"}
    assert bash("completion", "") >= set(SHELLS)


@pytest.mark.parametrize(("flag", "name"), [("--network", "relational"), ("--reward", "hunger"), ("--memory", "gru")])
def test_bash_completes_values(bash, flag, name):
    assert name in bash("run", "task-count", flag, "")
    assert bash("run", "task-count", flag, name[:3]) == {name}


def test_bash_completes_several_values_and_the_flags_after_them(bash):
    assert bash("run", "task-count", "--family", "errands", "ma") == {"mazes"}
    assert bash("run", "task-count", "--family", "errands", "--net") == {"--network"}
    assert bash("run", "task-count", "--family", "errands", "--preset", "qu") == {"quick"}


def test_bash_completes_files_and_directories(bash, tmp_path):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "some.toml").write_text("")
    assert bash("report", "ru", cwd=tmp_path) == {"runs"}
    assert bash("run", "task-count", "--config", "so", cwd=tmp_path) == {"some.toml"}
    assert bash("run", "task-count", "--out", "so", cwd=tmp_path) == set()  # no directory


def test_every_command_and_flag_is_in_every_script():
    for shell in SHELLS:
        made = completion_script(shell)
        for name, kind in zip(COMMANDS, map(COMMANDS.load, COMMANDS), strict=True):
            assert name in made
            for flag in flags_of(kind):
                assert flag.lstrip("-") in made, (shell, name, flag)


def test_every_kind_of_name_is_asked_for_somewhere():
    words = {word.name.lstrip("-") for kind in map(COMMANDS.load, COMMANDS) for word in arguments_of(kind)}
    assert set(CHOICES) <= words
    for names in CHOICES.values():
        assert list(names())


def test_the_command_prints_the_script_and_refuses_other_shells(capsys):
    assert main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("#compdef incentivize")
    assert main(["completion", "bsh"]) == 2
    assert "SHELL = 'bsh': there is no such name. Did you mean 'bash'?" in capsys.readouterr().err
