"""Docstrings that are shown, also where Python was told to leave them out (`python -OO`, `PYTHONOPTIMIZE=2`)."""

import ast
import inspect
import sys
import textwrap
from typing import Any


def docstring(thing: Any) -> str:
    """The docstring of a module, class or function, from its source where Python has left it out; "" if there is none.

    Without docstrings a dataclass has its signature for one, which is not shown either.
    """
    if sys.flags.optimize < 2:
        return thing.__doc__ or ""
    try:
        tree: Any = ast.parse(textwrap.dedent(inspect.getsource(thing)))
        return ast.get_docstring(tree if inspect.ismodule(thing) else tree.body[0]) or ""
    except (OSError, TypeError, SyntaxError, IndexError):  # there is no source, or it is none
        return ""
