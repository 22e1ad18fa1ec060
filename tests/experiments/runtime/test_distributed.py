"""Two processes that train every agent together, over Gloo, on this machine."""

import os
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from flax import serialization

from incentivize.experiments.cli.main import main
from incentivize.experiments.errors import InputError
from incentivize.experiments.runtime import distributed
from incentivize.experiments.runtime.distributed import any_process, broadcast_from_primary, check_alike, gather

SMALL = "--pools new --control-pools new --taught-pools new --seeds 1 --specialists 1 --evaluations 1 --budget 512"
ENTRY = [sys.executable, "-c", "from incentivize.experiments.cli.main import entry; entry()"]


def command(config, out, *more):
    return [
        *ENTRY,
        "run",
        "task-count",
        "--config",
        str(config),
        "--out",
        str(out),
        *SMALL.split(),
        "--devices-per-agent",
        "2",
        *more,
    ]


def together(config, out, heartbeat=10):
    """Starts both processes."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    started = []
    for process in ("0", "1"):
        more = ["--coordinator", f"localhost:{port}", "--processes", "2", "--process", process, "--save-every", "0"]
        environment = os.environ | {"JAX_PLATFORMS": "cpu", "INCENTIVIZE_HEARTBEAT": str(heartbeat)}
        with (out.parent.parent / f"{out.parent.name}-{process}.log").open("w") as log:
            started.append(subprocess.Popen(command(config, out, *more), env=environment, stderr=log))
    return started


def test_alone_everything_is_agreed():
    assert broadcast_from_primary([True, False]) == [True, False]
    assert any_process(True)
    assert not any_process(False)
    tree = {"a": 1}
    assert gather(tree) == tree


@pytest.mark.parametrize("other", [10**12 + 24_576, 10**12 + 1, 2**24 + 1, 2**32 + 10**12, -1])
def test_processes_that_are_a_step_apart_are_not_alike(other, monkeypatch):
    there = np.array([other, 3], np.int64).view(np.uint32)
    monkeypatch.setattr(distributed, "is_distributed", lambda: True)
    monkeypatch.setattr(distributed.multihost_utils, "process_allgather", lambda mine: np.stack([mine, there]))
    for mine in (10**12, 2**24):
        with pytest.raises(InputError, match="the checkpoints of"):
            check_alike([mine, 3], "the checkpoints")
    check_alike([other, 3], "the checkpoints")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--processes", "2"], "--processes = 2: needs a coordinator. Add --coordinator HOST:PORT"),
        (["--coordinator", "here", "--processes", "2"], "--coordinator = here: must be HOST:PORT or auto."),
        (["--coordinator", "localhost:1"], "--processes = 1, --process = 0: expected at least 2 processes"),
        (["--coordinator", "localhost:1", "--processes", "2", "--process", "2"], "from 0 to one less"),
        (["--coordinator", "localhost:1", "--launcher", "trial"], "Use --launcher local"),
    ],
)
def test_bad_input_is_named(tiny_config, capsys, flags, said):
    assert main(["run", "task-count", "--config", str(tiny_config), *flags]) == 2
    assert said in capsys.readouterr().err.replace("\n", " ")


def params_of(run):
    """The final parameters of every agent of a run, as they were written."""
    return [path.read_bytes() for path in sorted((run / "checkpoints").glob("*.msgpack"))]


@pytest.mark.slow
def test_a_dead_process_ends_the_other_and_both_go_on(tiny_config, tmp_path):
    """As if nothing had been; and up to rounding they learn what one process with two devices does."""
    one, whole_run, killed = (tmp_path / name / "run" for name in ("one", "whole", "killed"))
    devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    subprocess.run(command(tiny_config, one), check=True, env=os.environ | devices)
    assert [process.wait(timeout=600) for process in together(tiny_config, whole_run)] == [0, 0]

    first, second = together(tiny_config, killed)
    while not list(killed.glob("checkpoints/groups/*/*/sealed.json")):
        assert first.poll() is None
        time.sleep(0.05)
    second.send_signal(signal.SIGKILL)
    assert second.wait() == -signal.SIGKILL
    assert first.wait(timeout=60) not in (0, 75)
    assert not (killed / "report.html").exists()
    assert [process.wait(timeout=600) for process in together(tiny_config, killed)] == [0, 0]

    assert (killed / "results.jsonl").read_bytes() == (whole_run / "results.jsonl").read_bytes()
    assert len(params_of(killed)) == 6
    assert params_of(killed) == params_of(whole_run)
    for params in zip(params_of(one), params_of(killed), strict=True):
        for mine, theirs in zip(
            *(jax.tree.leaves(serialization.msgpack_restore(data)) for data in params), strict=True
        ):
            assert np.abs(mine - theirs).max() < 1e-5
