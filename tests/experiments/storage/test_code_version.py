"""The version of the code changes with what defines a cell, and with nothing else."""

import ast
import re
import shutil
from dataclasses import replace
from functools import cache, lru_cache

import pytest

from incentivize.experiments.settings import presets
from incentivize.experiments.settings.loading import resolve
from incentivize.experiments.storage import code_version as versions
from incentivize.experiments.storage.code_version import CodeVersion, code_version
from incentivize.experiments.studies import task_count

PARSE, DIVIDE = versions._tree.__wrapped__, versions._statements.__wrapped__


@cache
def parsed(module, text):
    """The tree of a module with this text: most modules are the same in every copy."""
    return PARSE(module)


@cache
def divided(module, text):
    """The statements of a module with this text."""
    return DIVIDE(module)


@pytest.fixture(scope="module")
def cells():
    base = {"study": "task-count", "preset": "quick", "families": ("errands", "mazes")} | task_count.PRESETS["quick"]
    return {cell.family: cell for cell in task_count.cells(resolve(base, presets.training_defaults("quick")))}


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the code to change, and a way to forget what was read of it."""
    original = versions._home("incentivize")
    for room in ("envs", "rewards", "agents", "experiments"):
        shutil.copytree(
            original / room, tmp_path / "incentivize" / room, ignore=shutil.ignore_patterns("__pycache__", "templates")
        )

    monkeypatch.setattr(versions, "_home", lambda package: tmp_path / package)
    for name, read in (("_tree", parsed), ("_statements", divided)):
        by_text = lru_cache(lambda module, read=read: read(module, versions._file(module).read_text(encoding="utf-8")))
        monkeypatch.setattr(versions, name, by_text)

    def forget():
        for cached in (versions._digest, versions._tree, versions._statements):
            cached.cache_clear()

    forget()
    yield tmp_path / "incentivize", forget
    monkeypatch.undo()
    forget()


def versions_of(cells):
    return {family: code_version(cell) for family, cell in cells.items()}


def changed(copied, cells, name, old, new):
    """The families whose version changes with one edit."""
    folder, forget = copied
    before = versions_of(cells)
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    forget()
    return {family for family, version in versions_of(cells).items() if version != before[family]}


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
        ("experiments/training/loop.py", "MAX_UPDATES_PER_CALL = 32", "MAX_UPDATES_PER_CALL = 33", BOTH),
        ("experiments/training/pytrees.py", "jnp.stack(leaves)", "jnp.stack(leaves, -1)", BOTH),
        ("experiments/training/evaluation.py", "20_241_115", "20_241_116", BOTH),
        ("experiments/training/compiled_group.py", "donate_argnums=0", "donate_argnums=1", BOTH),
        ("experiments/training/build.py", "jnp.float32(value)", "jnp.float16(value)", BOTH),
        ("rewards/hunger.py", "return ", "return 2 * ", set()),  # nobody here has it
        ("envs/families/codebooks.py", "import jax\n", "import jax\nMORE = 1\n", set()),
        ("envs/render.py", "import", "import sys; import", set()),
        ("envs/gym.py", "import", "import sys; import", set()),
        ("experiments/training/checkpoints.py", "MAX_CHECKPOINTS = 2", "MAX_CHECKPOINTS = 3", set()),
        ("experiments/reporting/report.py", "import base64", "import base64, sys", set()),
        ("envs/__init__.py", '    "mazes"', '    "more": "envs.more:More",\n    "mazes"', set()),
        ("rewards/__init__.py", '    "hunger"', '    "more": "rewards.more:more",\n    "hunger"', set()),
        ("agents/ppo.py", "import jax\n", "# a remark\nimport jax\n\n\n", set()),
        ("agents/ppo.py", "Return PPO's loss", "Return the loss", set()),
    ],
)
def test_a_version_changes_with_what_defines_a_cell(name, old, new, whose, copied, cells):
    assert changed(copied, cells, name, old, new) == whose


def test_a_cells_reward_and_families_count(cells):
    cell = cells["errands"]
    hungry = replace(cell, training=cell.training.model_copy(update={"reward": "sparse+hunger"}))
    both = replace(cell, family="errands+mazes")
    assert len({code_version(one) for one in (cell, hungry, both)}) == 3


def moved(folder, module, target):
    """Move a module within the copy, and every import of it."""
    (folder / target).parent.mkdir(exist_ok=True)
    (folder / module).rename(folder / target)
    (old_package, name), (new_package, _) = (
        f"incentivize/{path}".removesuffix(".py").replace("/", ".").rsplit(".", 1) for path in (module, target)
    )
    for path in folder.rglob("*.py"):
        text = path.read_text()
        text = text.replace(f"from {old_package}.{name} import", f"from {new_package}.{name} import")
        if match := re.search(rf"^( *)from {old_package} import (.*\b{name}\b.*)$", text, re.MULTILINE):
            names = [word for word in match[2].split(", ") if word.split()[0] != name]
            own = next(word for word in match[2].split(", ") if word.split()[0] == name)
            others = f"{match[1]}from {old_package} import {', '.join(names)}\n" if names else ""
            text = text.replace(match[0], f"{others}{match[1]}from {new_package} import {own}")
        path.write_text(text)
        assert f"{old_package}.{name} " not in text


def test_modules_may_move_within_and_between_rooms(copied, cells):
    folder, forget = copied
    before = versions_of(cells)
    moved(folder, "envs/episodes.py", "envs/stepping/episodes.py")
    moved(folder, "agents/ppo.py", "agents/learners/ppo.py")
    moved(folder, "experiments/training/compiled_group.py", "experiments/training/programs/compiled_group.py")
    forget()
    assert versions_of(cells) == before
    moved(folder, "agents/learners/ppo.py", "rewards/ppo.py")
    forget()
    assert versions_of(cells) == before
    path = folder / "envs/stepping/episodes.py"
    path.write_text(path.read_text() + "MORE = 1\n")
    forget()
    assert all(version != before[family] for family, version in versions_of(cells).items())


def test_functions_may_move_to_another_module(copied, cells):
    folder, forget = copied
    before = versions_of(cells)
    trees, loop = folder / "experiments/training/pytrees.py", folder / "experiments/training/loop.py"
    text = trees.read_text()
    function = re.search(r"^def tree_digest.*?(?=^def |\Z)", text, re.MULTILINE | re.DOTALL)
    assert function
    trees.write_text(text.replace(function[0], "").replace("import hashlib\n", ""))
    text = loop.read_text()
    assert ", tree_digest\n" in text
    loop.write_text(
        text.replace(", tree_digest\n", "\n").replace("import math\n", "import hashlib\nimport math\n", 1) + function[0]
    )
    forget()
    assert versions_of(cells) == before


def test_what_is_left_of_a_module_are_statements_without_docstrings():
    for module in ("incentivize.envs.families.errands", "incentivize.agents.learner", "incentivize.envs"):
        _, statements = versions._statements(module)
        ast.parse("\n".join(statements))
        assert '"""' not in "\n".join(statements)


@pytest.mark.parametrize("ambient", ["", "jax_enable_x64=True", "--xla_a=true jax_b=2"])
@pytest.mark.parametrize("checkify", [False, True])
def test_the_text_of_a_version_stands_for_it(ambient, checkify):
    version = CodeVersion("0123456789abcdef", ambient, checkify)
    assert CodeVersion.parse(str(version)) == version


def test_the_text_of_a_version_is_what_files_of_cells_hold():
    assert str(CodeVersion("0123456789abcdef")) == "0123456789abcdef"
    assert str(CodeVersion("0123456789abcdef", "jax_b=2", True)) == "0123456789abcdef jax_b=2 checked"
