"""Docstrings for help and lists, also where Python strips them (`python -OO`, `PYTHONOPTIMIZE=2`)."""

import ast
import inspect
import sys
import textwrap
from typing import Any


def docstring(described: Any) -> str:
    """Return the docstring of a module, class or function, read from its source where Python strips docstrings.

    It is "" where there is none. A dataclass without docstring gets its signature from Python; that is not returned.
    """
    if sys.flags.optimize < 2:
        return described.__doc__ or ""
    try:
        tree: Any = ast.parse(textwrap.dedent(inspect.getsource(described)))
        return ast.get_docstring(tree if inspect.ismodule(described) else tree.body[0]) or ""
    except (OSError, TypeError, SyntaxError, IndexError):  # there is no readable source
        return ""
