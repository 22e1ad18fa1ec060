"""Memory is guessed before anything compiles."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import psutil
import pytest

from incentivize.experiments.errors import InputError
from incentivize.experiments.execution import memory_estimate
from incentivize.experiments.execution.memory_estimate import check_memory, group_bytes
from incentivize.experiments.execution.planning import plan_groups
from incentivize.experiments.runtime.cgroup import CgroupLimits
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import load_file, resolve
from incentivize.experiments.studies import inference_search, mixture, task_count


def programs(*layers, study=task_count, family="errands"):
    base = {"study": study.STUDY, "preset": "quick"} | study.PRESETS["quick"]
    own = {} if study is not task_count else {"families": [family]}
    return plan_groups(study.cells(resolve(base, presets.training_defaults("quick"), own, *layers)))


def size(*layers):
    return max(group_bytes(group) for groups in programs(*layers) for group in groups)


def test_what_takes_memory_counts():
    usual = size()
    assert 2**20 < usual < 2**30
    for more in ({"num_envs": 8192}, {"rollout_steps": 512}, {"eval_tasks": 2**14}, {"eval_instances": 2**14}):
        assert size(more) > 4 * usual


def test_what_does_not_fit_is_refused_and_says_why(monkeypatch):
    monkeypatch.setattr(memory_estimate, "available_bytes", lambda: 2**30)
    check_memory(programs(), 2)
    with pytest.raises(InputError) as caught:
        check_memory(programs({"num_envs": 2**16, "rollout_steps": 4096, "budget": 2**40}), 2)
    text = str(caught.value)
    assert "GiB of memory with 2 workers (num_envs = 65,536, rollout_steps = 4,096, " in text
    assert "but only 1 GiB are available. Lower these settings, or use --workers 1." in text


def test_what_a_container_leaves_is_what_there_is(monkeypatch):
    total = psutil.virtual_memory().total
    for found, there in (
        (CgroupLimits(), total),
        (CgroupLimits(2**30, 2**29), 2**29),
        (CgroupLimits(2**60 - 1, 2**60 - 2), total),
        (CgroupLimits(2**30, 0), 0),
    ):
        monkeypatch.setattr(memory_estimate.cgroup, "limits", lambda found=found: found)
        assert memory_estimate.available_bytes() == there
    monkeypatch.setattr(memory_estimate.cgroup, "limits", lambda: CgroupLimits(2**30, 2**29))
    with pytest.raises(
        InputError, match=r"available of the 1\.0 GiB that this container or job \(its cgroup\) may use"
    ):
        check_memory(programs({"num_envs": 2**16, "rollout_steps": 4096, "budget": 2**40}), 2)


def test_workers_and_lanes_add_up(monkeypatch, tiny_config):
    groups = programs(load_file(tiny_config))
    group = next(mine[0] for mine in groups if mine[0].lanes > 1)
    assert group_bytes(group) == pytest.approx(group.lanes * group_bytes(group._replace(lanes=1)), rel=1e-6)
    largest = sorted((group_bytes(mine[0]) for mine in groups), reverse=True)
    monkeypatch.setattr(memory_estimate, "available_bytes", lambda: largest[0] + largest[1] - 1)
    check_memory(groups, 1)
    with pytest.raises(InputError, match="with 2 workers"):
        check_memory(groups, 2)


def test_an_accelerator_has_to_hold_what_it_is_given_by_itself(monkeypatch):
    """A group is on one device: that others have room, too, does not help it."""
    groups = programs()
    largest = max(group_bytes(mine[0]) for mine in groups)

    def devices(*limits):
        found = [SimpleNamespace(memory_stats=lambda limit=limit: {"bytes_limit": limit}) for limit in limits]
        monkeypatch.setattr(jax, "local_devices", lambda: found)
        monkeypatch.setattr(jax, "local_device_count", lambda: len(found))

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    devices(*[largest] * 8)
    check_memory(groups, 8)
    with pytest.raises(InputError, match="with 2 workers"):
        check_memory(groups, 9)
    devices(*[largest] * 7, largest - 1)
    with pytest.raises(InputError, match="needs about"):
        check_memory(groups, 8)


def test_mixtures_and_searches_are_known():
    assert all(group_bytes(group) > 0 for groups in programs(study=mixture) for group in groups)
    group = programs(study=inference_search)[0][0]
    thinks = group._replace(cells=(replace(group.cells[0], simulations=(0, 4096)),))
    assert group_bytes(thinks) > 3 * group_bytes(group._replace(cells=(replace(group.cells[0], simulations=(0,)),)))
    assert group_bytes(thinks) > 2 * group_bytes(
        group._replace(cells=(replace(group.cells[0], simulations=(0, 1024)),))
    )
