"""Tuning: equal for both arms, on validation tasks alone, and resumed where it stopped."""

import json
import tomllib

import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs
from incentivize.experiments.cli.main import main
from incentivize.experiments.execution import scheduler, tuning, workers
from incentivize.experiments.execution.planning import plan_groups
from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import load_file, resolve
from incentivize.experiments.settings.training import ARMS, Training
from incentivize.experiments.training import build, evaluation, loop
from incentivize.experiments.training.build import pool_of
from tests.helpers.compiled import tasks_of_blocks

SHIPPED = Training(num_envs=16, budget=1024, rollout_steps=8, minibatches=2, entropy_steps=300)


def settings_of(tiny_config, **more):
    base = tuning.PRESET | {"preset": "quick"}
    return resolve(base, presets.training_defaults("quick"), load_file(tiny_config), {"pools": ["new"]} | more)


@pytest.fixture
def arguments(tiny_config, tmp_path):
    return ["tune", "errands", "--config", str(tiny_config), "--out", str(tmp_path / "out"), "--workers", "1"]


@pytest.fixture
def made_up(monkeypatch):
    """Training replaced by made-up counts: success grows with the learning rate. Returns the cells trained."""
    trained, broken = [], set()

    def run_groups(programs, options, deliver):
        for cell in (cell for groups in programs for group in groups for cell in group.cells):
            trained.append(cell)
            if cell.role in broken:
                none = np.zeros(0, loop.count_fields(cell.life))
                deliver([loop.CellResult(cell, none, 1, 1.0, failure="loss is nan")])
                continue
            splits = build.evaluation_config(cell).blocks()
            assert len(splits) == 2
            won = np.full((2, cell.eval_tasks), round(cell.training.learning_rate * 100 * cell.eval_instances))
            won = np.minimum(won, cell.eval_instances)
            found = loop.Successes(*[won] * 5, won[..., None], np.zeros(won.shape, np.float32), 0 * won)
            points = [point for point, _ in cell.evaluation_points]
            counts = [np.concatenate(loop._counts(cell, cell.family, splits, point, 0, found)) for point in points]
            deliver([loop.CellResult(cell, np.concatenate(counts), 1, 1.0)])

    monkeypatch.setattr(scheduler, "run_groups", run_groups)
    return trained, broken


def rows_of(arguments):
    path = arguments[arguments.index("--out") + 1] + "/trials.jsonl"
    with open(path) as file:
        return [json.loads(line) for line in file]


def test_trials_are_drawn_alike_for_both_arms_and_the_first_is_as_shipped():
    for number in range(50):
        ppo, cloning = (tuning.draw(SHIPPED, (arm, number)) for arm in ARMS)
        assert cloning == {key: ppo[key] for key in ("learning_rate", "minibatches")}
        Training.model_validate(SHIPPED.model_dump() | ppo)
        if number == 0:
            assert ppo == {key: getattr(SHIPPED, key) for key in ppo}
            continue
        assert 3e-4 <= ppo["learning_rate"] <= 1e-2
        assert ppo["entropy_coef_final"] <= ppo["entropy_coef"]
        assert ppo["entropy_steps"] == 300
        assert ppo["minibatches"] in (4, 8, 16)
    assert len({tuning.draw(SHIPPED, ("taught", number))["learning_rate"] for number in range(50)}) == 50


def test_both_arms_have_as_many_trials_and_meet_no_heldout_task(tiny_config):
    settings = settings_of(tiny_config)
    grid = tuning.cells(settings, [(arm, number) for arm in ARMS for number in range(3)])
    cells = [cell for mine in grid.values() for cell in mine]
    assert len({cell.id for cell in cells}) == len(cells) == 2 * 3 * settings.seeds
    for arm, learner, teacher in (("incentivized", "ppo", None), ("taught", "cloning", "dagger")):
        mine = [cell for key in grid if key[0] == arm for cell in grid[key]]
        assert {(cell.learner, cell.teacher, cell.pool_size) for cell in mine} == {(learner, teacher, None)}
        assert len(mine) == 3 * settings.seeds
    for cell in cells:
        family, sizes = envs.make(cell.family, **dict(cell.knobs)), build.evaluation_config(cell)
        tasks = np.array(tasks_of_blocks(family, sizes, evaluation._blocks(pool_of(cell), sizes, 0)))
        assert len(tasks) == 2 * cell.eval_tasks
        assert [family.tasks.locate(task)[0] for task in tasks] == ["training"] * 8 + ["validation"] * 8


def test_a_hidden_rule_is_taught_by_the_teacher_who_knows_what_the_agent_was_shown():
    base = tuning.PRESET | {"preset": "quick", "families": ["codebooks"], "pools": ["new"]}
    (cell, _) = tuning.cells(resolve(base, presets.training_defaults("quick")), [("taught", 0)])["taught", 0]
    assert cell.teacher == "fair-dagger"


def test_trials_that_differ_in_traced_values_share_a_program(tiny_config):
    grid = tuning.cells(settings_of(tiny_config), [("incentivized", number) for number in range(8)])
    programs = plan_groups([cell for mine in grid.values() for cell in mine])
    assert sorted(groups[0].cells[0].training.minibatches for groups in programs) == [2, 4, 8, 16]


def test_a_search_goes_on_and_ends_with_the_settings_to_paste(arguments, made_up, capsys):
    trained, _ = made_up
    assert main([*arguments, "--trials", "2"]) == 0
    assert len(trained) == 2 * 2 * 2
    first = capsys.readouterr().out
    assert "2 trials x 2 seeds x 1,024 steps for incentivized and taught: 0.0 million" in first
    assert main([*arguments, "--trials", "4"]) == 0
    assert len(trained) == 2 * 4 * 2
    text = capsys.readouterr().out
    assert "(4 of 8 trials finished before)" in text
    rows = rows_of(arguments)
    assert sorted((row["arm"], row["trial"]) for row in rows) == [(arm, n) for arm in ARMS for n in range(4)]
    pasted = tomllib.loads(text[text.index("[training.errands]") : text.index("The best")])["training"]["errands"]
    for arm in ARMS:
        best = max((row for row in rows if row["arm"] == arm), key=lambda row: row["score"])
        assert f"# {arm}, trial {best['trial']}\n" in text
        for key, value in best["settings"].items():
            assert pasted.pop(("taught_" if arm == "taught" else "") + key) == value
        assert list(best["validation"]) == ["256", "512", "1024"]
        assert best["score"] == pytest.approx(np.mean(best["validation"]["1024"]))
    assert not pasted
    assert main([*arguments, "--trials", "4"]) == 0
    assert len(trained) == 2 * 4 * 2
    assert rows_of(arguments) == rows


def test_cells_that_come_along_with_others_of_their_group_are_left_as_they_are(arguments, made_up, tmp_path):
    trained, _ = made_up
    assert main([*arguments, "--trials", "2"]) == 0
    again, cells = [*arguments, "--trials", "2"], sorted((tmp_path / "out" / "cells").iterdir())
    cells[0].unlink()
    (tmp_path / "out" / "trials.jsonl").unlink()
    before = {path: path.stat().st_mtime_ns for path in cells[1:]}
    assert main(again) == 0
    assert len(trained) > 2 * 2 * 2 + 1
    assert {path: path.stat().st_mtime_ns for path in cells[1:]} == before
    assert cells[0].exists()


def test_what_is_tuned_for_the_taught_arm_is_for_it_alone(tiny_config):
    plain = settings_of(tiny_config)
    training = plain.training["errands"].model_copy(update={"taught_learning_rate": 0.02, "taught_minibatches": 8})
    settings = plain.model_copy(update={"training": {"errands": training}})
    grid = tuning.cells(settings, [(arm, number) for arm in ARMS for number in (0, 1)])
    assert grid["taught", 0][0].training.learning_rate == 0.02  # the setting as shipped
    assert grid["taught", 0][0].training.minibatches == 8
    before = tuning.cells(plain, list(grid))
    for trial in (("incentivized", 0), ("incentivized", 1), ("taught", 1)):
        assert [cell.id for cell in grid[trial]] == [cell.id for cell in before[trial]]


def test_one_arm_at_a_time_is_the_same_search(arguments, made_up):
    for arm in ARMS:
        assert main([*arguments, "--trials", "2", "--arm", arm]) == 0
    assert sorted((row["arm"], row["trial"]) for row in rows_of(arguments)) == [(a, n) for a in ARMS for n in (0, 1)]


def test_a_trial_that_diverges_has_no_score_and_does_not_end_the_search(arguments, made_up, capsys):
    trained, broken = made_up
    broken.add("incentivized trial 1")
    assert main([*arguments, "--trials", "3"]) == 0
    rows = {(row["arm"], row["trial"]): row for row in rows_of(arguments)}
    assert len(rows) == 6
    assert rows["incentivized", 1]["score"] is None
    assert "incentivized trial 1: given up" in capsys.readouterr().out
    assert len({cell.id for cell in trained}) == len(trained) == 6 * 2  # nothing is trained twice


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--trials", "0"], "--trials = 0: must be at least 1"),
        (["--arm", "tought"], "--arm = 'tought': there is no such name. Did you mean 'taught'?"),
        (["--seeds", "0"], "seeds = 0: must be at least 1."),
        (["--budget", "9"], "budget = 9: must be at least one update"),
        (["--pool", "49"], "pools = 49: errands has only 48 training tasks"),
        (["--preset", "qick"], "--preset = 'qick': there is no such name. Did you mean 'quick'?"),
    ],
)
def test_bad_input_is_refused(more, named, arguments, made_up, capsys, tmp_path):
    assert main([*arguments, *more]) == 2
    assert named in capsys.readouterr().err
    assert not made_up[0]
    assert not (tmp_path / "out").exists()


def test_other_settings_and_other_searches_are_refused(arguments, made_up, capsys, tmp_path, monkeypatch):
    arguments += ["--trials", "2"]
    assert main(arguments) == 0
    capsys.readouterr()
    assert main([*arguments, "--seeds", "3"]) == 2
    assert "holds a run of other settings (seeds: 2 there, 3 now)" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(tuning, "SEED", 1)
        assert main(arguments) == 2
        assert "trial 1 was made with another search space" in capsys.readouterr().err
    (tmp_path / "out" / "trials.jsonl").write_text('{"arm": "taught", "trial": 0}\n')
    assert main(arguments) == 2
    assert "trials.jsonl: line 1 is not a trial (" in capsys.readouterr().err


def test_a_small_search_trains(arguments, monkeypatch):
    """With nothing made up: two trials that share a program, and the measurement of validation tasks only."""
    compiled, measured = [], []
    compile_program = loop.compile_program

    def spy(setup, teaching, sizes, *more):
        compiled.append(setup)
        measured.append(sizes.blocks())
        return compile_program(setup, teaching, sizes, *more)

    monkeypatch.setattr(loop, "compile_program", spy)
    monkeypatch.setattr(workers, "_process_executor", lambda core: workers._thread_executor())
    monkeypatch.setitem(tuning.CHOICES, "minibatches", (2,))
    assert main([*arguments, "--trials", "2", "--arm", "taught"]) == 0
    assert len(compiled) == 1
    assert measured == [("seen", "validation")]
    rows = rows_of(arguments)
    assert [row["trial"] for row in rows] == [0, 1]
    assert rows[0]["settings"]["learning_rate"] == 3e-3
    for row in rows:
        assert row["seeds"] == [0, 1]
        assert all(0 <= value <= 1 for values in row["validation"].values() for value in values)
    assert jnp.isfinite(rows[0]["seconds"])
