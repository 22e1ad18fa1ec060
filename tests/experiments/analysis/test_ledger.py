"""The ledger, by hand."""

import math
from dataclasses import replace

import pytest

from incentivize.experiments.analysis.ledger import ledger
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.studies import signal_and_scope, weak_incentive


def cells_of(study, name):
    base = {"study": name} | study.PRESETS["quick"] | {"families": ("errands",)}
    return {cell.role: cell for cell in study.cells(resolve(base, presets.training_defaults("quick")))}


def spent(cell):
    return ledger(cell, num_actions=4, horizon=10, flops=1000, n_params=500, episodes=100_000, seconds=1.0)


def test_what_each_signal_tells_is_counted():
    cells = cells_of(weak_incentive, "weak-incentive")
    steps = cells["taught"].evaluation_points[-1][0]
    assert spent(cells["taught"])["supervision_bits"] == 2 * steps
    assert spent(cells["generalist"])["supervision_bits"] == 100_000
    assert spent(cells["shaped"])["supervision_bits"] == round(100_000 + steps * math.log2(11))
    calls = {role: spent(cell)["expert_calls"] for role, cell in cells.items()}
    assert calls == {"taught": steps, "shaped": steps, "generalist": 0, "blind": 0}


def test_teaching_that_comes_first_counts_as_such():
    cell = cells_of(signal_and_scope, "signal-and-scope")["taught first"]
    steps, taught = cell.evaluation_points[-1][0], cell.training.taught_steps
    found = spent(cell)
    assert found["expert_labels"] == taught == pytest.approx(steps / 4, rel=0.1)
    assert found["supervision_bits"] == round(2 * taught + 100_000 * (steps - taught) / steps)


def test_operations_go_with_decisions_and_passes():
    cell = cells_of(weak_incentive, "weak-incentive")["generalist"]
    steps = cell.evaluation_points[-1][0]
    assert spent(cell)["acting_flops"] == 1000 * steps
    assert spent(cell)["learning_flops"] == 3 * 1000 * steps * 2
    once = replace(cell, training=cell.training.model_copy(update={"epochs": 1}))
    assert spent(once)["learning_flops"] == 3 * 1000 * steps
    assert spent(cell)["tuning_trials"] == 12
