"""Parameters of trained agents in files, and agents that start from them.

A file is msgpack as Flax writes it: arrays by name, no code, so that one from elsewhere can be opened. A setting
`start_from` names such a file; `pin` adds the digest of its content, so that a run means one content and no other.
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
from incentivize.experiments.storage.start_files import parse_start_from


def save(path: Path, params: Params) -> None:
    """Write parameters (arrays of any shape) whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    write_atomic(path, serialization.to_bytes(params))


def load(start_from: str, like: Params) -> Params:
    """Parameters from a file, NumPy arrays.

    Args:
        start_from: the file's path, with or without a digest.
        like: what has the tree, shapes and dtypes that are wanted.

    Raises:
        SettingsError: where the file is missing, damaged, of another content or of another network.
    """
    path, digest = parse_start_from(start_from)
    wanted = _leaves(like)
    data = _read(path, sum(leaf.size * leaf.dtype.itemsize for leaf in wanted.values()) + MAX_SETTINGS_BYTES)
    if digest and short_digest(data) != digest:
        raise InputError(f"{path}: has changed: its digest is {short_digest(data)}, and was {digest}")
    try:
        found = _leaves(serialization.msgpack_restore(data))
    except Exception as error:  # whatever the decoder stumbles over
        if is_out_of_resources(error):
            raise
        raise InputError(f"{path}: cannot be read as parameters ({type(error).__name__}: {excerpt(error)})") from None
    for name in (*wanted, *found):
        there, here = (_kind(leaves.get(name)) for leaves in (found, wanted))
        if there != here:
            raise InputError(f"{path}: is of another network: {excerpt(name)} is {there} there, {here} here")
    if not all(np.isfinite(leaf).all() for leaf in found.values()):
        raise InputError(f"{path}: holds parameters that are no numbers")
    return jax.tree.unflatten(jax.tree.structure(like), [found[name] for name in wanted])


def pin_start_from(settings: Settings) -> Settings:
    """The settings with the digest and the whole path of every file that agents start from.

    They have to have passed `check`. A relative path is meant from the folder that this process is in.
    """
    training = {}
    for family, one in settings.training.items():
        path, digest = parse_start_from(one.start_from)
        if one.start_from and not digest:
            one = one.model_copy(update={"start_from": f"{path.absolute()}#sha256={short_digest(path.read_bytes())}"})
        training[family] = one
    return settings.model_copy(update={"training": training})


def short_digest(data: bytes) -> str:
    """64 bits of SHA-256 in hexadecimal: to notice a change, not to keep out a forger."""
    return hashlib.sha256(data).hexdigest()[:16]


def _read(path: Path, most: int) -> bytes:
    """A file of so many bytes at most, as this network has parameters."""
    try:
        if not path.is_file():
            raise InputError(f"{path}: there is no such file")
        return read_bounded(path, most)
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        if is_out_of_resources(error):
            raise
        raise InputError(f"{path}: cannot be read as parameters of this network ({error})") from None


def _leaves(tree: Any) -> dict[str, Any]:
    """Leave by their names, such as "heads/policy/kernel"."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in jax.tree.leaves_with_path(tree)
    }


def _kind(leaf: Any) -> str:
    """What a leaf is, in words."""
    if not hasattr(leaf, "dtype"):
        return "missing" if leaf is None else type(leaf).__name__
    return f"{leaf.dtype} [{', '.join(map(str, leaf.shape))}]"
