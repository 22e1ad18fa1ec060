"""Compiled methods of families, kept for all tests of a process."""

import functools
from collections.abc import Callable
from typing import Any

import jax

from incentivize.envs.family import Family


@functools.cache
def compiled(family: Family, method: str) -> Callable[..., Any]:
    """Return a method of a family, compiled; equal families share it."""
    return jax.jit(getattr(family, method))
