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
    """Stack trees of the same structure into one, along a new leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def to_numpy(tree: Any) -> Any:
    """Convert all leaves to NumPy arrays; keys become their data. Collective: every process must call it."""
    return jax.device_get(gather(jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, tree)))


def tree_digest(tree: Any) -> str:
    """Return the SHA-256 of all leaves, their names, dtypes and shapes, in hexadecimal."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(to_numpy(tree)):
        leaf = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}".encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def take_lane(tree: Tree, lane: int) -> Tree:
    """Return the entry `lane` of the leading axis of every leaf."""
    return jax.tree.map(lambda leaf: leaf[lane], tree)


def is_key(leaf: Any) -> bool:
    """Return whether a leaf is an array of JAX's typed random keys."""
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
