"""Checks of `incentivize doctor` of an installation. Imports neither jax nor anything else that may be broken.

A check is a pure function from facts to a `Finding`; `run_checks` collects the facts. Whatever may crash or hang runs
in a process of its own (`isolated`). May import runtime and errors; inside functions also envs, and the registries of
studies, trackers, agents and rewards.
"""

from typing import Literal, NamedTuple

State = Literal["ok", "warning", "wrong"]


class Finding(NamedTuple):
    """The result of one check.

    Attributes:
        check: the name of the check.
        state: "wrong" where runs would fail, "warning" where they would be slow or differ from what is expected.
        says: the result in words, and a remedy.
    """

    check: str
    state: State
    says: str
