"""Checkpoints: a group of cells in the middle of its training, saved so that it goes on as if nothing had happened.

Written by Orbax, whole or not at all, the last two of every group. Orbax restores into whatever types it is asked for
and does not notice every damage, so a checkpoint is sealed: with what it is of (settings, code, shapes) and a digest of
each of its files. One without a seal counts for nothing. Arrays and JSON only: one from elsewhere can be opened.
"""

import errno
import hashlib
import json
import logging
import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from incentivize.agents.learner import TrainState
from incentivize.experiments.errors import InputError, is_out_of_resources
from incentivize.experiments.runtime.distributed import is_distributed, is_primary
from incentivize.experiments.storage.code_version import code_version
from incentivize.experiments.storage.io import MAX_SETTINGS_BYTES, excerpt, file_digest, read_bounded, write_atomic
from incentivize.experiments.storage.run_directory import tree_differences
from incentivize.experiments.training.groups import CellGroup
from incentivize.experiments.training.trees import is_key, to_numpy

logging.getLogger("absl").setLevel(logging.CRITICAL)  # Orbax tells of every file, and of every error twice
MAX_CHECKPOINTS = 2
GONE = (None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)  # where a file is not there, or is none
SEALED: dict[str, Any] = {
    "of": dict,
    "code": dict,
    "arrays": dict,
    "found": int,
    "done": int,
    "seconds": (int, float),
    "failed": dict,
    "files": dict,
}
"""What a checkpoint says of itself, and what it is."""


class GroupProgress(NamedTuple):
    """How far a group is.

    Attributes:
        state: of its learner, all leaves [lanes, ...].
        found: what the evaluations so far have counted, in the order they were made; leaves [lanes, ...].
        episodes: finished in training, float64 [lanes].
        done: environment steps of training.
        seconds: that it took.
        failed: why lanes are given up, by their number.
    """

    state: TrainState
    counts: tuple[Any, ...]
    episodes: np.ndarray
    steps: int = 0
    seconds: float = 0.0
    failures: dict[int, str] = {}  # noqa: RUF012, replaced and never changed


class GroupCheckpointer:
    """The checkpoints of one group."""

    def __init__(self, folder: Path, group: CellGroup, every: float, checked: bool = False) -> None:
        """The checkpoints of a group, whose program may be one that checks every number.

        Args:
            folder: of all groups.
            group: that is trained.
            every: seconds between checkpoints, at least; those that are asked for come beside them.
            checked: whether every number is checked.
        """
        self.path = folder / group.id
        self.save_every, self.last = every, time.monotonic()
        self.evaluations = len(group.cells[0].evaluation_points) * len(group.cells[0].simulations)
        self.of = {"lanes": group.lanes, "cells": [cell.identity for cell in group.cells]}
        self.code = {cell.id: str(code_version(cell, checked)) for cell in group.cells}
        self.path.mkdir(parents=True, exist_ok=True)
        me = jax.process_index()  # Orbax would have all processes write; here each is for itself
        alone = ocp.options.MultiprocessingOptions(me, {me}, str(me)) if is_distributed() else None
        options = ocp.CheckpointManagerOptions(
            max_to_keep=MAX_CHECKPOINTS,
            enable_async_checkpointing=False,
            create=False,
            multiprocessing_options=alone or ocp.options.MultiprocessingOptions(),
        )
        self.manager = ocp.CheckpointManager(self.path.absolute(), options=options)

    def is_due(self) -> bool:
        """Whether it is time for another checkpoint."""
        return time.monotonic() - self.last >= self.save_every

    def save(self, standing: GroupProgress) -> None:
        """Write a checkpoint, unless there is one that is as far, and drops all but the last two.

        Of several processes the first one writes, but all have to come.
        """
        step = self._number(standing.steps, len(standing.counts))
        self.last = time.monotonic()
        tree = to_numpy((standing.state, standing.counts, standing.episodes))
        if step in self.manager.all_steps() or not is_primary():
            return
        self._room(sum(leaf.nbytes for leaf in jax.tree.leaves(tree)))
        self.manager.save(step, args=ocp.args.StandardSave(_named(tree)))
        meta = {"of": self.of, "code": self.code, "arrays": _arrays(tree), "found": len(standing.counts)}
        meta |= {"done": standing.steps, "seconds": standing.seconds, "failed": standing.failures}
        meta["files"] = {path: file_digest(self.path / str(step) / path) for path in self._files(step)}
        text = json.dumps(meta, indent=1)
        write_atomic(self._seal(step), f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")

    def load(self, state: TrainState, found: Callable[[int], tuple[Any, ...]]) -> GroupProgress | None:
        """The newest checkpoint that is sound, or None where there is none; says so where that is not the newest.

        Args:
            state: what has the tree, shapes and types that are wanted.
            found: likewise for so many evaluations.

        Raises:
            SettingsError: where a sound one is of another group, another code, or other shapes.
        """
        for step in sorted(self.manager.all_steps(), reverse=True):
            try:
                meta = self._sealed(step)
            except Exception as error:  # whatever the decoder stumbles over
                if is_out_of_resources(error) or (isinstance(error, OSError) and error.errno not in GONE):
                    raise  # nobody can say that it is damaged, and another time it may be read
                why = f"{type(error).__name__}: {excerpt(error)}"
                print(f"{self.path / str(step)}: damaged, so the one before is taken ({why})", file=sys.stderr)
                shutil.rmtree(self.path / str(step), ignore_errors=True)
                self.manager.reload()
                continue
            self._differ(step, meta["of"], self.of)
            self._differ(step, {"code": meta["code"]}, {"code": self.code})
            like = _like((state, found(meta["found"]), np.zeros(self.of["lanes"])))
            self._differ(step, {"arrays": meta["arrays"]}, {"arrays": _arrays(like)})
            keys, evaluations, episodes = self._restored(step, like)
            failed = {int(lane): why for lane, why in meta["failed"].items()}
            return GroupProgress(_keyed(keys, state), evaluations, episodes, meta["done"], meta["seconds"], failed)
        return None

    def _restored(self, step: int, like: Any) -> Any:
        """The arrays of a checkpoint that is what was written.

        Raises:
            SettingsError: where Orbax cannot read them all the same, as another version of it may have written them.
        """
        try:
            named = self.manager.restore(step, args=ocp.args.StandardRestore(_named(like)))
            return jax.tree.unflatten(jax.tree.structure(like), [np.asarray(named[key]) for key in _named(like)])
        except Exception as error:  # of many kinds, from its readers
            if is_out_of_resources(error):
                raise
            raise InputError(
                f"{self.path / str(step)}: cannot be read, though it is what was written ({type(error).__name__}: "
                f"{excerpt(error)}); remove {self.path} to begin its training runs anew"
            ) from None

    def keep_for_inspection(self, name: str) -> None:
        """Keep the newest checkpoint, if there is one, under a name of its own."""
        step = self.manager.latest_step()
        if step is not None:
            there = self.path.parent.parent / "diverged" / name / str(step)
            shutil.copytree(self.path / str(step), there, dirs_exist_ok=True)

    def close(self) -> None:
        """Let go of the files."""
        self.manager.close()

    def _number(self, done: int, found: int) -> int:
        """The number of a checkpoint: it rises with the steps of training and, between these, with the evaluations."""
        return done * (self.evaluations + 1) + found

    def _room(self, size: int) -> None:
        """Refuse to begin what will not fit: Orbax has threads that make much noise where they find no room."""
        disk = shutil.disk_usage(self.path)
        if disk.total and disk.free < 2 * size + MAX_SETTINGS_BYTES:  # some shared file systems say 0 of everything
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def _files(self, step: int) -> list[str]:
        there = self.path / str(step)
        return sorted(str(path.relative_to(there)) for path in there.rglob("*") if path.is_file())

    def _seal(self, step: int) -> Path:
        return self.path / str(step) / "sealed.json"

    def _sealed(self, step: int) -> dict[str, Any]:
        """What a checkpoint says of itself, once all that is in it has been found to be what was written.

        Raises:
            Exception: of many kinds, where it is not.
        """
        digest, text = read_bounded(self._seal(step), MAX_SETTINGS_BYTES * len(self.code)).decode().split("\n", 1)
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            raise ValueError("its description is not what was written")
        meta = dict(json.loads(text))
        for name, kind in SEALED.items():
            if not isinstance(meta[name], kind) or isinstance(meta[name], bool):
                raise TypeError(f"its {name} is {type(meta[name]).__name__}")
        if {*meta["files"], self._seal(step).name} != set(self._files(step)):
            raise ValueError("its files are not those that were written")
        for path, known in meta["files"].items():
            if file_digest(self.path / str(step) / path) != known:
                raise ValueError(f"{path} is not what was written")
        if self._number(meta["done"], meta["found"]) != step:
            raise ValueError(f"it is of {meta['done']} steps and {meta['found']} evaluations")
        if not 0 <= meta["found"] <= self.evaluations or not 0 <= meta["seconds"] < math.inf:
            raise ValueError(f"it has {meta['found']} evaluations after {meta['seconds']} seconds")
        if not all(lane.isdecimal() and isinstance(why, str) for lane, why in meta["failed"].items()):
            raise ValueError("it does not say why its runs were given up")
        return meta

    def _differ(self, step: int, there: Any, here: Any) -> None:
        changes = [f"{key}: {excerpt(a)} there, {excerpt(b)} here" for key, a, b in tree_differences(there, here)]
        if changes:
            more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
            raise InputError(
                f"{self.path / str(step)}: is a checkpoint of something else ({'; '.join(changes[:3])}{more}); "
                f"remove {self.path} to begin its training runs anew"
            )


def _like(tree: Any) -> Any:
    """Arrays as `raw` would give, of any content."""

    def like(leaf: Any) -> np.ndarray:
        leaf = jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
        return np.empty(leaf.shape, leaf.dtype)

    return jax.tree.map(like, tree)


def _keyed(tree: Any, like: Any) -> Any:
    """The data of keys as keys, where `like` has keys; JAX arrays."""
    return jax.tree.map(
        lambda leaf, own: jax.random.wrap_key_data(leaf) if is_key(own) else jnp.asarray(leaf), tree, like
    )


def _named(tree: Any) -> dict[str, Any]:
    """Leave by number: Orbax sees a flat table, whatever the tree is made of."""
    return {f"{number:04}": leaf for number, leaf in enumerate(jax.tree.leaves(tree))}


def _arrays(tree: Any) -> dict[str, str]:
    """What every leaf is, in words."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): f"{leaf.dtype} {list(leaf.shape)}"
        for path, leaf in jax.tree.leaves_with_path(tree)
    }
