"""Version of the code that decides a cell's result, beside the cell's settings. Does not import jax."""

import ast
import hashlib
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from incentivize import envs, rewards
from incentivize.experiments.cells import Cell
from incentivize.experiments.runtime.jax_settings import unusual_settings

PACKAGE = "incentivize"
DECIDING_ROOMS = ("envs", "rewards", "agents", "experiments.training")
"""Packages whose modules decide the result of a cell that needs them. `NOT_DECIDING` names the exceptions."""
NOT_DECIDING = ("envs.render", *(f"experiments.training.{name}" for name in ("checkpoints", "groups", "flops")))
"""Modules of these packages that change no result. One that is missing here only makes versions change too often."""
TRAINING_LOOP = f"{PACKAGE}.experiments.training.loop"  # every cell needs it
CHECKIFY_SUFFIX = " checked"


class CodeVersion(NamedTuple):
    """Version of the code that defines a cell. Files of cells hold its text, `str(version)`.

    Attributes:
        digest: hash of the code, 16 hexadecimal digits.
        ambient: settings of jax and XLA that may change numbers, as "name=value" words; mostly empty.
        checkify: whether the compiled programs check every number (`--debug`).
    """

    digest: str
    ambient: str = ""
    checkify: bool = False

    def __str__(self) -> str:
        text = f"{self.digest} {self.ambient}" if self.ambient else self.digest
        return text + CHECKIFY_SUFFIX if self.checkify else text

    @classmethod
    def parse(cls, text: str) -> "CodeVersion":
        """Return the version that a text stands for."""
        digest, _, ambient = text.removesuffix(CHECKIFY_SUFFIX).partition(" ")
        return cls(digest, ambient, text.endswith(CHECKIFY_SUFFIX))


def code_version(cell: Cell, checkify: bool = False) -> CodeVersion:
    """Return the version of the code that defines a cell, in this process. Imports jax.

    The digest covers all deciding modules that the cell needs, and those of other packages that bring its family,
    reward or network. Comments, docstrings, layout and registries of names do not count: another family, reward or
    network beside the cell's own changes nothing.
    """
    from incentivize.agents.encoders import ENCODERS

    families = [envs.FAMILIES[member] for member in cell.members]
    incentives = [rewards.REWARDS[part.strip()] for part in cell.training.reward.split("+")]
    entries = [*families, *incentives, ENCODERS[cell.training.network]]
    plugins = frozenset(entry.module.partition(".")[0] for entry in entries if entry.dist)
    digest = _digest(frozenset([TRAINING_LOOP, *(entry.module for entry in entries)]), plugins)
    return CodeVersion(digest, " ".join(f"{name}={value}" for name, value in unusual_settings().items()), checkify)


@lru_cache
def _digest(roots: frozenset[str], plugins: frozenset[str]) -> str:
    """Return the digest of the modules `roots` and of all deciding modules that they import, 16 hexadecimal digits.

    It is a digest of the sorted digests of top-level statements, without the names of modules. So a module that moves,
    or a function that moves to another module, leaves every version as it was.
    """
    modules: set[str] = set()
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module not in modules:
            modules.add(module)
            waiting += _imports(module, plugins)
    imports = {line for module in modules for line in _statements(module)[0]}
    statements = [text for module in modules for text in _statements(module)[1]]
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


def _decides_results(module: str, plugins: frozenset[str]) -> bool:
    package, _, inner = module.partition(".")
    if package == PACKAGE:
        in_room = any(f"{inner}.".startswith(f"{room}.") for room in DECIDING_ROOMS)
        return in_room and inner not in NOT_DECIDING and _file(module).is_file()
    return package in plugins and _file(module).is_file()


def _imports(module: str, plugins: frozenset[str]) -> Iterable[str]:
    """Yield the deciding modules that a module imports, wherever in it."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if _decides_results(name.name, plugins))
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
            yield from (name for name in names if _decides_results(name, plugins))


@lru_cache
def _statements(module: str) -> tuple[list[str], list[str]]:
    """Return a module's imports and its other top-level statements.

    Docstrings and registries of names are left out, as are imports from this package under their own name: which
    module holds a name does not count.
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
            named = [name for name in node.names if name.asname or source != f"from {PACKAGE} "]
            imports += [f"{source}import {name.name} as {name.asname}" for name in named]
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
