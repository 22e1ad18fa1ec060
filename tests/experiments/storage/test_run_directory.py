import re

import numpy as np
import pytest

from incentivize.experiments.errors import InputError
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.storage.schema import ROW_KEYS
from tests.helpers.counts import counted


def result(cell, success):
    counts = counted((cell, 8, "unseen", 0, round(10 * success), 10))
    row = {"cell": cell, "family": "errands", "role": "generalist", "env_steps": 8, "simulations": 0}
    return [row | {"evaluated_on": "unseen", "success": success}], counts


def test_what_is_published_is_read_and_replaces_what_was_there(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.publish(*result("b", 0.1), seconds=1)
    directory.publish(*result("a", 0.2), blind={"mazes": 0.1})
    directory.publish(*result("a", 0.2), blind={"errands": 0.5})  # in place of what was said before
    assert [(row["cell"], row["success"]) for row in directory.rows()] == [("a", 0.2)]
    assert [(cell, won) for cell, won in directory.tasks(10**6)[["cell", "successes"]].tolist()] == [("a", 2)]
    assert all(tuple(row) == ROW_KEYS for row in directory.rows())
    meta = directory.meta()
    assert set(meta.pop("files")) == {"results.jsonl", "tasks.npz"}
    assert meta == {"seconds": 1, "blind": {"errands": 0.5}}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["meta.json", "results.jsonl", "tasks.npz"]


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.publish(*result("a", 0.2))
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"cell": "b", "succ')
    assert [row["cell"] for row in directory.rows()] == ["a"]


def test_a_row_that_is_there_twice_is_refused_and_read_by_nobody(tmp_path):
    """It would count as another agent: n would be twice the number of seeds."""
    directory = RunDirectory(tmp_path)
    rows, counts = result("a", 0.2)
    again = [*rows, rows[0] | {"success": 0.3}]
    told = "two rows are of cell a, family errands, role generalist, env_steps 8, simulations 0, evaluated_on unseen"
    with pytest.raises(ValueError, match=told):
        directory.publish(again, counts)
    apart = [rows[0] | {key: value} for key, value in (("role", "met"), ("env_steps", 4), ("evaluated_on", "seen"))]
    directory.publish([*rows, *apart, rows[0] | {"budget_kind": "share"}], counts)
    assert len(directory.rows()) == 5
    path = tmp_path / "results.jsonl"
    path.write_text(2 * path.read_text())
    with pytest.raises(InputError, match=re.escape(f"{path}: cannot be read as part of a run") + f".*{told}"):
        directory.rows()


def test_meta_is_merged_one_level_deep(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.update_meta(blind={"errands": 0.2}, seconds=1)
    directory.update_meta(blind={"mazes": 0.5}, seconds=2)
    assert directory.meta() == {"blind": {"errands": 0.2, "mazes": 0.5}, "seconds": 2}


def test_counts_of_another_version_are_refused_in_a_sentence(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.publish(*result("a", 0.2))
    counts = directory.tasks(10**6)
    np.savez(tmp_path / "tasks.npz", tasks=counts[[name for name in counts.dtype.names if name != "family"]])
    with pytest.raises(InputError, match="another version of incentivize wrote it, without family"):
        directory.tasks(10**6)
