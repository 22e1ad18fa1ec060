"""Runs that are killed or asked to stop, and go on as if nothing had happened."""

import os
import signal
import subprocess
import sys

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


def test_a_run_that_was_killed_and_stopped_ends_as_if_it_had_not_been(short, tmp_path, monkeypatch):
    """Kill a run once it has a checkpoint, stop it once it has resumed from there, and let it end."""
    leave_out_pictures(monkeypatch)
    alone, out = tmp_path / "alone", tmp_path / "again"
    assert main(arguments(alone, 1, short, STUDY)) == 0
    first = begin(out, 1, short, STUDY)
    (saved, *_) = wait_for(first, out, lambda: list(out.glob("checkpoints/groups/*/[0-9]*")))
    assert interrupt(first, out, "kill") == "kill"
    own = inference_search.cells(RunDirectory(alone).settings())
    assert saved.parent.name == CellGroup(tuple(own), 2).id
    assert {path.stem for path in (alone / "cells").iterdir()} == {cell.id for cell in own}
    assert not list((out / "cells").glob("*.npz"))
    assert not (out / "results.jsonl").exists()
    second = begin(out, 1, short, STUDY)
    wait_for(second, out, lambda: "resumes from step" in said(out))
    second.send_signal(signal.SIGTERM)
    assert second.wait(120) == 75, said(out)
    assert not list((out / "cells").glob("*.npz"))
    assert main(arguments(out, 1, short, STUDY)) == 0
    assert hashes(out) == hashes(alone)
    assert not orphans(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_fifty_kills_and_ten_requests(workers, tmp_path, capsys):
    counts = harness(tmp_path, kills=50, terms=10, workers=workers)
    with capsys.disabled():
        print(f"\n{workers} workers: {dict(counts)}")
    assert counts["kill"] + counts["kill all"] == 50
    assert counts["term"] == 10


def test_a_second_run_of_the_same_is_refused_while_the_first_goes_on(short, tmp_path, capsys):
    out = tmp_path / "run"
    first = begin(out, 1, short, STUDY)
    try:
        wait_for(first, out, (out / "status.json").exists)
        assert main(arguments(out, 1, short, STUDY)) == 2
        assert f"is being written by another run (process {first.pid} on " in capsys.readouterr().err
        first.send_signal(signal.SIGTERM)
        assert first.wait(120) == 75
    finally:
        first.kill()
        first.wait()


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


def test_signals_are_as_before_once_they_are_no_longer_heeded():
    from incentivize.experiments.runtime import signals

    before = signal.getsignal(signal.SIGTERM)
    with signals.stop_on_signal():
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.stop_requested.wait(5)
    assert signal.getsignal(signal.SIGTERM) == before
    with signals.stop_on_signal():
        assert not signals.stop_requested.is_set()
