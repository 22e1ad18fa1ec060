"""The version of the code changes with what defines a cell, and with nothing else."""

import ast
import shutil
from dataclasses import replace

import pytest

from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.storage.code_version import code_version
from incentivize.experiments.studies import task_count


@pytest.fixture
def cells():
    base = {"study": "task-count", "preset": "quick", "families": ("errands", "mazes")} | task_count.PRESETS["quick"]
    return {cell.family: cell for cell in task_count.cells(resolve(base, presets.training_defaults("quick")))}


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the code to change, and a way to forget what was read of it."""
    for folder in ("envs", "rewards", "agents", "experiments"):
        shutil.copytree(code_version.ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code_version, "ROOT", tmp_path)

    def forget():
        for known in (code_version._hash, code_version._tree, code_version._meaning):
            known.cache_clear()

    forget()
    yield tmp_path, forget
    monkeypatch.undo()
    forget()


def changed(copied, cells, name, old, new):
    """The families whose version changes with one edit."""
    folder, forget = copied
    before = {family: code_version(cell) for family, cell in cells.items()}
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    forget()
    found = {family for family, cell in cells.items() if code_version(cell) != before[family]}
    path.write_text(text)
    forget()
    return found


BOTH = {"errands", "mazes"}


@pytest.mark.parametrize(
    ("name", "old", "new", "whose"),
    [
        ("envs/families/errands.py", "import jax\n", "import jax\nMORE = 1\n", {"errands"}),
        ("envs/tasks.py", "import jax\n", "import jax\nMORE = 1\n", BOTH),
        ("envs/episodes.py", "import jax\n", "import jax\nMORE = 1\n", BOTH),
        ("agents/ppo.py", "1e-8", "1e-7", BOTH),
        ("agents/encoders.py", "import jax\n", "import jax\nMORE = 1\n", BOTH),
        ("rewards/sparse.py", "return ", "return 2 * ", BOTH),
        ("experiments/training/loop.py", "CHUNK = 32", "CHUNK = 33", BOTH),
        ("experiments/training/evaluation.py", "20_241_115", "20_241_116", BOTH),
        ("experiments/training/compiled.py", "donate_argnums=0", "donate_argnums=1", BOTH),
        ("experiments/training/build.py", "jnp.float32(value)", "jnp.float16(value)", BOTH),
        ("rewards/hunger.py", "return ", "return 2 * ", set()),  # nobody here has it
        ("envs/families/codebooks.py", "import jax\n", "import jax\nMORE = 1\n", set()),
        ("envs/render.py", "import", "import sys; import", set()),
        ("envs/gym.py", "import", "import sys; import", set()),
        ("experiments/reporting/report.py", "import base64", "import base64, sys", set()),
        ("envs/__init__.py", '    "mazes"', '    "more": "envs.more:More",\n    "mazes"', set()),
        ("rewards/__init__.py", '    "hunger"', '    "more": "rewards.more:more",\n    "hunger"', set()),
        ("agents/ppo.py", "import jax\n", "# a remark\nimport jax\n\n\n", set()),
        ("agents/ppo.py", '"""The clipped surrogate', '"""The surrogate', set()),
    ],
)
def test_a_version_changes_with_what_defines_a_cell(name, old, new, whose, copied, cells):
    assert changed(copied, cells, name, old, new) == whose


def test_a_cells_reward_and_families_count(cells):
    cell = cells["errands"]
    hungry = replace(cell, training=cell.training.model_copy(update={"reward": "sparse+hunger"}))
    both = replace(cell, family="errands+mazes")
    assert len({code_version(one) for one in (cell, hungry, both)}) == 3


def test_what_is_left_of_a_module_is_still_a_module():
    for module in ("incentivize.envs.families.errands", "incentivize.agents.learner", "envs"):
        ast.parse(code_version._meaning(module))
        assert '"""' not in code_version._meaning(module)
