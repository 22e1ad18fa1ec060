"""Who trains which groups: a process to a core, or a thread to every device of a host."""

import threading

import jax
import pytest

from experiments import workers
from experiments.workers import Work, run_groups


@pytest.fixture
def shared_out(monkeypatch):
    """From groups and work to where each group was trained, on a host of eight devices where all begin together."""

    def share(groups, work):
        met, together = [], threading.Barrier(work.workers)

        def train(group, checked, devices):
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
    found = shared_out(list(range(16)), Work(workers.usual()))
    assert found == sorted([(f"device {number}",) for number in range(8)] * 2)


def test_devices_that_share_agents_go_together(shared_out):
    found = shared_out(list(range(8)), Work(workers.usual(split=2), split=2))
    assert found == sorted([(f"device {number}", f"device {number + 1}") for number in (0, 2, 4, 6)] * 2)


def test_a_cpu_has_a_worker_to_a_core_and_an_accelerator_one_each(monkeypatch):
    assert workers.apart()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert (workers.apart(), workers.usual()) == (False, 1)
    monkeypatch.setattr(jax, "device_count", lambda: 4)
    assert workers.usual() == 4
