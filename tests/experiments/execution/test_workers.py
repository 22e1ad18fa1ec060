"""Who trains which groups: a process to a core, or a thread to every device of a host."""

import errno
import os
import threading
from types import SimpleNamespace

import jax
import pytest

from incentivize.experiments.errors import RunError, explain
from incentivize.experiments.execution import workers
from incentivize.experiments.execution.execution_options import ExecutionOptions
from incentivize.experiments.execution.workers import run_groups
from incentivize.experiments.runtime import cgroup
from incentivize.experiments.storage.lock import file_lock


@pytest.fixture
def shared_out(monkeypatch):
    """From groups and work to where each group was trained, on a host of eight devices where all begin together."""

    def share(groups, work):
        met, together = [], threading.Barrier(work.workers)

        def train(group, checkify, devices):
            together.wait(60)  # all at the same time, or never
            met.append((group, devices))
            return []

        monkeypatch.setattr(workers, "train", train)
        run_groups([groups], work, lambda trained: None)
        assert sorted(group for group, _ in met) == groups
        return sorted(devices for _, devices in met)

    monkeypatch.setattr(jax, "devices", lambda: [f"device {number}" for number in range(8)])
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    return share


def test_every_device_of_a_host_trains_its_share_of_one_program(shared_out):
    found = shared_out(list(range(16)), ExecutionOptions(workers.default_workers()))
    assert found == sorted([(f"device {number}",) for number in range(8)] * 2)


def test_devices_that_share_agents_go_together(shared_out):
    found = shared_out(
        list(range(8)), ExecutionOptions(workers.default_workers(devices_per_agent=2), devices_per_agent=2)
    )
    assert found == sorted([(f"device {number}", f"device {number + 1}") for number in (0, 2, 4, 6)] * 2)


def test_a_cpu_has_a_worker_to_a_core_and_an_accelerator_one_each(monkeypatch):
    assert workers.workers_are_processes()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert (workers.workers_are_processes(), workers.default_workers()) == (False, 1)
    monkeypatch.setattr(jax, "device_count", lambda: 4)
    assert workers.default_workers() == 4


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EROFS, "Read-only"),
    PermissionError(errno.EACCES, "Permission denied"), OSError(errno.ENOSYS, "Function not implemented"),
    ImportError("This platform lacks a functioning sem_open implementation")])  # fmt: skip
def test_without_semaphores_shared_memory_is_to_blame(error, monkeypatch):
    def lacking(*_, **__):
        raise error

    monkeypatch.setattr(workers, "ProcessPoolExecutor", lacking)
    with pytest.raises(RunError, match=r"shared memory \(/dev/shm\) cannot hold them") as caught:
        run_groups([[None]], ExecutionOptions(1), lambda trained: None)
    assert explain(caught.value) == str(caught.value)
    assert "the disk is full" not in explain(caught.value)
    assert "--shm-size" in explain(caught.value)


def test_a_worker_waits_for_another_of_its_group_and_then_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "ORPHANED", 0.05)
    group = SimpleNamespace(id="abc")
    with file_lock(tmp_path / "abc.lock"), pytest.raises(RunError, match="another process trains the same"):
        workers._train(group, ExecutionOptions(1, tmp_path), ())


def test_a_container_has_a_worker_to_a_core_of_its_time(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for cores, many in ((None, 8), (3.5, 3), (0.5, 1), (64.0, 8)):
        monkeypatch.setattr(cgroup, "limits", lambda _, cores=cores: cgroup.CgroupLimits(cores=cores))
        assert workers.default_workers() == many
