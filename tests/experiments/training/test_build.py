"""What is trained is what a cell says, and what is evaluated is what the rows say."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs, rewards
from incentivize.agents.evaluate import Successes
from incentivize.agents.teachers import TEACHERS
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import load_file, resolve
from incentivize.experiments.studies import distribution_shift, task_count
from incentivize.experiments.training import evaluation
from incentivize.experiments.training.build import build_setup, build_warm_start, evaluation_config, hyper_of, pool_of
from tests.helpers import compiled


@pytest.fixture
def cell(tiny_config):
    """An incentivized generalist."""
    base = {"study": "task-count", "preset": "quick"} | task_count.PRESETS["quick"]
    cells = task_count.cells(resolve(base, presets.training_defaults("quick"), load_file(tiny_config)))
    return next(cell for cell in cells if cell.role == "generalist")


def with_training(cell, **own):
    return replace(cell, training=cell.training.model_copy(update=own))


@pytest.mark.parametrize("reward", [*rewards.names(), "sparse+hunger", "sparse+shaped", "sparse+taste"])
def test_a_cell_is_paid_by_its_reward_and_no_other(cell, reward):
    mine = with_training(cell, reward=reward)
    assert build_setup(mine).reward == rewards.make(reward)
    taught = replace(mine, teacher="dagger")  # before it is incentivized
    assert build_warm_start(taught).reward == build_setup(taught).reward == rewards.make(reward)


def test_the_incentive_of_a_cell_is_one_for_success_and_nothing_else(cell):
    """To the last bit of a whole rollout, in which some succeed."""
    setup, pool = build_setup(with_training(cell, reward="sparse", num_envs=64)), pool_of(cell)
    _, rollout = jax.device_get(compiled.first_rollout(setup, pool, np.uint32(0), hyper_of(cell)))
    assert rollout.succeeded.any()
    assert not rollout.succeeded.all()
    assert (rollout.reward == rollout.succeeded.astype(np.float32)).all()


@pytest.mark.parametrize(
    ("learner", "teacher", "algorithm", "taught_by"),
    [("ppo", None, "ppo", None), ("ppo", "fair-dagger", "ppo", None), ("cloning", "bc", "cloning", "bc")],
)
def test_a_cell_has_its_own_algorithm_teacher_and_sizes(cell, learner, teacher, algorithm, taught_by):
    mine = replace(cell, learner=learner, teacher=teacher)
    setup, before, training = build_setup(mine), build_warm_start(mine), cell.training
    assert (setup.algorithm.name, setup.teacher) == (algorithm, TEACHERS.get(taught_by))
    assert before is None if learner == "cloning" or not teacher else before.teacher == TEACHERS[teacher]
    sizes = (training.num_envs, training.rollout_steps, training.epochs, training.minibatches)
    assert (setup.num_envs, setup.steps, setup.epochs, setup.minibatches) == sizes


def test_every_block_and_shift_is_evaluated_on_its_own_tasks(monkeypatch):
    """Seen tasks are the pool's, and those of every shift are held out, whatever the pool."""
    base = {"study": "distribution-shift", "preset": "quick"} | distribution_shift.PRESETS["quick"]
    own = {"families": ("errands",), "pools": (64,), "eval_tasks": 6}
    cells = distribution_shift.cells(resolve(base, presets.training_defaults("quick"), own))
    mine = replace(next(cell for cell in cells if cell.role == "generalist"), pool_seed=3)
    assert len(mine.shifts) > 1
    looked_at = []

    def record(family, policy, memory, tasks, *args):
        looked_at.append(tasks)
        nothing = jnp.zeros(len(tasks), jnp.int32)
        return Successes(*[nothing] * 5, by_attempt=nothing[:, None], log_likelihood=nothing, decisions=nothing)

    monkeypatch.setattr(evaluation, "evaluate", record)
    setup, sizes = build_setup(mine), evaluation_config(mine)._replace(likelihood=False)

    @jax.jit
    def tasks_of(pool, hyper, key):
        evaluation.count_successes(setup, sizes, 0, (), pool, hyper, key)
        return looked_at

    own, *shifts = jax.device_get(tasks_of(pool_of(mine), hyper_of(mine), jax.random.key(0)))
    blocks = dict(zip(sizes.blocks(), own.reshape(len(sizes.blocks()), 6, -1), strict=True))
    space, slots = setup.family.tasks, range(6)
    assert [space.locate(task, 3) for task in blocks["seen"]] == [("training", slot) for slot in slots]
    assert [space.locate(task) for task in blocks["validation"]] == [("validation", slot) for slot in slots]
    for tasks in (blocks["unseen"], *(blocks[name] for name in blocks if name == "specialty")):
        assert {space.locate(task)[0] for task in tasks} == {"heldout"}
    assert len(shifts) == len(mine.shifts)
    for (_, knobs), tasks in zip(mine.shifts, shifts, strict=True):
        there = envs.make("errands", **dict(mine.knobs) | dict(knobs)).tasks
        assert [there.locate(task) for task in tasks] == [("heldout", slot) for slot in slots]
