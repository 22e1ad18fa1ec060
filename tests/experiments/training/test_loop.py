"""What is trained for how long, and which tasks it is evaluated on."""

import threading
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs
from incentivize.agents import networks
from incentivize.agents.evaluate import Successes
from incentivize.experiments.analysis.result_rows import rows_of
from incentivize.experiments.errors import Stopped
from incentivize.experiments.runtime import signals
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import load_file, resolve
from incentivize.experiments.storage.schema import EVALUATED_BLOCKS
from incentivize.experiments.studies import task_count
from incentivize.experiments.training import evaluation, loop
from incentivize.experiments.training.build import pool_of
from incentivize.experiments.training.evaluation import EvaluationConfig
from incentivize.experiments.training.groups import CellGroup
from tests.helpers.compiled import tasks_of_blocks
from tests.helpers.probes import Corridor


@pytest.fixture
def cells(tiny_config):
    base = {"study": "task-count", "preset": "quick"} | task_count.PRESETS["quick"]
    return task_count.cells(resolve(base, presets.training_defaults("quick"), load_file(tiny_config)))


def test_every_split_is_evaluated_on_its_own_tasks(cells):
    for cell in cells:
        family = envs.make(cell.family, **dict(cell.knobs))
        sizes = EvaluationConfig(cell.eval_tasks, cell.eval_instances, cell.eval_specialists)
        tasks = np.array(tasks_of_blocks(family, sizes, evaluation._blocks(pool_of(cell), sizes, 0)))
        tasks = tasks.reshape(len(EVALUATED_BLOCKS), cell.eval_tasks, -1)
        splits = dict(zip(EVALUATED_BLOCKS, (cell.pool_split, "validation", "heldout", "heldout"), strict=True))
        for block, (name, split) in enumerate(splits.items()):
            seed = cell.pool_seed if name == "seen" else 0
            found = [family.tasks.locate(task, seed) for task in tasks[block]]
            assert found == [(split, ordinal) for ordinal in evaluation.block_ordinals(cell, EVALUATED_BLOCKS)[block]]


class State(NamedTuple):
    params: Any


class Recorder:
    """A program that counts the updates it was asked for, and succeeds as often as the slot's number says."""

    def __init__(self, setup, teaching, sizes, lanes, checked=False, devices=()):
        self.setup, self.lanes, self.sizes = setup, lanes, sizes
        self.updates, self.taught, self.measured = 0, 0, []
        self.warm_start = self.be_taught if teaching else None
        self.measures = dict.fromkeys(sizes.simulations, self.measure)

    def init(self, pools, seeds, hyper):
        return State({"kernel": np.zeros((self.lanes, 3), np.float32)})

    def train(self, state, hyper, pools, updates):
        self.updates += int(updates)
        return state, {"episodes": jnp.full(self.lanes, 3.0 * int(updates)), "loss": jnp.zeros(self.lanes)}

    def be_taught(self, state, hyper, pools, updates):
        assert self.taught == self.updates  # never after training has begun
        self.taught += int(updates)
        return self.train(state, hyper, pools, updates)

    def measure(self, params, pools, hyper, key):
        self.measured.append(self.updates)
        counts = jnp.broadcast_to(jnp.arange(self.sizes.tasks), (self.lanes, len(EVALUATED_BLOCKS), self.sizes.tasks))
        own = {"successes_greedy": counts, "successes_best": counts, "steps": counts, "expert_steps": counts}
        own |= {"log_likelihood": -counts.astype(jnp.float32), "decisions": counts}
        return (Successes(**own, successes=counts + 100, by_attempt=counts[..., None] + 100),)


def test_cells_are_trained_and_evaluated_as_long_as_they_say(cells, monkeypatch):
    recorders = []

    def record(*args):
        recorders.append(Recorder(*args))
        return recorders[-1]

    monkeypatch.setattr(loop, "_compiled_group", record)
    for cell in cells:
        (trained,) = loop.train(CellGroup((cell,), 1))
        per_update = recorders[-1].setup.steps_per_update
        assert [n * per_update for n in recorders[-1].measured] == [steps for steps, _ in cell.evaluation_points]
        assert trained.episodes == 3 * recorders[-1].updates
        assert list(dict.fromkeys(trained.counts["env_steps"])) == [steps for steps, _ in cell.evaluation_points]


def test_an_agent_is_taught_first_and_incentivized_after(cells, monkeypatch):
    recorders = []
    monkeypatch.setattr(loop, "_compiled_group", lambda *args: recorders.append(Recorder(*args)) or recorders[-1])
    cell = next(cell for cell in cells if cell.role == "generalist")
    per_update = cell.training.steps_per_update
    own = cell.training.model_copy(update={"taught_steps": 5 * per_update // 2})
    for learner, teacher, expected in (("ppo", "dagger", 2), ("ppo", None, 0), ("cloning", "dagger", 0)):
        loop.train(CellGroup((replace(cell, learner=learner, teacher=teacher, training=own),), 1))
        assert recorders[-1].taught == expected
        assert recorders[-1].updates == cell.evaluation_points[-1][0] // per_update


def test_every_number_of_simulations_is_evaluated_at_every_point_and_also_before_learning(cells, monkeypatch):
    monkeypatch.setattr(loop, "_compiled_group", Recorder)
    points = ((0, "total"), *cells[0].evaluation_points)
    counts = loop.train(CellGroup((replace(cells[0], simulations=(0, 4), evaluation_points=points),), 1))[0].counts
    found = set(counts[["env_steps", "simulations"]].tolist())
    assert found == {(steps, simulations) for steps, _ in points for simulations in (0, 4)}


def test_counts_belong_to_the_tasks_of_the_slots(cells, monkeypatch):
    monkeypatch.setattr(loop, "_compiled_group", Recorder)
    for cell in cells:
        counts = loop.train(CellGroup((cell,), 1))[0].counts
        counts = counts[counts["env_steps"] == cell.evaluation_points[-1][0]]
        ordinals = evaluation.block_ordinals(cell, EVALUATED_BLOCKS)
        for block, split in enumerate(EVALUATED_BLOCKS):
            mine = counts[counts["evaluated_on"] == split]
            if cell.role == "specialist" and split in ("unseen", "validation"):
                assert not len(mine)
                continue
            if cell.role == "specialist":
                assert set(mine["ordinal"]) == {cell.pool_first}  # no task but its own
            for row in mine:
                slots = np.flatnonzero(ordinals[block] == row["ordinal"])
                assert row["successes_greedy"] == slots.sum()
                assert row["successes"] == slots.sum() + 100 * len(slots)
                assert row["episodes"] == cell.eval_instances * len(slots)


def test_a_cell_whose_numbers_are_none_is_given_up_and_the_others_go_on(cells, monkeypatch):
    class Broken(Recorder):
        def train(self, *args):
            state, metrics = super().train(*args)
            loss = jnp.where((jnp.arange(self.lanes) == 1) & (self.updates > 4), jnp.nan, 1.0)
            return state, metrics | {"loss": loss}

    monkeypatch.setattr(loop, "_compiled_group", Broken)
    monkeypatch.setattr(loop, "MAX_UPDATES_PER_CALL", 4)
    mine = [cell for cell in cells if cell.role == "generalist" and cell.pool_size == 4]
    first, second = loop.train(CellGroup(tuple(mine), 2))
    assert first.failure == ""
    assert set(first.counts["env_steps"].tolist()) == {point for point, _ in mine[0].evaluation_points}
    steps = 8 * mine[1].training.steps_per_update
    assert second.failure == f"loss is nan after {steps:,} steps; try a lower learning_rate"
    (alone,) = loop.train(CellGroup((mine[0],), 1))  # in the only lane, which is sound
    assert alone.failure == ""


def test_a_group_of_which_all_are_given_up_is_not_trained_on(cells, monkeypatch):
    recorders = []

    class Broken(Recorder):
        def train(self, *args):
            state, metrics = super().train(*args)
            return state, metrics | {"params_norm": jnp.full(self.lanes, jnp.inf)}

    monkeypatch.setattr(loop, "_compiled_group", lambda *args: recorders.append(Broken(*args)) or recorders[-1])
    monkeypatch.setattr(loop, "MAX_UPDATES_PER_CALL", 1)
    (trained,) = loop.train(CellGroup((cells[0],), 1))
    assert trained.failure.startswith("params_norm is inf after 128 steps")
    assert recorders[0].updates == 1
    assert recorders[0].measured == []


class Kept:
    """Checkpoints in memory."""

    saved: ClassVar[list[Any]] = []

    def __init__(self, *_):
        pass

    def load(self, *_):
        return self.saved[-1] if self.saved else None

    def save(self, standing):
        self.saved.append(standing)

    def is_due(self):
        return False

    def close(self):
        pass


def test_a_request_to_stop_is_heeded_between_evaluations_too(cells, monkeypatch, tmp_path):
    class Asked(Recorder):
        count_shapes: ClassVar[dict[int, Any]] = {}

        def measure(self, *args):
            if ask and len(self.measured) == 1:
                signals.stop_requested.set()
            return super().measure(*args)

    monkeypatch.setattr(loop, "_compiled_group", Asked)
    monkeypatch.setattr(loop, "GroupCheckpointer", Kept)
    monkeypatch.setattr(signals, "stop_requested", threading.Event())
    monkeypatch.setattr(Kept, "saved", [])
    group, ask = CellGroup((replace(cells[0], simulations=(0, 4, 8)),), 1), False
    (whole,) = loop.train(group)
    ask = True
    with pytest.raises(Stopped):
        loop.train(group, tmp_path)
    assert len(Kept.saved[-1].counts) == 2  # of three at the first point
    ask = False
    signals.stop_requested.clear()
    (found,) = loop.train(group, tmp_path)
    assert (found.counts == whole.counts).all()
    assert found.episodes == whole.episodes


def test_with_a_search_held_out_tasks_alone_are_played_once_and_rows_say_so(cells, monkeypatch):
    """Trained and played is a probe, whose programs are small."""
    probe, build_setup = Corridor(), loop.build_setup
    network = networks.make("mlp", probe, width=4)
    monkeypatch.setattr(loop, "build_setup", lambda cell: replace(build_setup(cell), family=probe, network=network))
    cell = next(replace(cell, simulations=(0, 2), attempts=3) for cell in cells if cell.role == "generalist")
    (found,) = loop.train(CellGroup((cell,), 1))
    rows = rows_of(cell, found.counts, 1)
    splits = {(row["simulations"], row["attempts"], row["evaluated_on"]) for row in rows}
    assert splits == {(0, 3, "seen"), (0, 3, "validation"), (0, 3, "unseen"), (0, 3, "specialty"), (2, 1, "unseen")}
    for row in rows:
        if row["simulations"]:
            assert row["success_best"] == row["success"]
