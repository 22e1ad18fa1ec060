"""Trees of arrays: stacking, lanes, NumPy copies, digests."""

import hashlib
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.experiments.runtime.distributed import gather

Tree = TypeVar("Tree")


def stack_trees(trees: Sequence[Tree]) -> Tree:
    """Trees of the same structure as one, with a new leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def to_numpy(tree: Any) -> Any:
    """The tree as NumPy arrays, keys as their data."""
    return jax.device_get(gather(jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, tree)))


def tree_digest(tree: Any) -> str:
    """SHA-256 of all leaves, their names, types and shapes, in hexadecimal."""
    found = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(to_numpy(tree)):
        leaf = np.asarray(leaf)
        found.update(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}".encode())
        found.update(np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()


def take_lane(tree: Tree, lane: int) -> Tree:
    """One cell's share of a program's leaves."""
    return jax.tree.map(lambda leaf: leaf[lane], tree)


def is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
