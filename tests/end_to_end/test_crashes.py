"""Runs that are killed or asked to stop, and go on as if nothing had happened."""

import gc
import os
import signal
import subprocess
import sys
import threading

import pytest

from incentivize.experiments.cli.main import main
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.studies import inference_search
from incentivize.experiments.training.groups import CellGroup
from tests.helpers.crashing import arguments, begin, harness, hashes, interrupt, orphans, said, wait_for
from tests.helpers.drawing import leave_out_pictures

SHORT = """
families = ["codebooks"]
seeds = 2
simulations = [0]
attempts = 1
eval_tasks = 8
eval_instances = 2
evaluations = 3
specialists = 1
num_envs = 8
rollout_steps = 8
minibatches = 2
network = "mlp"
memory = "gru"
width = 8
budget = 32768

[knobs.codebooks]
cues = 6
exam = 2
"""
STUDY = "test-time"  # one program: two recurrent agents side by side


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A run of one group, which takes many steps between an evaluation and the next."""
    path = tmp_path_factory.mktemp("config") / "short.toml"
    path.write_text(SHORT)
    return path


@pytest.fixture(scope="module")
def alone(short, tmp_path_factory):
    """The directory of a run that was let alone."""
    out = tmp_path_factory.mktemp("alone") / "run"
    with pytest.MonkeyPatch.context() as patch:
        leave_out_pictures(patch)
        assert main(arguments(out, 1, short, STUDY)) == 0
    return out


def wait_for_checkpoint(process, out, alone):
    """Wait until a run has sealed a checkpoint of its only group, of which no cell is finished."""
    (seal, *_) = wait_for(process, out, lambda: list(out.glob("checkpoints/groups/*/[0-9]*/sealed.json")))
    cells = inference_search.cells(RunDirectory(alone).settings())
    assert seal.parent.parent.name == CellGroup(tuple(cells), 2).id
    assert {path.stem for path in (alone / "cells").iterdir()} == {cell.id for cell in cells}


def end(out, short, capfd):
    """Let an interrupted run end, from its checkpoint."""
    assert not list((out / "cells").glob("*.npz"))
    assert main(arguments(out, 1, short, STUDY)) == 0
    assert "resumes from step" in "".join(capfd.readouterr())


def test_a_run_that_was_killed_ends_as_if_it_had_not_been(alone, short, tmp_path, monkeypatch, capfd):
    leave_out_pictures(monkeypatch)
    out = tmp_path / "run"
    process = begin(out, 1, short, STUDY)
    wait_for_checkpoint(process, out, alone)
    assert interrupt(process, out, "kill") == "kill"
    assert not (out / "results.jsonl").exists()
    end(out, short, capfd)
    assert hashes(out) == hashes(alone)
    assert not orphans(tmp_path)


def test_a_run_that_was_stopped_lets_no_other_in_and_ends_as_if_nothing_had_been(
    alone, short, tmp_path, monkeypatch, capfd
):
    leave_out_pictures(monkeypatch)
    out = tmp_path / "run"
    process = begin(out, 1, short, STUDY)
    try:
        wait_for_checkpoint(process, out, alone)
        assert main(arguments(out, 1, short, STUDY)) == 2
        assert f"is being written by another run (process {process.pid} on " in capfd.readouterr().err
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 75, said(out)
    finally:
        process.kill()
        process.wait()
    end(out, short, capfd)
    assert hashes(out) == hashes(alone)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_fifty_kills_and_ten_requests(workers, tmp_path, capsys):
    counts = harness(tmp_path, kills=50, terms=10, workers=workers)
    with capsys.disabled():
        print(f"\n{workers} workers: {dict(counts)}")
    assert counts["kill"] + counts["kill all"] == 50
    assert counts["term"] == 10


HEED = (
    "import os, signal, time\nfrom incentivize.experiments.runtime import signals\n"
    "with signals.stop_on_signal():\n"
    "    print('ready', flush=True)\n"
    "    while True: time.sleep(0.01)\n"
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_asks_and_a_second_ends_at_once(number):
    process = subprocess.Popen([sys.executable, "-c", HEED], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    process.send_signal(number)
    assert process.wait(10) == 75
    process.stdout.close()


def test_a_signal_before_the_run_is_heeded_where_the_garbage_collector_swallows_the_exception(monkeypatch):
    """The collector runs whenever it likes, and jax has a callback there."""
    from incentivize.experiments.runtime import signals

    swallowed = []
    monkeypatch.setattr(signals, "interrupted", threading.Event())
    monkeypatch.setattr(sys, "unraisablehook", swallowed.append)
    before = {number: signal.signal(number, signals.interrupt_once) for number in signals.SIGNALS}
    asked = []

    def callback(phase, _):
        if not asked:
            asked.append(phase)
            os.kill(os.getpid(), signal.SIGTERM)

    gc.callbacks.append(callback)
    try:
        gc.collect()
        gc.callbacks.remove(callback)
        assert [problem.exc_type for problem in swallowed] == [KeyboardInterrupt]
        with signals.stop_on_signal():
            assert signals.stop_requested.is_set()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_signals_are_as_before_once_they_are_no_longer_heeded():
    from incentivize.experiments.runtime import signals

    before = signal.getsignal(signal.SIGTERM)
    with signals.stop_on_signal():
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.stop_requested.wait(5)
    assert signal.getsignal(signal.SIGTERM) == before
    with signals.stop_on_signal():
        assert not signals.stop_requested.is_set()
