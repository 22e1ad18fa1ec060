"""`incentivize doctor`: what is wrong with an installation. Imports neither jax nor anything else that may be broken.

A check is a pure function from what was found to a `Finding`; `examination` finds it. What may crash or hang runs in a
process of its own (`apart`).
"""

from typing import Literal, NamedTuple

State = Literal["ok", "warning", "wrong"]


class Finding(NamedTuple):
    """What one check says.

    Attributes:
        check: what was looked at.
        state: "wrong" where runs would fail, "warning" where they would be slow or other than expected.
        says: what is so, and what to do about it.
    """

    check: str
    state: State
    says: str
