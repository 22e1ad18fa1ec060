"""Checkpoints of groups of cells, from which training resumes exactly.

Orbax writes the last two of every group, each atomically. It restores into any requested dtypes and does not notice all
damage. So every checkpoint has a seal: settings, code, shapes, and a digest of each file; without it a checkpoint is
ignored. Checkpoints hold arrays and JSON only, so that foreign ones are safe to open.
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
from incentivize.experiments.training.pytrees import is_key, to_numpy

logging.getLogger("absl").setLevel(logging.CRITICAL)  # Orbax logs every file, and every error twice
MAX_CHECKPOINTS = 2
GONE = (
    None,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
)  # errors by which a file is missing, or is not a file
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
"""Fields of the seal and their types."""


class GroupProgress(NamedTuple):
    """Progress of a group's training.

    Attributes:
        state: the learner's state, all leaves [lanes, ...].
        counts: successes of the evaluations so far, in their order; leaves [lanes, ...].
        episodes: episodes finished in training, float64 [lanes].
        steps: environment steps of training, per lane.
        seconds: wall-clock time of training and evaluation.
        failures: reasons why lanes are given up, by lane.
    """

    state: TrainState
    counts: tuple[Any, ...]
    episodes: np.ndarray
    steps: int = 0
    seconds: float = 0.0
    failures: dict[int, str] = {}  # noqa: RUF012, replaced and never changed


class GroupCheckpointer:
    """The checkpoints of one group."""

    def __init__(self, folder: Path, group: CellGroup, save_every: float, checkify: bool = False) -> None:
        """Open the checkpoints of a group; make their folder if there is none.

        Args:
            folder: parent of all groups' folders.
            group: the group that is trained.
            save_every: seconds between checkpoints, at least, as `is_due` counts them.
            checkify: whether the group's program checks every number; it is then another version of the code.
        """
        self.path = folder / group.id
        self.save_every, self.last = save_every, time.monotonic()
        self.evaluations = len(group.cells[0].evaluation_points) * len(group.cells[0].simulations)
        self.of = {"lanes": group.lanes, "cells": [cell.identity for cell in group.cells]}
        self.code = {cell.id: str(code_version(cell, checkify)) for cell in group.cells}
        self.path.mkdir(parents=True, exist_ok=True)
        me = jax.process_index()  # Orbax would have all processes write; here each acts alone
        alone = ocp.options.MultiprocessingOptions(me, {me}, str(me)) if is_distributed() else None
        options = ocp.CheckpointManagerOptions(
            max_to_keep=MAX_CHECKPOINTS,
            enable_async_checkpointing=False,
            create=False,
            multiprocessing_options=alone or ocp.options.MultiprocessingOptions(),
        )
        self.manager = ocp.CheckpointManager(self.path.absolute(), options=options)

    def is_due(self) -> bool:
        """Return whether `save_every` seconds have passed since the last checkpoint."""
        return time.monotonic() - self.last >= self.save_every

    def save(self, progress: GroupProgress) -> None:
        """Write a checkpoint, unless there is one of the same progress, and drop all but the last two.

        Collective: every process must call it. The primary process alone writes.

        Raises:
            OSError: the disk has no room for it.
        """
        step = self._number(progress.steps, len(progress.counts))
        self.last = time.monotonic()
        tree = to_numpy((progress.state, progress.counts, progress.episodes))
        if step in self.manager.all_steps() or not is_primary():
            return
        self._check_room(sum(leaf.nbytes for leaf in jax.tree.leaves(tree)))
        self.manager.save(step, args=ocp.args.StandardSave(_named(tree)))
        meta = {"of": self.of, "code": self.code, "arrays": _arrays(tree), "found": len(progress.counts)}
        meta |= {"done": progress.steps, "seconds": progress.seconds, "failed": progress.failures}
        meta["files"] = {path: file_digest(self.path / str(step) / path) for path in self._files(step)}
        text = json.dumps(meta, indent=1)
        write_atomic(self._seal(step), f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")

    def load(self, state: TrainState, like_counts: Callable[[int], tuple[Any, ...]]) -> GroupProgress | None:
        """Load the newest intact checkpoint. Name damaged ones on standard error and delete them.

        Args:
            state: a state with the expected tree, shapes and dtypes.
            like_counts: from a number of evaluations to counts with the expected trees, shapes and dtypes.

        Returns:
            The progress that was saved, or None where there is no intact checkpoint.

        Raises:
            InputError: an intact checkpoint is of another group, code or shape.
        """
        for step in sorted(self.manager.all_steps(), reverse=True):
            try:
                meta = self._read_seal(step)
            except Exception as error:  # decoders of damaged files raise errors of many kinds
                if is_out_of_resources(error) or (isinstance(error, OSError) and error.errno not in GONE):
                    raise  # it may be intact and readable another time
                why = f"{type(error).__name__}: {excerpt(error)}"
                print(f"{self.path / str(step)}: damaged, so the one before is used ({why})", file=sys.stderr)
                shutil.rmtree(self.path / str(step), ignore_errors=True)
                self.manager.reload()
                continue
            self._check_same(step, meta["of"], self.of)
            self._check_same(step, {"code": meta["code"]}, {"code": self.code})
            like = _like((state, like_counts(meta["found"]), np.zeros(self.of["lanes"])))
            self._check_same(step, {"arrays": meta["arrays"]}, {"arrays": _arrays(like)})
            arrays, counts, episodes = self._restore(step, like)
            failures = {int(lane): why for lane, why in meta["failed"].items()}
            return GroupProgress(_with_keys(arrays, state), counts, episodes, meta["done"], meta["seconds"], failures)
        return None

    def _restore(self, step: int, like: Any) -> Any:
        """Read the arrays of an intact checkpoint into a tree like `like`.

        Raises:
            InputError: Orbax cannot read them; another version of Orbax may have written them.
        """
        try:
            named = self.manager.restore(step, args=ocp.args.StandardRestore(_named(like)))
            return jax.tree.unflatten(jax.tree.structure(like), [np.asarray(named[key]) for key in _named(like)])
        except Exception as error:  # Orbax raises errors of many kinds
            if is_out_of_resources(error):
                raise
            raise InputError(
                f"{self.path / str(step)}: is intact, but Orbax cannot read it ({type(error).__name__}: "
                f"{excerpt(error)}). Another version of Orbax may have written it. "
                f"Delete {self.path} to train these cells from the start."
            ) from None

    def keep_for_inspection(self, name: str) -> None:
        """Copy the newest checkpoint, if there is one, to the folder `diverged/NAME` of the run directory."""
        step = self.manager.latest_step()
        if step is not None:
            target = self.path.parent.parent / "diverged" / name / str(step)
            shutil.copytree(self.path / str(step), target, dirs_exist_ok=True)

    def close(self) -> None:
        """Close the files."""
        self.manager.close()

    def _number(self, steps: int, evaluations: int) -> int:
        """Return the number of a checkpoint: it rises with training steps and, at equal steps, with evaluations."""
        return steps * (self.evaluations + 1) + evaluations

    def _check_room(self, size: int) -> None:
        """Refuse to write `size` bytes without room for them: threads of Orbax would print long errors."""
        disk = shutil.disk_usage(self.path)
        if disk.total and disk.free < 2 * size + MAX_SETTINGS_BYTES:  # some shared file systems report 0 everywhere
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def _files(self, step: int) -> list[str]:
        folder = self.path / str(step)
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    def _seal(self, step: int) -> Path:
        return self.path / str(step) / "sealed.json"

    def _read_seal(self, step: int) -> dict[str, Any]:
        """Read the seal of a checkpoint, and check it and all files against it.

        Raises:
            Exception: of many kinds, where the checkpoint is damaged.
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
        for path, digest in meta["files"].items():
            if file_digest(self.path / str(step) / path) != digest:
                raise ValueError(f"{path} is not what was written")
        if self._number(meta["done"], meta["found"]) != step:
            raise ValueError(f"it is of {meta['done']} steps and {meta['found']} evaluations")
        if not 0 <= meta["found"] <= self.evaluations or not 0 <= meta["seconds"] < math.inf:
            raise ValueError(f"it has {meta['found']} evaluations after {meta['seconds']} seconds")
        if not all(lane.isdecimal() and isinstance(why, str) for lane, why in meta["failed"].items()):
            raise ValueError("it does not say why its cells were given up")
        return meta

    def _check_same(self, step: int, sealed: Any, expected: Any) -> None:
        """Refuse a checkpoint whose seal differs from what is expected.

        Raises:
            InputError: naming up to three differences.
        """
        changes = [f"{key}: {excerpt(a)} there, {excerpt(b)} here" for key, a, b in tree_differences(sealed, expected)]
        if changes:
            more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
            raise InputError(
                f"{self.path / str(step)}: is of other settings or code ({'; '.join(changes[:3])}{more}). "
                f"Delete {self.path} to train these cells from the start."
            )


def _like(tree: Any) -> Any:
    """Return a tree of uninitialised arrays with the shapes and dtypes that `to_numpy` would give."""

    def like(leaf: Any) -> np.ndarray:
        leaf = jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
        return np.empty(leaf.shape, leaf.dtype)

    return jax.tree.map(like, tree)


def _with_keys(tree: Any, like: Any) -> Any:
    """Convert leaves to JAX arrays, and to random keys where `like` has keys."""
    return jax.tree.map(
        lambda leaf, model: jax.random.wrap_key_data(leaf) if is_key(model) else jnp.asarray(leaf), tree, like
    )


def _named(tree: Any) -> dict[str, Any]:
    """Return leaves by number: Orbax sees a flat table, whatever the types of the tree."""
    return {f"{number:04}": leaf for number, leaf in enumerate(jax.tree.leaves(tree))}


def _arrays(tree: Any) -> dict[str, str]:
    """Describe dtype and shape of every leaf, by its path."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): f"{leaf.dtype} {list(leaf.shape)}"
        for path, leaf in jax.tree.leaves_with_path(tree)
    }
