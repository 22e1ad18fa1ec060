"""Tests compile far more than they compute: XLA need not optimise, and compiled programs are kept for all processes."""

import os
from importlib.metadata import version
from pathlib import Path

FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
if version("jaxlib").startswith("0.10."):  # a flag that XLA does not know ends the process, and this one may go
    FLAGS += " --xla_cpu_use_fusion_emitters=false"  # a third less to compile
os.environ.setdefault("XLA_FLAGS", FLAGS)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).resolve().parent.parent / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
