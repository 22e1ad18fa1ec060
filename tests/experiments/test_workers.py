"""Who trains which groups: a process to a core, or a thread to every device of a host."""

import threading

import jax
import pytest

from experiments import workers
from experiments.workers import Work, run_groups


@pytest.fixture
def eight(monkeypatch):
    """A host of eight devices on which nothing is trained; yields where each group would have been."""
    met, together = [], threading.Barrier(4)

    def train(group, checked, devices):
        together.wait(60)  # all at the same time, or never
        met.append((group, devices))
        return []

    monkeypatch.setattr(workers, "train", train)
    monkeypatch.setattr(jax, "local_devices", lambda: [f"device {number}" for number in range(8)])
    monkeypatch.setattr(jax, "local_device_count", lambda: 8)
    return met


def test_every_device_of_a_host_trains_its_share_of_one_program(eight):
    assert workers.usual() == 8
    run_groups([list(range(16))], Work(workers.usual()), lambda trained: None)
    assert sorted(group for group, _ in eight) == list(range(16))
    assert sorted(devices for _, devices in eight) == sorted([(f"device {number}",) for number in range(8)] * 2)


def test_devices_that_share_agents_go_together(eight):
    assert workers.usual(split=2) == 4
    run_groups([list(range(8))], Work(4, split=2), lambda trained: None)
    pairs = [(f"device {number}", f"device {number + 1}") for number in (0, 2, 4, 6)]
    assert sorted(devices for _, devices in eight) == sorted(pairs * 2)


def test_a_cpu_has_a_worker_to_a_core_and_an_accelerator_one_each(monkeypatch):
    assert workers.apart()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert (workers.apart(), workers.usual()) == (False, 1)
    monkeypatch.setattr(jax, "local_device_count", lambda: 4)
    assert workers.usual() == 4
