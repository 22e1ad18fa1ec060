"""Paths as users say them: addresses are refused, home folders found, wherever a path is taken."""

import os

import pytest

from incentivize.experiments.cli.arguments import expand_home
from incentivize.experiments.cli.main import main
from incentivize.experiments.errors import InputError
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.settings.paths import check_usable_path, expand_local_path

ADDRESSES = [
    "gs://bucket/run",
    "gs:/bucket/run",
    "S3://b",
    "https://a.b/c",
    "file:///x",
    "hdfs://n:1/x",
    "my+own.1-2://x",
]
PATHS = ["run", "/a/b", "./gs:", "lr=0.1,seed:3", "a:b/c", "C:/x", "a b/ö", "a/~", "./~", "1://x", "x/gs://y"]


@pytest.mark.parametrize("said", ADDRESSES)
def test_an_address_is_no_path(said):
    with pytest.raises(ValueError, match="is an address"):
        expand_local_path(said)


@pytest.mark.parametrize("said", PATHS)
def test_any_other_text_is_a_path(said):
    assert expand_local_path(said) == said
    check_usable_path(said)


def test_a_home_folder_is_found_or_said_not_to_be_there(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_local_path("~") == str(tmp_path)
    assert expand_local_path("~/a/b") == f"{tmp_path}/a/b"
    assert expand_local_path("~root/x").endswith("/x")
    assert os.path.isabs(expand_local_path("~root/x"))
    for home, said in (("", "~/run"), ("rel", "~/run"), (str(tmp_path), "~nobody-of-this-name/x")):
        monkeypatch.setenv("HOME", home)
        with pytest.raises(ValueError, match="there is no home folder ~"):
            expand_local_path(said)


@pytest.mark.parametrize(
    ("said", "why"), [("", "is empty"), (" ", "is empty"), ("a" * 300, "File name too long"), ("a\0b", "null")]
)
def test_what_cannot_be_a_path_is_refused(said, why):
    with pytest.raises(ValueError, match=why):
        check_usable_path(said)


COMMANDS = [
    ["run", "task-count", "--out"],
    ["run", "task-count", "--config"],
    ["run", "task-count", "--start-from"],
    ["run", "task-count", "--start_from"],
    ["report", "runs", "--out"],
    ["report"],
    ["report", "runs"],
    ["play", "errands", "--gif"],
    ["play", "errands", "--picture"],
    ["watch"],
    ["watch", "--json"],
    ["watch", "runs", "--page"],
    ["watch", "runs", "--gif"],
    ["tune", "errands", "--out"],
    ["tune", "errands", "--config"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("said", ["gs://bucket/x", "~nobody-of-this-name/x"])
def test_every_command_refuses_them_before_anything_is_begun(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    spellings = [[*words, said]]
    if words[-1].startswith("--") and words[-1] != "--json":
        spellings.append([*words[:-1], f"{words[-1]}={said}"])
    for arguments in spellings:
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert said in error
        assert "is an address" in error or "there is no home folder ~nobody-of-this-name" in error
    assert list(tmp_path.iterdir()) == []


def test_home_folders_are_put_into_a_command_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    line = ["task-count", "--out=~/run", "--config", "~/c.toml", "--job", "slurm_setup=cd ~", "--alone"]
    expected = ["task-count", f"--out={tmp_path}/run", "--config", f"{tmp_path}/c.toml", "--job", "slurm_setup=cd ~"]
    assert expand_home(line) == [*expected, "--alone"]


def test_a_configuration_may_name_a_home_folder_and_no_address(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    base = {"study": "task-count", "preset": "quick", "families": ("errands",)}
    at_home = resolve(base, {}, {"training": {"errands": {"start_from": "~/a.msgpack"}}})
    assert at_home.training["errands"].start_from == f"{tmp_path}/a.msgpack"
    for layer in ({"start_from": "gs://b/a"}, {"training": {"errands": {"start_from": "gs://b/a"}}}):
        with pytest.raises(InputError, match=r"training.errands.start_from = 'gs://b/a': is an address"):
            resolve(base, {}, layer)
