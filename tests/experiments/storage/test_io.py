"""Files on file systems that cannot do everything, and with little memory."""

import errno
import os
import stat

import pytest

from incentivize.experiments.errors import InputError, explain
from incentivize.experiments.storage import io
from incentivize.experiments.storage.io import reading, write_atomic


def folders_answer(monkeypatch, number, call):
    """Has `call` of `os`, asked about a folder, fail."""
    real = getattr(os, call)

    def fails(what, *more, **named):
        folder = os.path.isdir(what) if call == "open" else stat.S_ISDIR(os.fstat(what).st_mode)
        if folder:
            raise OSError(number, os.strerror(number))
        return real(what, *more, **named)

    monkeypatch.setattr(io.os, call, fails)


@pytest.mark.parametrize("name", ["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EBADF", "EACCES", "EPERM"])
def test_what_cannot_be_done_with_a_folder_does_not_matter(name, tmp_path, monkeypatch):
    for call in ("open", "fsync"):
        with monkeypatch.context() as patch:
            folders_answer(patch, getattr(errno, name), call)
            write_atomic(tmp_path / call, "text")
        assert (tmp_path / call).read_text() == "text"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["EIO", "ENOSPC", "EDQUOT"])
def test_what_is_lost_is_said_with_the_file(name, tmp_path, monkeypatch):
    folders_answer(monkeypatch, getattr(errno, name), "fsync")
    with pytest.raises(OSError, match=os.strerror(getattr(errno, name))) as caught:
        write_atomic(tmp_path / "file", "text")
    assert str(tmp_path / "file") in explain(caught.value)


def test_a_full_disk_names_the_file_that_found_it_so(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(io.os, "fsync", full)
    with pytest.raises(OSError, match="No space") as caught:
        write_atomic(tmp_path / "file", "text")
    assert "the disk is full; " in explain(caught.value)
    assert str(tmp_path / "file") in explain(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OSError(errno.EMFILE, "Too many open files"), OSError(errno.ENOMEM, "Cannot allocate memory")],
)
def test_too_little_of_the_machine_is_no_damage(error, tmp_path):
    with pytest.raises(type(error)), reading(tmp_path / "meta.json"):
        raise error
    with pytest.raises(InputError, match="cannot be read as part of a run"), reading(tmp_path / "meta.json"):
        raise ValueError("so it is")
