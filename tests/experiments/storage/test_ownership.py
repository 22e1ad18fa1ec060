"""Run directories: made whole, written by one at a time, with a status that says how they stand."""

import errno
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from incentivize.experiments.errors import InputError, Stopped
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage import ownership
from incentivize.experiments.storage.io import write_atomic
from incentivize.experiments.storage.ownership import open_run_directory, set_status
from incentivize.experiments.storage.run_directory import RunDirectory

SETTINGS = Settings(study="task-count", families=("errands",))


def status(path):
    return json.loads((path / "status.json").read_text())


def test_a_directory_is_made_with_its_configuration_in_one_step(tmp_path, monkeypatch):
    with open_run_directory(tmp_path / "deep" / "run", SETTINGS) as directory:
        assert directory.settings() == SETTINGS
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["run"]
    (tmp_path / "empty").mkdir()
    with open_run_directory(tmp_path / "empty", SETTINGS) as directory:
        assert directory.settings() == SETTINGS
    monkeypatch.setattr(
        ownership, "write_atomic", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(InputError, match="cannot be written"), open_run_directory(tmp_path / "full", SETTINGS):
        pass
    assert not (tmp_path / "full").exists()
    assert not list(tmp_path.glob(".*"))


def test_the_directory_one_stands_in_will_do_if_it_is_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_run_directory(Path("."), SETTINGS):
        assert RunDirectory(tmp_path).settings() == SETTINGS
    (tmp_path / "config.toml").unlink()  # as where a process was killed before it wrote it
    with open_run_directory(Path("."), SETTINGS):
        assert RunDirectory(tmp_path).settings() == SETTINGS


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_where_no_directory_can_be_renamed_it_is_filled_where_it_lies(number, tmp_path, monkeypatch):
    def rename(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(ownership.os, "rename", rename)
    with open_run_directory(tmp_path / "run", SETTINGS) as directory:
        assert directory.settings() == SETTINGS
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_processes_of_the_same_number_have_left_is_in_nobodys_way_and_stays(tmp_path):
    """In containers every process may be number 1 of a host of the same name."""
    left = tmp_path / f".run.{os.getpid()}.part"
    left.mkdir()
    (left / "config.toml").touch()
    with open_run_directory(tmp_path / "run", SETTINGS) as directory:
        assert directory.settings() == SETTINGS
    assert (left / "config.toml").exists()


@pytest.mark.parametrize("error", [None, InputError("no")])
def test_what_a_process_of_the_same_number_has_said_stays(error, tmp_path):
    with open_run_directory(tmp_path / "run", SETTINGS):
        pass
    said = {"state": "running", "reason": "", "since": "", "host": socket.gethostname(), "process": os.getpid()}
    for token in ({}, {"token": "0" * 16}):
        (tmp_path / "run" / "status.json").write_text(json.dumps(said | token))
        before = (tmp_path / "run" / "status.json").read_bytes()
        with suppress(InputError), open_run_directory(tmp_path / "run", SETTINGS):
            if error:
                raise error
        assert (tmp_path / "run" / "status.json").read_bytes() == before


def test_a_long_name_is_a_name(tmp_path):
    with open_run_directory(tmp_path / ("ö" * 127), SETTINGS) as directory:
        assert directory.settings() == SETTINGS


def test_what_cannot_be_a_directory_is_refused_with_the_reason(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path, why in ((tmp_path / "link", "is a link to "), (tmp_path / ("a" * 300), "File name too long")):
        with pytest.raises(InputError, match=why) as caught, open_run_directory(path, SETTINGS):
            pass
        assert str(caught.value).startswith(f"--out = {path}: ")


def test_who_is_second_to_make_it_takes_what_the_first_has_made(tmp_path, monkeypatch):
    rename = os.rename

    def lose(source, target):
        target.mkdir()
        write_atomic(target / "config.toml", (source / "config.toml").read_text())
        rename(source, target)

    monkeypatch.setattr(ownership.os, "rename", lose)
    with open_run_directory(tmp_path / "run", SETTINGS) as directory:
        assert directory.settings() == SETTINGS
    assert not list(tmp_path.glob(".*"))


def test_a_second_writer_is_refused_and_told_who_the_first_is(tmp_path):
    with open_run_directory(tmp_path / "run", SETTINGS) as directory:
        set_status(directory, "running")
        with (
            pytest.raises(InputError, match="is being written by another run") as caught,
            open_run_directory(tmp_path / "run", SETTINGS),
        ):
            pass
        assert f"process {os.getpid()} on " in str(caught.value)
        assert status(tmp_path / "run")["state"] == "running"
    with open_run_directory(tmp_path / "run", SETTINGS):
        pass


def test_what_a_killed_process_held_is_free(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from incentivize.experiments.storage.ownership import open_run_directory, set_status\n"
        "from incentivize.experiments.settings.schema import Settings\n"
        "settings = Settings(study='task-count', families=('errands',))\n"
        "with open_run_directory(Path(sys.argv[1]), settings) as directory:\n"
        "    set_status(directory, 'running')\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(InputError, match=f"process {process.pid} on"), open_run_directory(tmp_path / "run", SETTINGS):
        pass
    process.kill()
    process.wait()
    process.stdout.close()
    for _ in range(100):
        try:
            with open_run_directory(tmp_path / "run", SETTINGS):
                break
        except InputError:
            time.sleep(0.05)
    else:
        raise AssertionError("it is still held")
    assert status(tmp_path / "run")["state"] == "running"  # nobody said otherwise


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (None, "done", ""),
        (Stopped(), "stopped", "on request"),
        (OSError(28, "No space left on device"), "failed", "the disk is full"),
        (ValueError("so it is"), "failed", "so it is"),
    ],
)
def test_the_status_says_how_it_ended(error, state, reason, tmp_path):
    try:
        with open_run_directory(tmp_path / "run", SETTINGS) as directory:
            set_status(directory, "running")
            if error:
                raise error
    except type(error or Stopped()):
        pass
    found = status(tmp_path / "run")
    assert (found["state"], found["reason"][: len(reason)]) == (state, reason)


def test_who_only_looks_changes_nothing(tmp_path):
    with open_run_directory(tmp_path / "run", SETTINGS) as directory:
        set_status(directory, "running")
    before = (tmp_path / "run" / "status.json").read_bytes()
    with open_run_directory(tmp_path / "run", SETTINGS):
        pass
    with pytest.raises(InputError, match="no"), open_run_directory(tmp_path / "run", SETTINGS):
        raise InputError("no")
    assert (tmp_path / "run" / "status.json").read_bytes() == before


def test_other_settings_are_refused_with_the_difference(tmp_path):
    with open_run_directory(tmp_path / "run", SETTINGS):
        pass
    other = SETTINGS.model_copy(update={"seeds": 3, "pools": (1, "new")})
    with (
        pytest.raises(InputError, match="holds a run of other settings") as caught,
        open_run_directory(tmp_path / "run", other),
    ):
        pass
    assert "pools: [1, 4, 64, 'new'] there, [1, 'new'] now; seeds: 2 there, 3 now" in str(caught.value)


@pytest.mark.parametrize("name", ["cells", "figures", "results.jsonl", "checkpoints/abc.msgpack"])
def test_a_directory_that_leads_out_of_itself_is_refused(name, tmp_path):
    with open_run_directory(tmp_path / "run", SETTINGS):
        pass
    (tmp_path / "secret").mkdir()
    link = tmp_path / "run" / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(tmp_path / "secret")
    with (
        pytest.raises(InputError, match="leads out of the run directory"),
        open_run_directory(tmp_path / "run", SETTINGS),
    ):
        pass
    link.unlink()
    link.symlink_to(tmp_path / "run" / "config.toml")  # within, it may
    with open_run_directory(tmp_path / "run", SETTINGS):
        pass


@pytest.mark.parametrize("name", ["config.toml", "results.jsonl", "meta.json"])
def test_files_that_changed_since_are_noticed(name, tmp_path):
    with open_run_directory(tmp_path / "run", SETTINGS) as directory:
        directory.check_digests()  # nothing is known of them yet
        directory.publish([{"cell": "a"}], None, blind={"errands": 0.25})
    directory.check_digests()
    path = tmp_path / "run" / name
    path.write_text(path.read_text().replace("a", "b", 1))
    problem = "cannot be read as part of a run .*not what was written" if name == "meta.json" else "has changed since"
    with pytest.raises(InputError, match=f"{name}: {problem}"):
        RunDirectory(tmp_path / "run").check_digests()
