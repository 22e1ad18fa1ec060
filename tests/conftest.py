"""Tests compile far more than they compute: XLA need not optimise, and compiled programs are kept for all processes."""

import gc
import os
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
if version("jaxlib").startswith("0.10."):  # a flag that XLA does not know ends the process, and this one may go
    FLAGS += " --xla_cpu_use_fusion_emitters=false"  # a third less to compile
os.environ.setdefault("XLA_FLAGS", FLAGS)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).resolve().parent.parent / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

MAPS = Path("/proc/self/maps")  # what a process has mapped into memory, where the system tells
MOST_MAPS = 30_000  # Linux allows 65,530, a compiled program takes dozens, and XLA crashes where there are no more


@pytest.fixture(autouse=True)
def room_for_programs():
    """Drops compiled programs after a test when a process holds too many."""
    yield
    if "jax" in sys.modules and MAPS.exists() and MAPS.read_bytes().count(b"\n") > MOST_MAPS:
        sys.modules["jax"].clear_caches()
        gc.collect()
