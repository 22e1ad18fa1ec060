"""Runs that are killed or asked to stop, and go on as if nothing had happened."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from incentivize.experiments.cli.main import main
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.studies import task_count
from incentivize.experiments.training.groups import CellGroup
from tests.helpers.crashing import CONFIG, arguments, begin, harness, hashes, interrupt, orphans, said, wait_for


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """Recurrent cells only, and fewer of their steps."""
    path = tmp_path_factory.mktemp("config") / "short.toml"
    text = CONFIG.read_text().replace('["errands", "codebooks"]', '["codebooks"]').replace("262144", "65536")
    text = text.replace("num_envs = 16", "num_envs = 8").replace("specialist_envs = 8", "specialist_envs = 4")
    path.write_text(text.replace("[knobs.errands]\nattributes = 3\nvalues = 4\n", ""))
    return path


def cells_of(run):
    return task_count.cells(RunDirectory(run).settings())


def lend_other_cells(alone, out, own):
    """Copy the finished cells of one run into another, all but one of them."""
    for folder in ("cells", "checkpoints"):
        (out / folder).mkdir(exist_ok=True)
        for path in (alone / folder).iterdir():
            if path.stem != own and not (out / folder / path.name).exists():
                shutil.copy(path, out / folder / path.name)


def test_a_run_that_was_killed_and_stopped_ends_as_if_it_had_not_been(short, tmp_path):
    """Kill a run once it has a checkpoint, stop it once it has resumed from there, and let it end."""
    alone, out = tmp_path / "alone", tmp_path / "again"
    assert main(arguments(alone, 1, short)) == 0
    first = begin(out, 1, short)
    (saved, *_) = wait_for(first, out, lambda: list(out.glob("checkpoints/groups/*/[0-9]*")))
    assert interrupt(first, out, "kill") == "kill"
    own = next(cell.id for cell in cells_of(alone) if CellGroup((cell,), 1).id == saved.parent.name)
    assert (alone / "cells" / f"{own}.npz").exists()
    assert not (out / "cells" / f"{own}.npz").exists()
    assert not (out / "results.jsonl").exists()
    lend_other_cells(alone, out, own)
    second = begin(out, 1, short)
    wait_for(second, out, lambda: "resumes from step" in said(out))
    second.send_signal(signal.SIGTERM)
    assert second.wait(120) == 75, said(out)
    assert not (out / "cells" / f"{own}.npz").exists()
    assert main(arguments(out, 1, short)) == 0
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
    first = begin(out, 1, short)
    try:
        wait_for(first, out, (out / "status.json").exists)
        assert main(arguments(out, 1, short)) == 2
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
