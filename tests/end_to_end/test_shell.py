"""The command beside other programs: wrong words, JSON for programs, pipes, files and colours."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from incentivize.experiments.cli.arguments import arguments_of, flags_of
from incentivize.experiments.cli.choices import CHOICES
from incentivize.experiments.cli.commands import COMMANDS
from incentivize.experiments.cli.commands import run as run_command
from incentivize.experiments.cli.commands.run import Run
from incentivize.experiments.cli.main import UNREAD, main
from incentivize.experiments.execution import validation
from tests.helpers.apart import CODE
from tests.helpers.terminal import PLAIN, in_a_terminal, run_several


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rnu"], "incentivize rnu: there is no such command. Did you mean 'run'?"),
        (["list", "famlies"], "TOPIC = 'famlies': there is no such name. Did you mean 'families'?"),
        (["bench", "trian"], "BENCHMARK = 'trian': there is no such name. Did you mean 'train'?"),
        (["run", "task-cuont"], "STUDY = 'task-cuont': there is no such name. Did you mean 'task-count'?"),
        (
            ["run", "task-count", "--lunacher", "slurm"],
            "--lunacher: `incentivize run` has no such flag. Did you mean '--launcher'?",
        ),
        (
            ["run", "task-count", "--launcher=slrum"],
            "--launcher = 'slrum': there is no such name. Did you mean 'slurm'?",
        ),
        (
            ["run", "task-count", "--control", "shufled"],
            "control = 'shufled': there is no such name. Did you mean 'shuffled'?",
        ),
        (
            ["run", "task-count", "--reward", "spars"],
            "reward = 'spars': there is no reward 'spars'. Did you mean 'sparse'?",
        ),
        (["run", "task-count", "--memory", "gruu"], "memory = 'gruu': there is no such name. Did you mean 'gru'?"),
        (["play", "maze"], "FAMILY = 'maze': there is no such name. Did you mean 'mazes'?"),
        (["play", "mazes", "--control", "blnd"], "--control = 'blnd': there is no such name. Did you mean 'blind'?"),
        (["play", "mazes", "--knob", "rosw=3"], "--knob = 'rosw': there is no such name. Did you mean 'rows'?"),
        (["tune", "mazes", "--arm", "taugt"], "--arm = 'taugt': there is no such name. Did you mean 'taught'?"),
        (
            ["play", "mazes", "--epxert"],
            "--epxert: `incentivize play` has no such flag. Did you mean '--expert'?",
        ),
        (
            ["play", "mazes", "errands"],
            "incentivize play: 'errands' is one word too many. Run `incentivize play --help` ",
        ),
        (["--vresion"], "incentivize --vresion: there is no such command. "),
        (["run"], "incentivize run: STUDY is missing. Run `incentivize run --help` "),
        (
            ["run", "--sed", "3", "task-count"],
            "--sed: `incentivize run` has no such flag. Did you mean '--seeds'?",
        ),
        (["run", "task-count", "--learning-rate", "fast"], "--learning-rate = 'fast': expected a number."),
        (["run", "task-count", "--learning_rate=fast"], "--learning-rate = 'fast': expected a number."),
        (["run", "task-count", "--seeds", "1.5"], "--seeds = '1.5': expected a whole number"),
        (["run", "--pools", "1", "task-count"], "--pools = 'task-count': expected a whole number or new"),
        (["run", "task-count", "--likelihood", "yes"], "--likelihood = 'yes': expected True or False"),
        (
            ["run", "task-count", "--specialist-learners", "tought"],
            "--specialist-learners = 'tought': expected incentiv",
        ),
        (["run", "task-count", "--out"], "--out: its value is missing. Give --out DIR."),
        (["run", "task-count", "--out", "--alone"], "--out: its value is missing. Give --out DIR."),
        (["run", "task-count", "--alone=1"], "--alone=1: --alone takes no value"),
        ([], "incentivize: COMMAND is missing. Give one of run, report, list, "),
    ],
)
def test_a_wrong_word_is_one_sentence_that_says_what_was_meant(arguments, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(sentence)
    assert captured.err.count("\n") == 1


def test_a_wrong_knob_in_a_file_is_named_with_what_was_meant(tmp_path, capsys):
    (tmp_path / "knobs.toml").write_text("[knobs.mazes]\nrosw = 3\n")
    arguments = ["run", "task-count", "--family", "mazes", "--config", str(tmp_path / "knobs.toml")]
    assert main([*arguments, "--out", str(tmp_path / "run")]) == 2
    assert "knobs.mazes.rosw: mazes has no such knob. Did you mean 'rows'?" in capsys.readouterr().err


def test_flags_are_read_off_the_commands():
    words = {word.name: word for word in arguments_of(Run)}
    assert next(iter(words)) == "study"
    assert {"--family", "--seeds", "--learning-rate", "--save-every", "--debug"} <= set(words)
    assert (words["--debug"].value, words["--pools"].takes_several, Path in words["--out"].kinds) == ("", True, True)
    assert (words["--taught-minibatches"].value, words["--entropy-coef-final"].value) == ("INT", "FLOAT")
    assert "--families" not in words
    for kind in map(COMMANDS.load, COMMANDS):
        assert len(set(flags_of(kind))) == len(flags_of(kind))
        for word in arguments_of(kind):
            assert word.name.startswith("--") or word.name in (*CHOICES, "runs", "run")


@pytest.mark.parametrize(
    ("arguments", "families"),
    [
        (["--family", "errands", "--family", "mazes"], ("errands", "mazes")),
        (["--family", "errands", "mazes"], ("errands", "mazes")),
        (["--family=errands", "--seeds", "1", "--family", "mazes", "puzzles"], ("errands", "mazes", "puzzles")),
        (["--pools", "1", "--pools", "new"], ("errands", "mazes")),
    ],
)
def test_a_flag_of_several_values_adds_up_however_often_it_stands_there(arguments, families, monkeypatch):
    asked = []
    monkeypatch.setattr(validation, "validate", lambda settings, _: asked.append(settings))
    monkeypatch.setattr("incentivize.experiments.execution.study_run.run_study", lambda *_, **__: None)
    monkeypatch.setattr(run_command, "_json_document", lambda _: {})
    assert main(["run", "task-count", *arguments]) == 0
    (settings,) = asked
    assert settings.families == families
    if "--pools" in arguments:
        assert settings.pools == (1, None)


def test_no_values_at_all_turn_a_list_off(monkeypatch):
    asked = []
    monkeypatch.setattr(validation, "validate", lambda settings, _: asked.append(settings))
    monkeypatch.setattr("incentivize.experiments.execution.study_run.run_study", lambda *_, **__: None)
    monkeypatch.setattr(run_command, "_json_document", lambda _: {})
    assert main(["run", "task-count"]) == 0
    assert main(["run", "task-count", "--taught-pools"]) == 0
    as_shipped, without = asked
    assert as_shipped.taught_pools
    assert without.taught_pools == ()


def test_json_is_one_document_also_where_something_goes_wrong(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for arguments, status in (
        (["report", "nowhere", "--json"], 2),
        (["run", "task-cuont", "--json"], 2),
        (["tune", "mazes", "--trails", "3", "--json"], 2),
    ):
        assert main(arguments) == status
        captured = capsys.readouterr()
        assert json.loads(captured.out) == {"error": captured.err.rstrip("\n"), "status": status}


def test_words_go_to_standard_error_where_json_is_asked_for(capsys, monkeypatch):
    def measure(what, families, repeats, console):
        print("from a library")
        console.print("a table")
        return {"results": list(families)}

    monkeypatch.setattr("incentivize.experiments.bench.suite.bench", measure)
    assert main(["bench", "train", "--family", "mazes", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"results": ["mazes"]}
    assert "from a library\na table" in captured.err


def test_tables_in_a_file_are_as_wide_as_they_have_to_be():
    from incentivize.experiments import studies

    shown = run_several([("list", "studies"), ("list", "families")])
    assert not any("…" in text for text in shown.values())
    rows = shown["list", "studies"].splitlines()
    for name in studies.names():
        assert any(name in row and studies.load(name).QUESTION in row for row in rows)
    assert "visible" in shown["list", "families"]
    assert "order=2, runs=3, length=8, asked=3, room=0." in shown["list", "families"]


def test_a_narrow_terminal_breaks_words_rather_than_leave_something_out(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["list", "families"]) == 0
    text = capsys.readouterr().out
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("arguments", [("list", "studies"), ("list", "studies", "--json"), ("run", "--help")])
def test_a_reader_that_ends_early_ends_the_command_quietly(arguments):
    reader, writer = os.pipe()
    os.close(reader)  # as `head` does, only sooner
    shown = subprocess.run([sys.executable, "-c", CODE, *arguments], env=PLAIN, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert shown.stderr == b""
    assert shown.returncode == UNREAD


def test_there_are_colours_in_a_terminal_alone_and_none_where_nobody_wants_them():
    colour = re.compile(rb"\x1b\[[\d;]*[349][0-8][\d;]*m")
    commands = [("list", "studies"), ("list", "--help")]
    coloured, plain, piped = in_a_terminal(commands), in_a_terminal(commands, NO_COLOR="1"), run_several(commands)
    for arguments in commands:
        assert b"\x1b[1m" in coloured[arguments]
        assert colour.search(coloured[arguments]) or "--help" not in arguments  # a list has nothing but bold
        assert not colour.search(plain[arguments])  # bold may be
        assert "\x1b[" not in piped[arguments]


def test_descriptions_are_there_where_python_leaves_docstrings_out():
    commands = [("list", "rewards"), ("--help",), ("completion", "fish")]
    without, usual = run_several(commands, "-OO"), run_several(commands)
    assert without == usual
    for text in without.values():
        assert any(word in text for word in ("Pay 1 on success", "List the families, rewards"))
