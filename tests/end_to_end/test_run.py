"""A whole study end to end: its directory, and that it can be made again."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from xml.etree import ElementTree

import jax
import numpy as np
import pytest
from flax import serialization

from incentivize.experiments.cli.main import main
from incentivize.experiments.execution import study_run as experiments_main
from incentivize.experiments.runtime.provenance import provenance
from incentivize.experiments.settings import presets
from incentivize.experiments.storage.ownership import open_run_directory
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.storage.schema import ROW_KEYS
from incentivize.experiments.studies import task_count
from tests.helpers.damage import copy
from tests.helpers.drawing import leave_out_pictures


@pytest.fixture(scope="module")
def rows(tiny_run):
    return [json.loads(line) for line in (tiny_run / "results.jsonl").read_text().splitlines()]


def test_the_directory_holds_what_was_promised(tiny_run):
    for name in ("config.toml", "meta.json", "results.jsonl", "tasks.npz", "claims.json", "tables.json", "report.html"):
        assert (tiny_run / name).stat().st_size > 0, name
    for suffix in ("png", "svg", "csv"):
        for name in ("task-count", "heatmap"):
            assert (tiny_run / "figures" / f"{name}.{suffix}").stat().st_size > 0
    assert not list(tiny_run.glob("*.part*"))


def test_rows_have_the_promised_columns_and_all_cells(tiny_run, rows):
    assert all(list(row) == list(ROW_KEYS) for row in rows)
    cells = task_count.cells(RunDirectory(tiny_run).settings())
    trained = {row["cell"] for row in rows if row["learner"] in ("ppo", "cloning")}
    assert trained == {cell.id for cell in cells}
    for cell in cells:
        mine = [row for row in rows if row["cell"] == cell.id]
        splits = {"seen", "specialty"} | (set() if cell.pool_split == "heldout" else {"unseen", "validation"})
        assert {(row["env_steps"], row["evaluated_on"]) for row in mine} == {
            (p, s) for p, _ in cell.evaluation_points for s in splits
        }
        assert {row["budget_kind"] for row in mine} == {kind for _, kind in cell.evaluation_points}
        assert all(0 <= row["success"] <= 1 for row in mine)
        assert {row["pool_size"] for row in mine} == {cell.pool_size}


def test_scores_are_normalised_over_the_blind_level(tiny_run, rows):
    levels = json.loads((tiny_run / "meta.json").read_text())["blind"]
    for row in rows:
        if row["role"] in ("generalist", "taught", "control", "specialist"):
            blind = levels[row["family"]]
            assert row["score"] == pytest.approx((row["success"] - blind) / (1 - blind))
    for family, level in levels.items():
        base = [r for r in rows if r["family"] == family and r["role"] in ("uniform", "scripted")]
        last = [r for r in rows if r["family"] == family and r["role"] == "blind" and r["evaluated_on"] == "unseen"][-1]
        assert level == pytest.approx(max([r["success"] for r in base] + [last["success"], last["success_greedy"]]))


def test_counts_per_task_add_up_to_the_rows(tiny_run, rows):
    tasks = RunDirectory(tiny_run).tasks(10**6)
    for row in rows:
        if row["learner"] in ("ppo", "cloning"):
            mine = tasks[
                (tasks["cell"] == row["cell"])
                & (tasks["env_steps"] == row["env_steps"])
                & (tasks["evaluated_on"] == row["evaluated_on"])
            ]
            assert mine["episodes"].sum() == row["n_episodes"]
            assert mine["successes"].sum() / row["n_episodes"] == pytest.approx(row["success"])
            assert len(mine) == len(np.unique(mine["ordinal"])) == row["n_tasks"]
    specialist = tasks[tasks["evaluated_on"] == "specialty"]
    assert set(specialist["ordinal"]) == {0, 1}


def test_meta_says_what_was_run_and_what_it_took(tiny_run):
    meta = json.loads((tiny_run / "meta.json").read_text())
    assert {"versions", "devices", "commit", "ledger", "tasks"} <= set(meta)
    assert meta["tasks"] == {"errands": 64}
    for entry in meta["ledger"].values():
        assert entry["env_steps"] > 0
        assert entry["episodes"] > 0
        assert entry["gradient_steps"] % 4 == 0
        assert 0 < entry["distinct_tasks"] <= entry["episodes"] + 16
        assert (entry["expert_labels"] > 0) == ("taught" in entry["label"] or "specialist" in entry["label"])


def test_claims_have_the_promised_keys(tiny_run):
    claims = json.loads((tiny_run / "claims.json").read_text())
    assert len(claims) == 5
    for claim in claims:
        assert {"study", "claim", "verdict", "effect", "low", "high", "n", "rule"} <= set(claim)
        assert claim["verdict"] == "inconclusive"  # two seeds
        assert [(row["control"], row["n"]) for row in claim["controls"]] == [("shuffled", 1), ("blind", 1)]


def test_the_report_is_one_offline_file(tiny_run):
    page = (tiny_run / "report.html").read_text()
    assert "data:image/png;base64," in page
    assert "<td>yes</td>" in page  # the audit is sound
    assert "{&#39;" not in page  # and no table shows Python
    assert "default-src 'none'" in page  # a browser would refuse to fetch anything
    markup = re.sub(r"(<script[^>]*>).*?(</script>)", r"\1\2", page, flags=re.DOTALL)
    assert "http" not in markup.replace("http-equiv", "")
    assert "src=" not in markup.replace('src="data:', "")
    assert "href=" not in markup
    found = re.findall(r'class="panels">(.*?)</script>', page, re.DOTALL)
    assert [[panel["title"].partition(" ")[0] for panel in json.loads(data)] for data in found] == [["errands"]] * 2
    (data,) = re.findall(r'class="scenes">(.*?)</script>', page, re.DOTALL)
    assert [scene["task"] for scene in json.loads(data)] == [0, 1]
    assert len(page) < 8e6
    ElementTree.parse(tiny_run / "figures" / "task-count.svg")
    with (tiny_run / "figures" / "task-count.csv").open() as file:
        drawn = list(csv.DictReader(file))
    assert {row["family"] for row in drawn} == {"errands"}


def content(run):
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_a_finished_run_is_left_as_it_is(tiny_run, tiny_config, capsys):
    before = content(tiny_run)
    assert main(["run", "task-count", "--config", str(tiny_config), "--out", str(tiny_run)]) == 0
    assert "finished, 0 cells to train" in capsys.readouterr().out
    assert content(tiny_run) == before


def test_the_same_settings_give_the_same_rows_and_a_stopped_run_goes_on(tiny_run, tiny_config, tmp_path):
    """A second run begins with half of the cells of the first, one worker, and ends with the same.

    Missing are the taught generalist, and most incentivized ones, whose program is also that of those that are left.
    """
    again = tmp_path / "again"
    shutil.copytree(tiny_run, again)
    for name in ("results.jsonl", "tasks.npz", "status.json", "report.html"):
        (again / name).unlink()
    cells = sorted((again / "cells").iterdir())
    study = {cell.id: cell for cell in task_count.cells(RunDirectory(again).settings())}
    taught = [name for name, cell in study.items() if cell.role == "taught"]
    incentivized = [name for name, cell in study.items() if cell.role in ("generalist", "met")]
    missing = [*taught, *incentivized[2:]]
    assert len(missing) == len(cells) // 2
    for name in missing:
        (again / "cells" / f"{name}.npz").unlink()
    assert main(["run", "task-count", "--config", str(tiny_config), "--out", str(again), "--workers", "1"]) == 0
    for name in ("results.jsonl", "claims.json", *(f"checkpoints/{path.stem}.msgpack" for path in cells)):
        assert (again / name).read_bytes() == (tiny_run / name).read_bytes()
    assert (RunDirectory(again).tasks(10**6) == RunDirectory(tiny_run).tasks(10**6)).all()
    digests = [{k: v["digest"] for k, v in RunDirectory(run).meta()["ledger"].items()} for run in (tiny_run, again)]
    assert digests[0] == digests[1]
    assert len(set(digests[0].values())) == len(cells)


def test_report_draws_a_run_again_elsewhere(tiny_run, tmp_path):
    assert main(["report", str(tiny_run), "--out", str(tmp_path / "report")]) == 0
    assert (tmp_path / "report" / "report.html").exists()
    assert (tmp_path / "report" / "claims.json").read_bytes() == (tiny_run / "claims.json").read_bytes()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("results.jsonl", b"garbage\n{}\n"),
        ("results.jsonl", b'{"evaluated_on": "seen"}\n'),
        ("results.jsonl", b"\x8b\x00"),
        ("meta.json", b"[]x"),
        ("meta.json", b"[1]"),
        ("meta.json", b"{}"),
        ("tasks.npz", b"garbage"),
        ("tasks.npz", b""),
        ("config.toml", b"study = "),
        ("config.toml", b'study = "task-count"\nseeds = true\n'),
    ],
)
def test_a_damaged_run_is_named(name, content, tiny_run, tmp_path, capsys):
    shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "run" / name).write_bytes(content)
    assert main(["report", str(tmp_path / "run")]) == 2
    text = capsys.readouterr().err
    assert str(tmp_path / "run" / name) in text.replace("\n", "")
    assert "http" not in text


def test_another_run_in_the_same_directory_is_refused(tiny_run, tiny_config, capsys):
    arguments = ["run", "task-count", "--config", str(tiny_config), "--out", str(tiny_run), "--seeds", "3"]
    assert main(arguments) == 2
    assert "holds a run of other settings (seeds: 2 there, 3 now)" in capsys.readouterr().err


def test_config_is_resolved(tiny_run):
    config = tomllib.loads((tiny_run / "config.toml").read_text())
    shipped = presets.training_defaults("quick")["errands"]
    assert config["training"]["errands"]["learning_rate"] == shipped["learning_rate"]
    assert config["training"]["errands"]["width"] == 8
    assert config["pools"] == [1, 4, "new"]


def test_verdicts_of_before_do_not_stand_for_those_of_now(
    tiny_run, tiny_config, trained, tmp_path, monkeypatch, capsys
):
    leave_out_pictures(monkeypatch)
    run = copy(tiny_run, tmp_path / "run")
    next((run / "cells").iterdir()).unlink()
    arguments = ["run", "task-count", "--config", str(tiny_config), "--out", str(run), "--alone"]
    with monkeypatch.context() as patch:
        patch.setattr(
            experiments_main, "report", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        )
        for _ in range(2):
            assert main(arguments) == 0
            assert f"`incentivize report {run}` makes it" in capsys.readouterr().err
            assert not (run / "report.html").exists()
            assert not (run / "claims.json").exists()
    assert main(arguments) == 0
    assert (run / "claims.json").read_bytes() == (tiny_run / "claims.json").read_bytes()


def test_a_report_knows_cells_that_were_finished_after_the_counts_were_written(tiny_run, tmp_path, monkeypatch):
    leave_out_pictures(monkeypatch)
    run = copy(tiny_run, tmp_path / "run")
    directory = RunDirectory(run)
    counts = directory.tasks(10**6)
    for left in (counts[:0], counts[counts["cell"] != counts["cell"][-1]]):
        directory.publish(directory.rows(), left)
        assert main(["report", str(run)]) == 0
        assert (run / "claims.json").read_bytes() == (tiny_run / "claims.json").read_bytes()


def test_a_report_keeps_off_a_run_that_is_at_work(tiny_run, tmp_path, capsys, monkeypatch):
    leave_out_pictures(monkeypatch)
    run = copy(tiny_run, tmp_path / "run")
    with open_run_directory(run, RunDirectory(run).settings()):
        assert main(["report", str(run)]) == 2
        assert "is being written by another run" in capsys.readouterr().err
        assert main(["report", str(run), "--out", str(tmp_path / "there")]) == 0


def test_no_git_no_commit(monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr("incentivize.experiments.runtime.provenance.subprocess.run", missing)
    assert provenance()["commit"] is None


@pytest.mark.slow
def test_four_devices_give_the_rows_and_parameters_of_one_worker(tiny_config, tmp_path):
    """Exactly: every device trains whole groups with programs of its own. Where two share an agent, up to rounding."""
    flags = "--xla_force_host_platform_device_count={} --xla_cpu_multi_thread_eigen=false"
    for name, devices, split in (("1", 1, 1), ("4", 4, 1), ("shared", 4, 2)):
        out = tmp_path / name / "run"
        arguments = [
            "run",
            "task-count",
            "--config",
            str(tiny_config),
            "--out",
            str(out),
            "--devices-per-agent",
            str(split),
        ]
        command = [sys.executable, "-c", "from incentivize.experiments.cli.main import entry; entry()", *arguments]
        subprocess.run(command, check=True, env=os.environ | {"XLA_FLAGS": flags.format(devices)})
    one, four = tmp_path / "1" / "run", tmp_path / "4" / "run"
    assert len(json.loads((four / "meta.json").read_text())["devices"]) == 4
    assert (four / "results.jsonl").read_bytes() == (one / "results.jsonl").read_bytes()
    params = sorted((one / "checkpoints").glob("*.msgpack"))
    assert len(params) == len(task_count.cells(RunDirectory(one).settings()))
    assert all((four / "checkpoints" / path.name).read_bytes() == path.read_bytes() for path in params)
    shared = tmp_path / "shared" / "run"
    close = [(shared / "checkpoints" / path.name).read_bytes() for path in params]
    assert sum(there != path.read_bytes() for there, path in zip(close, params, strict=True)) > len(params) / 2
    for there, path in zip(close, params, strict=True):
        leaves = (jax.tree.leaves(serialization.msgpack_restore(data)) for data in (there, path.read_bytes()))
        apart = max(np.abs(one - other).max() for one, other in zip(*leaves, strict=True))
        assert apart < 0.05, path  # of weights that are .5 apart from one agent to the next
