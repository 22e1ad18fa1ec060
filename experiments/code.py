"""What defines a cell's meaning beside its settings: the code that plays, learns and evaluates. Does not import jax."""

import ast
import hashlib
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import envs
import rewards
from experiments.ambient import otherwise
from experiments.cells import Cell

ROOT = Path(__file__).resolve().parent.parent
MEANS = ("envs", "rewards", "agents")  # packages that say what a cell means
TRAINER = "experiments.training"  # of ours, what runs the learner, and the modules that it gets its programs from
OURS = (TRAINER, "experiments.program", "experiments.evaluation", "experiments.setups")
LOOKS = ("envs.render",)  # what a task looks like to a person
CHECKED = " checked"  # said of code that stops where a number first is none


def code_of(cell: Cell, checked: bool = False) -> str:
    """The version of the code that defines a cell: a hash of all modules of ours that it needs, 16 hexadecimal digits.

    So do those of another package that brings its family, reward or network. Comments, docstrings and layout do not
    count, and neither do registries of names: another family, reward or network beside it changes nothing for this one.
    Where every number is `checked` it is another program, which is said too, and so is what jax or XLA are told that
    may change numbers; mostly that is nothing.
    """
    from agents.encoders import ENCODERS  # and with it jax

    families = [envs.FAMILIES[member] for member in cell.members]
    paid = [rewards.REWARDS[part.strip()] for part in cell.training.reward.split("+")]
    entries = [*families, *paid, ENCODERS[cell.training.network]]
    brought = frozenset(entry.module.partition(".")[0] for entry in entries if entry.dist)
    told = "".join(f" {name}={value}" for name, value in otherwise().items())
    return _hash(frozenset([TRAINER, *(entry.module for entry in entries)]), brought) + told + CHECKED * checked


def parts(code: str) -> tuple[str, str]:
    """Splits a version into its hash and its unusual jax or XLA settings, '' if there are none."""
    found, _, told = code.removesuffix(CHECKED).partition(" ")
    return found, told


@lru_cache
def _hash(needed: frozenset[str], brought: frozenset[str]) -> str:
    """Of the modules needed and all that they import, as far as they are ours or of the packages `brought`."""
    known: set[str] = set()
    waiting = list(needed)
    while waiting:
        module = waiting.pop()
        if module not in known:
            known.add(module)
            waiting += _imports(module, brought)
    text = "\n".join(f"# {module}\n{_meaning(module)}" for module in sorted(known))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@lru_cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_file(module).read_text(encoding="utf-8"))


def _file(module: str) -> Path:
    top, *inner = module.split(".")
    path = ROOT if top in (*MEANS, "experiments") else _home(top)
    path = path.joinpath(top, *inner)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@lru_cache
def _home(package: str) -> Path:
    """The folder that another package lies in."""
    found = find_spec(package)
    where = [*(found.submodule_search_locations or ()), found.origin] if found else []
    return Path(where[0]).parent if where and where[0] else ROOT


def _counts(module: str, brought: frozenset[str]) -> bool:
    top = module.partition(".")[0]
    needed = module in OURS or top in brought or (top in MEANS and module not in LOOKS)
    return needed and _file(module).is_file()


def _imports(module: str, brought: frozenset[str]) -> Iterable[str]:
    """Modules that count of those that one imports, wherever in it."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if _counts(name.name, brought))
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
            yield from (name for name in names if _counts(name, brought))


@lru_cache
def _meaning(module: str) -> str:
    """A module's code without docstrings and registries of names."""
    tree = ast.parse(ast.unparse(_tree(module)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [one for one in node.body if not (_is_said(one) or _is_registry(one))] or [ast.Pass()]
    return ast.unparse(tree)


def _is_said(node: ast.stmt) -> bool:
    """Whether a statement is only a string."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_registry(node: ast.stmt) -> bool:
    """Whether a statement is a table from names to where things are, such as FAMILIES."""
    made = node.value if isinstance(node, ast.AnnAssign) else None
    return isinstance(made, ast.Call) and isinstance(made.func, ast.Name) and made.func.id == "Registry"
