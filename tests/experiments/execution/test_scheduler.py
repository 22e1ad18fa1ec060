"""What is written down does not depend on which worker is first."""

import shutil
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from incentivize.agents import learner
from incentivize.envs.episodes import start_sampler
from incentivize.envs.tasks import make_pool
from incentivize.experiments.analysis.result_rows import aggregate, final_success
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.errors import InputError, RunError
from incentivize.experiments.execution import auditing, baselines, scheduler
from incentivize.experiments.execution.completeness import import_missing_cells, load_own_cells
from incentivize.experiments.execution.execution_options import ExecutionOptions
from incentivize.experiments.execution.planning import Plan, plan_groups
from incentivize.experiments.execution.progress import Progress
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import load_file, resolve
from incentivize.experiments.storage import cell_store as cell_store_module
from incentivize.experiments.storage.cell_store import CellResult, CellStore
from incentivize.experiments.storage.code_version import CodeVersion
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.studies import mixture, task_count
from incentivize.experiments.training import loop
from incentivize.experiments.training.build import pool_of
from tests.helpers.counts import counted

BLIND = {"errands": 5, "mazes": 7}  # successes in ten episodes


def results(cell):
    """Made-up counts of a finished cell, other ones in each of its families."""
    splits = ("seen", "specialty") if cell.role == "specialist" else ("seen", "validation", "unseen", "specialty")
    found = []
    for family in cell.members:
        won = BLIND[family] if cell.role == "blind" else (int(cell.id, 16) + len(family)) % 11
        counts = [(cell.id, point, split, 0, won, 10) for point, _ in cell.evaluation_points for split in splits]
        found.append(counted(*counts, family=family))
    return CellResult(cell, np.concatenate(found), 100, 1.0)


@pytest.fixture
def study(tiny_config, tmp_path):
    """Settings, cells and an empty run directory."""
    base = {"study": "task-count", "preset": "quick"} | task_count.PRESETS["quick"]
    settings = resolve(base, presets.training_defaults("quick"), load_file(tiny_config))
    (tmp_path / "run").mkdir()
    return settings, task_count.cells(settings), RunDirectory(tmp_path / "run")


def run(study, monkeypatch, order=1, results=results, beside=None):
    """Runs a study with made-up results; returns how many cells were missing."""
    settings, cells, directory = study
    progress = Progress(Console(quiet=True))

    def all_at_once(programs, options, deliver):
        for group in (group for groups in programs[::order] for group in groups):
            deliver([results(cell) for cell in group.cells])

    monkeypatch.setattr(scheduler, "run_groups", all_at_once)
    cell_store = CellStore(directory.path, beside, {"commit": "abc"})
    plan, finished = (
        Plan(cells, plan_groups(cells)),
        import_missing_cells(load_own_cells(cells, cell_store), cells, cell_store),
    )
    scheduler.run_missing_cells(plan, settings, directory, cell_store, progress, ExecutionOptions(1), finished)
    return progress.total


def test_a_run_measures_its_teacher_once(study, monkeypatch):
    settings, _, directory = study
    run(study, monkeypatch)
    sizes = {"n_tasks": settings.eval_tasks, "n_episodes": settings.eval_tasks * settings.eval_instances}
    family = settings.families[0]
    assert directory.meta()["teacher"][family] == {"kind": "informed", "success": 1.0} | sizes
    assert {row["role"] for row in directory.rows()}.isdisjoint({"expert", "teacher"})  # no agent of the study
    monkeypatch.setattr(baselines, "teacher_entry", None)
    run(study, monkeypatch)


def test_what_was_measured_under_other_settings_before_the_first_cell_is_measured_again(study, monkeypatch):
    settings, _, directory = study
    family = settings.families[0]
    old = {"audit": {family: {"pools": 0}}, "scripted": {family: []}, "teacher": {family: {"success": -1.0}}}
    directory.update_meta(**old, ambient={"--xla_gpu_deterministic_ops": "true"})
    run(study, monkeypatch)
    meta = directory.meta()
    assert meta["ambient"] == {}
    assert all(meta[name][family] != entry[family] for name, entry in old.items())
    directory.update_meta(
        ambient={"--xla_gpu_deterministic_ops": "true"}
    )  # with cells of another version: they go together
    monkeypatch.setattr(CellStore, "code_version", lambda *_: CodeVersion("another"))
    monkeypatch.setattr(baselines, "audit_pools", None)
    run(study, monkeypatch)
    assert directory.meta()["ambient"]


@pytest.mark.parametrize("order", [1, -1], ids=["blind first", "blind last"])
def test_scores_wait_for_the_blind_level(order, study, monkeypatch):
    _, cells, directory = study
    assert run(study, monkeypatch, order) == len(cells)
    rows = [row for row in directory.rows() if row["role"] not in ("uniform", "scripted")]
    assert {row["cell"] for row in rows} == {cell.id for cell in cells}
    for row in rows:
        expected = None if row["role"] == "blind" else (row["success"] - 0.5) / 0.5
        assert row["score"] == (expected if expected is None else pytest.approx(expected))


def test_an_agent_of_several_families_has_rows_and_scores_in_each(tiny_config, tmp_path, monkeypatch):
    base = {"study": "mixture", "preset": "quick"} | mixture.PRESETS["quick"]
    own = {"families": ("errands", "mazes"), "pools": ("new",), "control_pools": (), "taught_pools": ()}
    settings = resolve(base, presets.training_defaults("quick"), load_file(tiny_config), own)
    cells, directory = mixture.cells(settings), RunDirectory(tmp_path / "run")
    directory.path.mkdir()
    study = settings, cells, directory
    assert run(study, monkeypatch) == len(cells)
    mixed = [cell.id for cell in cells if cell.role == "mixture"]
    rows = [row for row in directory.rows() if row["cell"] in mixed and row["evaluated_on"] == "unseen"]
    assert {row["family"] for row in rows} == {"errands", "mazes"}
    for row in rows:
        assert row["success"] == (int(row["cell"], 16) + len(row["family"])) % 11 / 10
        blind = BLIND[row["family"]] / 10
        assert row["score"] == pytest.approx((row["success"] - blind) / (1 - blind))


def test_progress_tells_the_last_number_of_simulations(study):
    cell = replace(study[1][0], simulations=(0, 16))
    row = {"cell": cell.id, "env_steps": cell.evaluation_points[-1][0], "evaluated_on": "unseen"}
    rows = [row | {"simulations": count, "success": count / 16} for count in cell.simulations]
    assert final_success(rows, cell) == {"unseen": 1.0}


def test_rows_tell_success_by_attempt():
    counts = np.zeros(2, loop.count_fields(life=3))
    counts["episodes"], counts["by_attempt"] = 10, [[0, 5, 10], [2, 5, 8]]
    assert aggregate(counts)["success_by_attempt"] == [0.1, 0.5, 0.9]


def damage(path):
    path.write_bytes(path.read_bytes()[:-50])


@pytest.mark.parametrize("how", [Path.unlink, damage, lambda path: path.write_bytes(b"")], ids=["gone", "cut", "empty"])
@pytest.mark.parametrize("which", ["cells/{}.npz", "checkpoints/{}.msgpack"])
def test_a_cell_that_is_not_whole_is_made_again_and_all_else_from_the_cells(how, which, study, monkeypatch, capsys):
    _, cells, directory = study
    run(study, monkeypatch)
    whole, counts, meta = directory.rows(), directory.tasks(10**6), directory.meta()
    assert run(study, monkeypatch) == 0
    how(directory.path / which.format(cells[3].id))
    for name in ("results.jsonl", "tasks.npz", "meta.json"):
        (directory.path / name).unlink()
    assert run(study, monkeypatch) == 1
    assert directory.rows() == whole
    assert (directory.tasks(10**6) == counts).all()
    assert directory.meta() == meta
    lost = how is Path.unlink and which.startswith("cells")
    assert ("damaged, so this cell" in capsys.readouterr().err) != lost


def test_a_cell_under_another_name_is_not_taken_for_it(study, monkeypatch, capsys):
    _, cells, directory = study
    run(study, monkeypatch)
    whole = directory.rows()
    for name in ("cells/{}.npz", "checkpoints/{}.msgpack"):
        (directory.path / name.format(cells[1].id)).replace(directory.path / name.format(cells[3].id))
    assert run(study, monkeypatch) == 2
    assert "it is of another cell" in capsys.readouterr().err
    assert directory.rows() == whole


def test_cells_of_other_runs_are_taken_over_where_they_mean_the_same(study, monkeypatch, tmp_path):
    settings, cells, directory = study
    assert run(study, monkeypatch) == len(cells)
    more = settings.model_copy(update={"pools": (1, 2, 4, None)})
    bigger = more, task_count.cells(more), RunDirectory(tmp_path / "bigger")
    bigger[2].path.mkdir()
    assert run(bigger, monkeypatch, beside=tmp_path) == 2  # the pools of two tasks
    assert {row["cell"] for row in directory.rows()} < {row["cell"] for row in bigger[2].rows()}
    shutil.rmtree(directory.path)  # what was taken over is there to stay
    assert run(bigger, monkeypatch) == 0
    other = more, bigger[1], RunDirectory(tmp_path / "other")
    other[2].path.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(cell_store_module, "code_version", lambda *_: CodeVersion("changed"))
        assert run(other, patch, beside=tmp_path) == len(bigger[1])


def test_a_run_that_was_begun_with_other_code_is_not_gone_on_with(study, monkeypatch):
    _, cells, directory = study
    run(study, monkeypatch)
    monkeypatch.setattr(cell_store_module, "code_version", lambda *_: CodeVersion("changed"))
    assert run(study, monkeypatch) == 0  # there is nothing to do
    (directory.path / "cells" / f"{cells[3].id}.npz").unlink()
    with pytest.raises(InputError, match=r"was started with other training code \(commit abc\), and [0-9]+ of its"):
        run(study, monkeypatch)


def test_a_run_that_was_begun_with_other_settings_of_jax_is_not_gone_on_with(study, monkeypatch):
    _, cells, directory = study
    run(study, monkeypatch)
    real = cell_store_module.code_version
    monkeypatch.setattr(
        cell_store_module, "code_version", lambda *what: real(*what)._replace(ambient="jax_enable_x64=True")
    )
    (directory.path / "cells" / f"{cells[3].id}.npz").unlink()
    with pytest.raises(
        InputError, match=r"started with .*, and this process has .*jax_enable_x64=True, so that numbers"
    ):
        run(study, monkeypatch)


def test_a_cell_that_is_given_up_leaves_a_gap_and_is_not_tried_again(study, monkeypatch):
    settings, cells, directory = study
    lost = next(cell for cell in cells if cell.role == "blind")

    def broken(cell):
        return results(cell)._replace(failure="loss is nan" if cell.id == lost.id else "")

    assert run(study, monkeypatch, results=broken) == len(cells)
    assert lost.id not in {row["cell"] for row in directory.rows()}
    assert directory.meta()["given_up"] == {lost.id: f"{lost.label}: loss is nan"}
    assert {row["score"] for row in directory.rows()} == {None}  # the level lacks what was given up
    assert run(study, monkeypatch) == 0
    table = ResultsTable(directory.rows(), directory.tasks(10**6), directory.meta())
    (directory.path / "cells" / f"{lost.id}.npz").unlink()  # to try again, which goes well
    assert run(study, monkeypatch) == 1
    assert directory.meta()["given_up"] == {}
    assert {claim.effect for claim in task_count.verdicts(table, settings) if "appears" in claim.claim} == {None}


def test_a_run_is_audited_and_a_leak_stops_it(study, monkeypatch, tmp_path):
    run(study, monkeypatch)
    found = study[2].meta()["audit"]["errands"]
    assert found["sound"]
    assert sum(found["nearest"].values()) == 8
    assert found["trained_before"] == "no"
    pools = {(cell.pool_size, cell.pool_seed, cell.pool_split, cell.pool_first) for cell in study[1]}
    assert found["pools"] == len(pools) > 3
    settings = study[0].model_copy(update={"control": "leak"})
    leaky = settings, task_count.cells(settings), RunDirectory(tmp_path / "leaky")
    leaky[2].path.mkdir()
    told = r"errands: training draws 8 held-out tasks, 8 of them evaluated\. Correct the family"
    with pytest.raises(RunError, match=told):
        run(leaky, monkeypatch)


def leaky(family, pool, near=None, starts=None):
    """One episode in eight is at a held-out task."""

    def draw(key):
        held = start_sampler(family, make_pool(None, split="heldout"), near, starts)(key)
        leaks = jax.random.bernoulli(jax.random.fold_in(key, 1), 1 / 8)
        ours = start_sampler(family, pool, near, starts)(key)
        return jax.tree.map(lambda own, other: jnp.where(leaks, other, own), ours, held)

    return draw


def later_seeds(family, pool, near=None, starts=None):
    """Finite pools of later seeds are drawn from held-out tasks."""
    leaks = (pool.seed > 0) & ~pool.fresh
    return start_sampler(family, pool._replace(split=jnp.where(leaks, 2, pool.split)), near, starts)


def held_out(cell):
    """Pools of training tasks are taken from the held-out ones."""
    return pool_of(replace(cell, pool_split="heldout"))


def next_one(cell):
    """Every pool begins one task too late."""
    return pool_of(replace(cell, pool_first=cell.pool_first + 1))


@pytest.mark.parametrize(
    ("where", "name", "fault", "told"),
    [
        (
            learner,
            "start_sampler",
            leaky,
            "training draws [0-9,]+ held-out tasks outside the agent's pool and [0-9,]+ held-out",
        ),
        (
            learner,
            "start_sampler",
            later_seeds,
            "training draws [0-9]+ held-out tasks, 4 of them evaluated",
        ),
        (auditing, "pool_of", held_out, "training draws [0-9,]+ held-out tasks, 8 of them evaluated"),
        (
            auditing,
            "pool_of",
            next_one,
            "training draws [0-9]+ held-out tasks outside the agent's pool and [0-9]+ training",
        ),
    ],
    ids=["one in eight", "seeds from 1 on", "held-out pools", "another pool"],
)
def test_a_run_notices_whatever_draws_other_tasks_than_its_cells_say(where, name, fault, told, study, monkeypatch):
    auditing._side_by_side.clear_cache()
    monkeypatch.setattr(where, name, fault)
    with pytest.raises(RunError, match=f"errands: {told}"):
        run(study, monkeypatch)
    assert "audit" not in study[2].meta()
    auditing._side_by_side.clear_cache()


def test_an_audit_says_where_agents_come_from_elsewhere(study):
    _, cells, _ = study
    own = cells[0].training.model_copy(update={"start_from": "elsewhere.msgpack"})
    found = auditing.audit_pools("errands", [replace(cell, training=own) for cell in cells], 8)
    assert found["trained_before"] == "on tasks that the file of start_from does not tell"
