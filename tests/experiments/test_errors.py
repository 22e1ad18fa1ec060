"""What went wrong is a sentence."""

import errno
from dataclasses import replace

import jax.numpy as jnp
import pytest

from incentivize.agents import networks
from incentivize.experiments.cli.main import main as cli
from incentivize.experiments.errors import RunError, escape_control_characters, explain
from incentivize.experiments.execution import scheduler, validation
from incentivize.experiments.storage import cell_store, run_directory
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.studies import task_count
from incentivize.experiments.training import compiled_group, loop
from incentivize.experiments.training.groups import CellGroup
from tests.helpers.damage import copy
from tests.helpers.probes import Probe


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x"), "the disk is full; "),
        (ValueError("RESOURCE: Failed to write 7 bytes: No space left on device [28]"), "the disk is full; "),
        (MemoryError(), "out of memory. Reduce num_envs, "),
        (
            RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nmore"),
            "(RESOURCE_EXHAUSTED: Out of memory",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "here"), "here: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device", "a/x"), "(a/x)"),
        (OSError(errno.EROFS, "Read-only file system", "a/x"), "a/x: Read-only file system"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory. Reduce num_envs, "),
        (RuntimeError("can't start new thread"), "no further process or thread may be started. Raise"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "no further process or thread may be "),
        (RunError("no semaphore (No space left on device)"), "no semaphore (No space left on device)"),
        (KeyError(), "KeyError"),
        (ValueError("so it is"), "so it is"),
    ],
)
def test_a_reason_is_one_line(error, said):
    assert said in explain(error)
    assert "\n" not in explain(error)


def test_signs_that_move_a_cursor_are_spelt_out():
    assert escape_control_characters("a\x1b[31mb\n\u202e") == "a\\x1b[31mb\n\\u202e"


def test_an_accelerator_that_is_not_there_is_named(monkeypatch, tiny_config, tmp_path, capsys):
    def none():
        raise RuntimeError("Unable to initialize backend 'cuda'")

    monkeypatch.setattr(validation.jax, "devices", none)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    assert cli(["run", "task-count", "--config", str(tiny_config), "--out", str(tmp_path / "run")]) == 2
    assert "JAX_PLATFORMS = 'cuda': jax finds no such device. Unset it" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device", "x"), RuntimeError("RESOURCE_EXHAUSTED: Out of memory")]
)
def test_a_run_that_fails_says_why_and_goes_on_later(
    error, trained, tiny_run, monkeypatch, tiny_config, tmp_path, capsys
):
    run = copy(tiny_run, tmp_path / "run")
    next((run / "cells").iterdir()).unlink()

    def fail(*_):
        raise error

    arguments = ["run", "task-count", "--config", str(tiny_config), "--out", str(run), "--alone"]
    with monkeypatch.context() as patch:
        patch.setattr(scheduler, "run_groups", fail)
        assert cli(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("failed: ")
    assert "Traceback" not in said
    assert '"state": "failed"' in (run / "status.json").read_text()
    assert cli(arguments) == 0
    assert '"state": "done"' in (run / "status.json").read_text()
    assert (run / "results.jsonl").read_bytes() == (tiny_run / "results.jsonl").read_bytes()


def test_debugging_asks_for_checks_and_keeps_to_itself(tiny_run, tiny_config, tmp_path, monkeypatch, capsys):
    run, asked = copy(tiny_run, tmp_path / "run"), []
    next((run / "cells").iterdir()).unlink()
    monkeypatch.setattr(
        scheduler, "run_groups", lambda programs, work, deliver: asked.append((work.checkify, len(programs)))
    )
    arguments = ["run", "task-count", "--config", str(tiny_config), "--out"]
    cli([*arguments, str(run), "--alone"])
    assert cli([*arguments, str(run), "--alone", "--debug"]) == 2
    assert "was started without --debug, which trains with other programs" in capsys.readouterr().err
    cli([*arguments, str(tmp_path / "debug"), "--debug"])  # takes nothing over from the run beside it
    (_, one), (checked, all_programs) = asked
    assert checked
    assert all_programs > one == 1
    assert "cells to train" in capsys.readouterr().out


def test_checks_say_where_a_number_first_is_none(tiny_run, monkeypatch):
    """In a program as small as can be: of a probe, and without evaluations, as training ends before the first."""
    cell = next(cell for cell in task_count.cells(RunDirectory(tiny_run).settings()) if cell.role == "generalist")
    small = {"num_envs": 8, "rollout_steps": 2, "epochs": 1, "minibatches": 1}
    cell = replace(cell, training=cell.training.model_copy(update=small))
    hyper = loop.hyper_of(cell)._replace(gamma=jnp.float32(jnp.inf))
    monkeypatch.setattr(loop, "hyper_of", lambda cell: hyper)
    probe, setup = Probe(), loop.build_setup(cell)
    setup = replace(setup, family=probe, network=networks.make("mlp", probe, width=4))
    monkeypatch.setattr(loop, "build_setup", lambda cell: setup)
    monkeypatch.setattr(compiled_group, "count_successes", lambda *_: ())
    (trained,) = loop.train(CellGroup((cell,), 1))
    assert " is nan after 256 steps; try a lower learning_rate" in trained.failure
    with pytest.raises(Exception, match="nan generated by primitive"):
        loop.train(CellGroup((cell,), 1), checkify=True)
    loop._compiled_group.cache_clear()


def test_too_little_memory_to_read_what_there_is_is_not_taken_for_damage(
    tiny_run, tiny_config, tmp_path, monkeypatch, capsys
):
    run = copy(tiny_run, tmp_path / "run")
    before = {path: path.read_bytes() for path in (run / "cells").iterdir()}

    def lacking(*_):
        raise MemoryError

    arguments = ["run", "task-count", "--config", str(tiny_config), "--out", str(run)]
    for module, name in ((cell_store, "read_npz_array"), (run_directory, "read_bounded")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, lacking)
            assert cli(arguments) == 1
        said = capsys.readouterr().err
        assert said.startswith("failed: out of memory. ")
        assert "damaged" not in said
    assert {path: path.read_bytes() for path in (run / "cells").iterdir()} == before
