"""Locks: held by one process at a time; where there are none it is the file system that is to blame."""

import errno
import fcntl
import os
import warnings
from contextlib import suppress

import pytest
from filelock import FileLock, Timeout

from incentivize.experiments.errors import InputError
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.lock import LockHeld, file_lock
from incentivize.experiments.storage.ownership import open_run_directory

SETTINGS = Settings(study="task-count", families=("errands",))


def no_locks(monkeypatch, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


def test_one_holds_it_at_a_time(tmp_path):
    with file_lock(tmp_path / "lock"), pytest.raises(LockHeld), file_lock(tmp_path / "lock"):
        pass
    with file_lock(tmp_path / "lock"), pytest.raises(LockHeld), file_lock(tmp_path / "lock", 0.05):
        pass
    with file_lock(tmp_path / "lock"):
        pass


@pytest.mark.parametrize("name", ["ENOLCK", "EOPNOTSUPP", "ENOTSUP", "EIO", "EINVAL", "ESTALE"])
def test_a_file_system_without_locks_is_named(name, tmp_path, monkeypatch):
    no_locks(monkeypatch, getattr(errno, name))
    with pytest.raises(InputError) as caught, open_run_directory(tmp_path / "run", SETTINGS):
        pass
    assert str(caught.value).startswith(f"{tmp_path / 'run'}: its file system has no locks (")
    assert os.strerror(getattr(errno, name)) in str(caught.value)
    assert "another run" not in str(caught.value)


def test_where_there_is_no_such_call_it_is_held_by_a_file_or_refused(tmp_path, monkeypatch):
    """New versions of filelock make a file then, old ones refuse."""
    no_locks(monkeypatch, errno.ENOSYS)
    with warnings.catch_warnings(), suppress(InputError):
        warnings.simplefilter("ignore")
        with file_lock(tmp_path / "lock"):
            return
    with pytest.raises(InputError, match="has no locks"), file_lock(tmp_path / "lock"):
        pass


@pytest.mark.parametrize("said", [Timeout("lock"), NotImplementedError("FileSystem does not appear to support flock")])
def test_a_lock_that_times_out_whatever_is_wrong_is_asked_why(said, tmp_path, monkeypatch):
    """As filelock 3.20 does, and as a file does that a killed process has left."""

    def acquire(*_, **__):
        raise said

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with pytest.raises(LockHeld), file_lock(tmp_path / "lock"):
        pass
    no_locks(monkeypatch, errno.ENOLCK)
    with pytest.raises(InputError, match=r"its file system has no locks .* delete it"), file_lock(tmp_path / "lock"):
        pass


@pytest.mark.parametrize("name", ["EACCES", "EROFS"])
def test_a_folder_that_may_not_be_written_is_named(name, tmp_path, monkeypatch):
    def acquire(*_, **__):
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)), str(tmp_path / "lock"))

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with pytest.raises(InputError, match="cannot be written to") as caught, file_lock(tmp_path / "lock"):
        pass
    assert str(caught.value).startswith(f"{tmp_path}: ")


def test_what_is_full_is_not_called_without_locks(tmp_path, monkeypatch):
    def acquire(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "lock"))

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with pytest.raises(OSError, match="No space left"), file_lock(tmp_path / "lock"):
        pass


def test_nobody_is_told_of_a_process_called_none(tmp_path):
    with (
        open_run_directory(tmp_path / "run", SETTINGS),
        pytest.raises(InputError, match="is being written by another run") as caught,
        open_run_directory(tmp_path / "run", SETTINGS),
    ):
        pass
    assert "None" not in str(caught.value)
