"""Checkpoints: what comes back is what was saved, or nothing, or a refusal that says why."""

import errno
import random
import shutil
import time
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize.experiments.errors import InputError
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import load_file, resolve
from incentivize.experiments.storage.code_version import CodeVersion
from incentivize.experiments.studies import task_count
from incentivize.experiments.training import checkpoints
from incentivize.experiments.training.checkpoints import GroupCheckpointer, GroupProgress
from incentivize.experiments.training.groups import CellGroup
from incentivize.experiments.training.pytrees import to_numpy, tree_digest
from tests.helpers.damage import copy, damage

LANES = 2


class State(NamedTuple):
    params: Any
    count: jax.Array
    key: jax.Array


def state_of(seed):
    keys = jax.random.split(jax.random.key(seed), LANES)
    kernel = jax.random.normal(keys[0], (LANES, 4, 3))
    return State({"kernel": kernel, "none": ()}, jnp.full(LANES, seed, jnp.int32), keys)


def counted(number):
    """Shapes of so many evaluations."""
    return tuple(jax.ShapeDtypeStruct((LANES, 5), jnp.int32) for _ in range(number))


def standing(number):
    """How far a group is after so many chunks."""
    found = tuple(np.full((LANES, 5), place, np.int32) for place in range(number))
    failed = {1: "loss is nan"} if number > 1 else {}
    return GroupProgress(state_of(number), found, np.full(LANES, 7.5 * number), number * 10**10, 1.5 * number, failed)


def name(number):
    """The directory of the checkpoint of so many chunks: steps times evaluations and one, and evaluations."""
    return str(number * 10**10 * (3 + 1) + number)


def same(first, second):
    """Whether two standings are one, bit for bit."""
    rest = [(s.steps, s.seconds, s.failures) for s in (first, second)]
    return tree_digest(tuple(first[:3])) == tree_digest(tuple(second[:3])) and rest[0] == rest[1]


@pytest.fixture(scope="module")
def group(tiny_config):
    base = {"study": "task-count", "preset": "quick"} | task_count.PRESETS["quick"]
    cells = task_count.cells(resolve(base, presets.training_defaults("quick"), load_file(tiny_config)))
    points = tuple((steps, "total") for steps in (256, 512, 1024))  # for as many evaluations as `standing` has
    return CellGroup(tuple(replace(cell, evaluation_points=points) for cell in cells[:LANES]), LANES)


@pytest.fixture(scope="module")
def saved(group, tmp_path_factory):
    """A folder with two checkpoints of the group; there were three."""
    folder = tmp_path_factory.mktemp("groups")
    keeper = GroupCheckpointer(folder, group, 0)
    for number in (1, 2, 3):
        keeper.save(standing(number))
    keeper.close()
    return folder


def load(folder, group, like=None):
    keeper = GroupCheckpointer(folder, group, 0)
    try:
        return keeper.load(like or state_of(0), counted)
    finally:
        keeper.close()


def test_what_is_saved_comes_back_whole_and_the_last_two_are_kept(saved, group):
    found = load(saved, group)
    assert same(found, standing(3))
    assert jax.tree.structure(found.state) == jax.tree.structure(standing(3).state)
    assert jnp.issubdtype(found.state.key.dtype, jax.dtypes.prng_key)
    assert jax.random.uniform(found.state.key[1]) == jax.random.uniform(standing(3).state.key[1])
    assert type(found.steps) is int  # beyond 2^31
    assert sorted(path.name for path in (saved / group.id).iterdir()) == sorted([name(2), name(3)])


def test_there_is_nothing_at_first(group, tmp_path):
    assert load(tmp_path, group) is None


def test_a_digest_tells_values_types_shapes_and_names_apart():
    one = {"a": np.zeros((2, 3), np.float32), "b": jax.random.key(0)}
    others = [
        one | {"a": np.zeros((3, 2), np.float32)},
        one | {"a": np.zeros((2, 3), np.int32)},
        one | {"a": np.full((2, 3), -0.0, np.float32)},
        {"c": one["a"], "b": one["b"]},
        one | {"b": jax.random.key(1)},
    ]
    assert tree_digest(one) == tree_digest(dict(one))
    assert len({tree_digest(tree) for tree in (one, *others)}) == 1 + len(others)


def test_the_one_before_is_taken_where_the_newest_is_damaged(saved, group, tmp_path, capsys):
    folder = copy(saved, tmp_path / "groups")
    newest = folder / group.id / name(3)
    data = max((path for path in newest.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    data.write_bytes(data.read_bytes()[:-1])
    assert same(load(folder, group), standing(2))
    assert f"{name(3)}: damaged, so the one before is used" in capsys.readouterr().err
    shutil.rmtree(folder / group.id / name(2))
    assert load(folder, group) is None


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.EMFILE, "Too many"),
        OSError(errno.EIO, "Input/output"),
        OSError(errno.ESTALE, "Stale"),
    ],
)
def test_what_cannot_be_read_for_now_is_not_taken_for_damaged(error, saved, group, tmp_path, monkeypatch):
    folder = copy(saved, tmp_path / "groups")

    def lacking(*_):
        raise error

    for reads in ("read_bounded", "file_digest"):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoints, reads, lacking)
            with pytest.raises(type(error)):
                load(folder, group)
    assert same(load(folder, group), standing(3))


def test_arrays_that_are_not_what_was_written_are_noticed_whatever_orbax_says(saved, group, tmp_path):
    """Damage that no library notices: the arrays of one checkpoint under the description of another."""
    folder = copy(saved, tmp_path / "groups")
    older, newer = (folder / group.id / name for name in (name(2), name(3)))
    (seal,) = newer.glob("sealed.json")
    kept = seal.read_text()
    copy(older, newer)
    seal.write_text(kept)
    assert same(load(folder, group), standing(2))


def test_of_as_many_steps_the_one_with_more_evaluations_stays(tmp_path, group):
    keeper = GroupCheckpointer(tmp_path, group, 0)
    keeper.save(standing(1))
    fewer, more = (standing(2)._replace(counts=standing(number).counts) for number in (1, 2))
    keeper.save(fewer)
    keeper.close()
    keeper = GroupCheckpointer(tmp_path, group, 0)  # another process, that goes on from there
    assert same(keeper.load(state_of(0), counted), fewer)
    keeper.save(fewer)
    keeper.save(more)
    assert same(keeper.load(state_of(0), counted), more)
    keeper.close()
    assert name(2) in {path.name for path in (tmp_path / group.id).iterdir()}


def test_a_checkpoint_of_other_steps_than_it_says_counts_for_nothing(saved, group, tmp_path):
    folder = copy(saved, tmp_path / "groups")
    (folder / group.id / name(3)).rename(folder / group.id / name(5))
    assert same(load(folder, group), standing(2))


def test_after_a_damaged_one_has_been_passed_over_its_steps_are_saved_anew(saved, group, tmp_path):
    folder = copy(saved, tmp_path / "groups")
    (folder / group.id / name(3) / "sealed.json").unlink()  # killed between the arrays and the seal
    keeper = GroupCheckpointer(folder, group, 0)
    assert same(keeper.load(state_of(0), counted), standing(2))
    keeper.save(standing(3))
    keeper.close()
    assert same(load(folder, group), standing(3))


def test_half_a_checkpoint_counts_for_nothing(saved, group, tmp_path):
    folder = copy(saved, tmp_path / "groups")
    part = copy(folder / group.id / name(3), folder / group.id / f"{name(4)}.orbax-checkpoint-tmp")
    (part / "sealed.json").unlink()
    assert same(load(folder, group), standing(3))


@pytest.mark.parametrize(
    ("own", "named"),
    [
        ({"learning_rate": 0.5}, "cells.1.training.learning_rate: 0.00219 there, 0.5 here"),
        ({"clip": 0.3}, "cells.0.training.clip: 0.2 there, 0.3 here"),
    ],
)
def test_one_of_other_settings_is_refused_with_the_difference(own, named, saved, group, tmp_path):
    cells = [replace(cell, training=cell.training.model_copy(update=own)) for cell in group.cells]
    other = CellGroup(tuple(cells), LANES)
    copy(saved / group.id, tmp_path / other.id)
    with pytest.raises(InputError, match="is of other settings or code") as caught:
        load(tmp_path, other)
    assert f"{tmp_path / other.id / name(3)}: " in str(caught.value)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("like", "named"),
    [
        (state_of(0)._replace(count=jnp.zeros(LANES, jnp.uint32)), "0/count: int32 [2] there, uint32 [2] here"),
        (
            state_of(0)._replace(params={"kernel": jnp.zeros((LANES, 4, 4))}),
            "float32 [2, 4, 3] there, float32 [2, 4, 4]",
        ),
        (state_of(0)._replace(params={"core": jnp.zeros((LANES, 4, 3))}), "0/params/core: None there"),
    ],
)
def test_one_of_other_shapes_or_types_is_refused(like, named, saved, group):
    with pytest.raises(InputError) as caught:
        load(saved, group, like)
    assert named in str(caught.value)


def test_one_of_other_code_is_refused(saved, group, monkeypatch):
    monkeypatch.setattr(checkpoints, "code_version", lambda *_: CodeVersion("changed"))
    with pytest.raises(InputError, match=r"code\..* there, changed here"):
        load(saved, group)


def test_a_full_disk_is_noticed_before_anything_is_written(group, tmp_path, monkeypatch):
    keeper = GroupCheckpointer(tmp_path, group, 0)
    monkeypatch.setattr(checkpoints, "MAX_SETTINGS_BYTES", 2**60)
    with pytest.raises(OSError, match="No space left"):
        keeper.save(standing(1))
    keeper.close()
    assert list((tmp_path / group.id).iterdir()) == []


def test_the_last_good_one_is_kept_for_a_cell_that_is_given_up(saved, group, tmp_path):
    folder = copy(saved, tmp_path / "checkpoints" / "groups")
    keeper = GroupCheckpointer(folder, group, 0)
    keeper.keep_for_inspection("abc")
    keeper.close()
    assert [path.name for path in (tmp_path / "checkpoints" / "diverged" / "abc").iterdir()] == [name(3)]


def test_it_is_due_after_so_many_seconds(group, tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    keeper = GroupCheckpointer(tmp_path, group, 60)
    assert not keeper.is_due()
    now[0] += 60
    assert keeper.is_due()
    keeper.save(standing(1))
    assert not keeper.is_due()
    keeper.close()


def damaged_checkpoints(saved, group, folder, seeds):
    """Loads so many damaged copies, one after the other; returns how often what came of them."""
    wanted, found = [standing(3), standing(2)], {"newest": 0, "before": 0, "none": 0, "refused": 0}
    for seed in seeds:
        rng = random.Random(seed)
        copy(saved / group.id, folder / group.id)
        done = damage(folder / group.id, rng)
        try:
            result = load(folder, group)
        except InputError:
            found["refused"] += 1
            continue
        if result is None:
            found["none"] += 1
        else:
            which = [same(result, one) for one in wanted]
            assert any(which), (seed, done)
            found["newest" if which[0] else "before"] += 1
    return found


@pytest.mark.parametrize("copies", [50, pytest.param(150, marks=pytest.mark.slow)])  # the fewer find gross faults
def test_a_damaged_checkpoint_is_never_taken_for_a_sound_one(copies, saved, group, tmp_path, capsys):
    found = damaged_checkpoints(saved, group, tmp_path, range(copies))
    assert found["newest"]  # where what was damaged does not matter
    assert found["before"]
    assert found["none"]


def test_keys_are_data_and_the_rest_is_as_it_was():
    tree = {"key": jax.random.key(3), "x": np.arange(3.0)}
    found = to_numpy(tree)
    assert found["key"].dtype == np.uint32
    assert found["x"].dtype == np.float64
