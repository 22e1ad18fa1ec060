"""Every registered family, with its knobs, and inside controls, lives and mixtures: for tests of all of them."""

import pytest

from incentivize import envs
from incentivize.envs.wrappers.base import Wrapper
from incentivize.envs.wrappers.controls import CONTROLS, controls_of

VARIANTS = {  # knobs that change what a family does
    "codebooks": [{}, {"variant": "try", "study": 3}, {"life": 2}],
    "mazes": [{}, {"goal_in_task": False, "room": 9}],
    "programs": [{}, {"silent": True, "room": 9}],
}
SLOW = [  # experts and pictures with these knobs have quicker tests, and families without them the whole contract
    envs.make("errands", chain=2),
    envs.make("errands", attributes=3, values=4, life=3),
    envs.make("puzzles", scramble=3),
    envs.make("sequences", order=1, tokens=7, room=9, runs=2),
]
FAMILIES = [envs.make(name, **knobs) for name in envs.names() for knobs in VARIANTS.get(name, [{}])]
SEEN_DIFFERENTLY = {  # controls, with the families that only the slow suite plays inside them
    "shuffled": ("mazes", "programs"),
    "disjoint": ("sequences",),
    "blind": ("errands", "mazes", "puzzles", "sequences"),
}
MIXED = ("errands", "mazes", "puzzles", "sequences")  # members of a mixture that only the slow suite plays
NAMED = {name: envs.make(name) for name in envs.names()}
INSIDE = [  # families inside others, and whether their episodes are played in the default suite
    *(
        (CONTROLS[control](family), name not in SEEN_DIFFERENTLY[control])
        for name, family in NAMED.items()
        for control in controls_of(family)
        if control in SEEN_DIFFERENTLY
    ),
    (envs.make("errands", "shuffled", life=2), False),
    (envs.make("codebooks", "blind", life=2), True),
    (envs.make("codebooks", "changing", life=2), True),
    *((member, name not in MIXED) for name, member in zip(NAMED, envs.mix(*NAMED, permuted=1).members, strict=True)),
]


def label(family):
    if isinstance(family, Wrapper):  # by name: a member of a mixture has much else to say
        return f"{type(family).__name__}({label(family.family)})"
    return repr(family).replace(" ", "")


# No wrapper has code for one family. What a family brings into it is checked without one by `test_families`, and by
# `test_all_members_have_one_interface` for mixtures. So the slow suite has some of the pairs.
WITH_SLOW = [*FAMILIES, *(pytest.param(family, marks=pytest.mark.slow) for family in SLOW)]
every_control = pytest.mark.parametrize(
    "family",
    [*WITH_SLOW, *(pytest.param(family, marks=() if played else pytest.mark.slow) for family, played in INSIDE)],
    ids=label,
)
