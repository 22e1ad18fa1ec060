"""Runs that are killed or asked to stop, and go on as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.helpers.crashing import CONFIG, begin, harness, said


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """Recurrent cells only, and fewer of their steps."""
    path = tmp_path_factory.mktemp("config") / "short.toml"
    text = CONFIG.read_text().replace('["errands", "codebooks"]', '["codebooks"]').replace("262144", "131072")
    path.write_text(text.replace("[knobs.errands]\nattributes = 3\nvalues = 4\n", ""))
    return path


def test_a_run_that_was_killed_and_stopped_ends_as_if_it_had_not_been(short, tmp_path):
    counts = harness(tmp_path, kills=1, terms=1, workers=2, config=short, first=6.0)
    assert counts["kill"] + counts["kill all"] + counts["term"] == 2
    assert counts["compared"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_fifty_kills_and_ten_requests(workers, tmp_path, capsys):
    counts = harness(tmp_path, kills=50, terms=10, workers=workers)
    with capsys.disabled():
        print(f"\n{workers} workers: {dict(counts)}")
    assert counts["kill"] + counts["kill all"] == 50
    assert counts["term"] == 10


def test_a_second_run_of_the_same_is_refused_while_the_first_goes_on(tmp_path):
    first = begin(tmp_path / "run", 1)
    try:
        while not (tmp_path / "run" / "status.json").exists():
            assert first.poll() is None, said(tmp_path / "run")
            time.sleep(0.05)
        second = begin(tmp_path / "run", 1)
        assert second.wait(60) == 2
        assert f"is being written by another run (process {first.pid} on " in said(tmp_path / "run")
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
