"""Files of trained agents' parameters, from which other agents may start.

A file is msgpack as Flax writes it: arrays by name and no code, so that foreign files are safe to open. The setting
`start_from` names such a file; `pin_start_from` adds the digest of its content.
"""

import hashlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import serialization

from incentivize.agents.networks import Params
from incentivize.experiments.errors import InputError, is_out_of_resources
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.storage.io import MAX_SETTINGS_BYTES, excerpt, read_bounded, write_atomic
from incentivize.experiments.storage.start_from import parse_start_from


def save(path: Path, params: Params) -> None:
    """Write parameters (arrays of any shape) atomically."""
    path.parent.mkdir(exist_ok=True)
    write_atomic(path, serialization.to_bytes(params))


def load(start_from: str, like: Params) -> Params:
    """Load parameters from a file.

    Args:
        start_from: path of the file, with or without the digest of its content.
        like: parameters with the expected tree, shapes and dtypes.

    Returns:
        A tree of NumPy arrays.

    Raises:
        InputError: if the file is missing, damaged, of other content or of another network.
    """
    path, digest = parse_start_from(start_from)
    expected = _leaves(like)
    data = _read(path, sum(leaf.size * leaf.dtype.itemsize for leaf in expected.values()) + MAX_SETTINGS_BYTES)
    if digest and short_digest(data) != digest:
        problem = f"{path}: its content has changed (digest {short_digest(data)}, expected {digest})"
        raise InputError(f"{problem}. Restore the file, or use another --out.")
    try:
        leaves = _leaves(serialization.msgpack_restore(data))
    except Exception as error:  # decoders of damaged files raise errors of many kinds
        if is_out_of_resources(error):
            raise
        problem = f"{path}: cannot be read as parameters ({type(error).__name__}: {excerpt(error)})"
        raise InputError(f"{problem}. Restore it, or give another file.") from None
    for name in (*expected, *leaves):
        actual, needed = _describe(leaves.get(name)), _describe(expected.get(name))
        if actual != needed:
            problem = f"{path}: is of another network: {excerpt(name)} is {actual}, expected {needed}"
            raise InputError(f"{problem}. Give a file of the same network and width.")
    if not all(np.isfinite(leaf).all() for leaf in leaves.values()):
        raise InputError(f"{path}: holds parameters that are not finite. Give another file.")
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in expected])


def pin_start_from(settings: Settings) -> Settings:
    """Return the settings with the absolute path and the digest of every start file.

    Args:
        settings: validated settings; relative paths start from the current folder.
    """
    training = dict(settings.training)
    for family, values in settings.training.items():
        path, digest = parse_start_from(values.start_from)
        if values.start_from and not digest:
            pinned = f"{path.absolute()}#sha256={short_digest(path.read_bytes())}"
            training[family] = values.model_copy(update={"start_from": pinned})
    return settings.model_copy(update={"training": training})


def short_digest(data: bytes) -> str:
    """Return 64 bits of SHA-256 in hexadecimal: enough to notice changes, not to resist forgery."""
    return hashlib.sha256(data).hexdigest()[:16]


def _read(path: Path, max_bytes: int) -> bytes:
    """Read a file of parameters of at most `max_bytes` bytes.

    Raises:
        InputError: if the file is missing, larger or cannot be read.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path}: there is no such file. Correct the path.")
        return read_bounded(path, max_bytes)
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        if is_out_of_resources(error):
            raise
        problem = f"{path}: cannot be read as parameters of this network ({error})"
        raise InputError(f"{problem}. Restore it, or give another file.") from None


def _leaves(tree: Any) -> dict[str, Any]:
    """Return leaves by their paths, such as "heads/policy/kernel"."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in jax.tree.leaves_with_path(tree)
    }


def _describe(leaf: Any) -> str:
    """Describe dtype and shape of a leaf; "missing" for None."""
    if not hasattr(leaf, "dtype"):
        return "missing" if leaf is None else type(leaf).__name__
    return f"{leaf.dtype} [{', '.join(map(str, leaf.shape))}]"
