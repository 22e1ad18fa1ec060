"""Tests compile far more than they compute: XLA need not optimise, and compiled programs are kept for all processes."""

import gc
import itertools
import os
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from filelock import FileLock

FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
if version("jaxlib").startswith("0.10."):  # a flag that XLA does not know ends the process, and this one may go
    FLAGS += " --xla_cpu_use_fusion_emitters=false"  # a third less to compile
    FLAGS += " --xla_cpu_parallel_codegen_split_count=1"  # a sixth less: parts of a program have no core of their own
os.environ.setdefault("XLA_FLAGS", FLAGS)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).resolve().parent.parent / ".jax_cache"))
os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", "-1")  # with a limit, to keep one is to look at all others
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")  # every process needs the same small ones

MAPS = Path("/proc/self/maps")  # what a process has mapped into memory, where the system tells
MOST_MAPS = 30_000  # Linux allows 65,530, a compiled program takes dozens, and XLA crashes where there are no more
TURNS = itertools.count(1)
TESTS_PER_LOOK = 20  # a look at the maps takes up to 20 ms, and no 20 tests make as many as there is room for

gc.set_threshold(50_000, 20, 20)  # a look at all objects takes a second in a process that has traced for minutes


def pytest_collection_finish():
    """Leave modules and tests out of the looks for garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def room_for_programs():
    """Drops compiled programs after a test when a process holds too many."""
    yield
    if next(TURNS) % TESTS_PER_LOOK or "jax" not in sys.modules or not MAPS.exists():
        return
    if MAPS.read_bytes().count(b"\n") > MOST_MAPS:
        sys.modules["jax"].clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def tiny_config():
    return Path(__file__).parent / "tiny.toml"


@pytest.fixture(scope="session")
def tiny_run(tiny_config, tmp_path_factory, worker_id):
    """The directory of a finished run, made by two workers: once, for all processes that test side by side."""
    from incentivize.experiments.cli.main import main

    shared = tmp_path_factory.getbasetemp()
    shared = shared if worker_id == "master" else shared.parent
    out = shared / "runs" / "tiny"
    arguments = ["run", "task-count", "--config", str(tiny_config), "--out", str(out), "--workers", "2"]
    made = shared / "tiny.made"
    with FileLock(shared / "tiny.lock"):
        if not made.exists():
            assert main(arguments) == 0
            made.touch()
    return out


@pytest.fixture
def trained(tiny_run, monkeypatch):
    """Training replaced by what came of it in the sound run."""
    from flax import serialization

    from incentivize.experiments.execution import scheduler
    from incentivize.experiments.storage.cell_store import CellResult, CellStore

    cell_store = CellStore(tiny_run, None, {})

    def run_groups(programs, options, deliver):
        for cell in (cell for groups in programs for group in groups for cell in group.cells):
            found = cell_store.load(cell)
            params = serialization.msgpack_restore((tiny_run / "checkpoints" / f"{cell.id}.msgpack").read_bytes())
            about = found.about
            deliver([CellResult(cell, found.counts, about["episodes"], about["seconds"], params, about["digest"])])

    monkeypatch.setattr(scheduler, "run_groups", run_groups)
