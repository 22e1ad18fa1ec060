"""What defines a cell's meaning beside its settings: the code that plays, learns and evaluates. Does not import jax."""

import ast
import hashlib
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from incentivize import envs, rewards
from incentivize.experiments.cells import Cell
from incentivize.experiments.runtime.ambient import unusual_settings

PACKAGE = "incentivize"
DECIDE = ("envs", "rewards", "agents")  # packages of ours that decide what a cell computes
TRAINER = "incentivize.experiments.training.loop"  # what runs the learner
OURS = (
    TRAINER,
    "incentivize.experiments.training.compiled",
    "incentivize.experiments.training.evaluation",
    "incentivize.experiments.training.build",
)
LOOKS = ("incentivize.envs.render",)  # what a task looks like to a person
CHECKED = " checked"  # said of code that stops where a number first is none


def code_version(cell: Cell, checkify: bool = False) -> str:
    """The version of the code that defines a cell: a hash of all modules of ours that it needs, 16 hexadecimal digits.

    So do those of another package that brings its family, reward or network. Comments, docstrings and layout do not
    count, and neither do registries of names: another family, reward or network beside it changes nothing for this one.
    Where every number is `checked` it is another program, which is said too, and so is what jax or XLA are told that
    may change numbers; mostly that is nothing.
    """
    from incentivize.agents.encoders import ENCODERS  # and with it jax

    families = [envs.FAMILIES[member] for member in cell.members]
    paid = [rewards.REWARDS[part.strip()] for part in cell.training.reward.split("+")]
    entries = [*families, *paid, ENCODERS[cell.training.network]]
    brought = frozenset(entry.module.partition(".")[0] for entry in entries if entry.dist)
    told = "".join(f" {name}={value}" for name, value in unusual_settings().items())
    return _hash(frozenset([TRAINER, *(entry.module for entry in entries)]), brought) + told + CHECKED * checkify


def parts(code: str) -> tuple[str, str]:
    """Split a version into its hash and its unusual jax or XLA settings, '' if there are none."""
    found, _, told = code.removesuffix(CHECKED).partition(" ")
    return found, told


@lru_cache
def _hash(needed: frozenset[str], brought: frozenset[str]) -> str:
    """Return the digest of the modules needed and all that they import, of ours or of the packages `brought`.

    It is a digest of the sorted digests of their top-level statements. Names of modules are not part of it, so that a
    module that is moved, or a function that is moved to another module, leaves every version as it was.
    """
    known: set[str] = set()
    waiting = list(needed)
    while waiting:
        module = waiting.pop()
        if module not in known:
            known.add(module)
            waiting += _imports(module, brought)
    imports = {line for module in known for line in _statements(module)[0]}
    statements = [text for module in known for text in _statements(module)[1]]
    digests = sorted(hashlib.sha256(text.encode()).hexdigest() for text in (*imports, *statements))
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]


@lru_cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_file(module).read_text(encoding="utf-8"))


def _file(module: str) -> Path:
    top, *inner = module.split(".")
    path = _home(top).joinpath(*inner)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@lru_cache
def _home(package: str) -> Path:
    """Return the folder of a package, or the path without suffix of a module that is no package."""
    spec = find_spec(package)
    where = [*(spec.submodule_search_locations or ()), spec.origin] if spec else []
    return Path(where[0] or "").with_suffix("") if where else Path(package)


def _decides_results(module: str, brought: frozenset[str]) -> bool:
    top, _, inner = module.partition(".")
    ours = top == PACKAGE and (module in OURS or (inner.split(".")[0] in DECIDE and module not in LOOKS))
    return (ours or top in brought) and _file(module).is_file()


def _imports(module: str, brought: frozenset[str]) -> Iterable[str]:
    """Yield the modules that decide of those that one imports, wherever in it."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if _decides_results(name.name, brought))
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
            yield from (name for name in names if _decides_results(name, brought))


@lru_cache
def _statements(module: str) -> tuple[list[str], list[str]]:
    """Return a module's imports and its other top-level statements.

    Docstrings and registries of names are left out, as are the names of the modules of ours that are imported from.
    """
    tree = ast.parse(ast.unparse(_tree(module)))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            node.module = PACKAGE
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            body = [stmt for stmt in node.body if not (_is_docstring(stmt) or _is_registry(stmt) or _is_alias(stmt))]
            node.body = body or ([] if isinstance(node, ast.Module) else [ast.Pass()])
    imports: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            source = f"from {node.module} " if isinstance(node, ast.ImportFrom) else ""
            imports += [f"{source}import {name.name} as {name.asname}" for name in node.names]
    rest = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    return imports, [ast.unparse(node) for node in rest]


def _is_docstring(node: ast.stmt) -> bool:
    """Return whether a statement is only a string."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_registry(node: ast.stmt) -> bool:
    """Return whether a statement is a table from names to where things are, such as FAMILIES."""
    made = node.value if isinstance(node, ast.AnnAssign) else None
    return isinstance(made, ast.Call) and isinstance(made.func, ast.Name) and made.func.id == "Registry"


def _is_alias(node: ast.stmt) -> bool:
    """Return whether a statement is for imports under another name or for type checkers: `if __name__ == "envs"`."""
    return isinstance(node, ast.If) and ast.unparse(node.test).split(" ")[0] in ("__name__", "TYPE_CHECKING")
