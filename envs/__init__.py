"""What a task is: task spaces, families, controls, episodes, the Gymnasium door. Needs jax and gymnasium only.

`make("errands")` builds a family; `names()` lists them; `gymnasium.make("envs:incentivize/Errands-v0")` opens one to
Gymnasium. A new family is one file and one line here, or an entry point of another package (`envs.registry`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium

from envs.arguments import integer, knobs_of, one_of
from envs.registry import Registry

if TYPE_CHECKING:
    from envs.family import Family
    from envs.mixture import Mixture
    from envs.pairs import Pairing

FAMILIES: Registry[Any] = Registry(
    "families",
    {
        "codebooks": "envs.codebooks:Codebooks",
        "errands": "envs.errands:Errands",
        "mazes": "envs.mazes:Mazes",
        "programs": "envs.programs:Programs",
        "puzzles": "envs.puzzles:Puzzles",
        "sequences": "envs.sequences:Sequences",
    },
)


def names() -> tuple[str, ...]:
    """The names of the registered families."""
    return tuple(FAMILIES)


def make(name: str, control: str | None = None, life: int = 1, pairs: Pairing | None = None, **knobs: Any) -> Family:
    """A family by name, with its knobs, inside a control where one is named.

    With `life`, an episode is so many attempts at its task, one after the other: see `envs.lives`. With `pairs`, tasks
    whose first two digits agree are left out, or the only ones: see `envs.pairs`.

    Raises:
        ValueError: where the name, the control, the life, a knob, or the type or value of one is not one there is.
    """
    from envs.controls import CONTROLS
    from envs.lives import Lives
    from envs.pairs import Pairs

    cls = FAMILIES.load(one_of("family", name, FAMILIES))
    if control is not None:
        one_of("control", control, CONTROLS)
    life = integer("life", life)
    family = cls(**knobs_of(name, cls, knobs))
    if pairs is not None:
        family = Pairs(family, pairs)
    if life != 1:
        family = Lives(family, life)
    return family if control is None else CONTROLS[control](family)


def mix(*names: str, permuted: int | None = None) -> Mixture:
    """Families by name behind one interface, for one agent to play; see `envs.mixture`.

    Raises:
        ValueError: where a name is not one there is.
    """
    from envs.mixture import Mixture

    return Mixture(tuple(make(name) for name in names), permuted)


for _name, _entry in FAMILIES.items():
    gymnasium.register(
        f"incentivize/{_entry.attr}-v0",
        entry_point="envs.gym:FamilyEnv",
        vector_entry_point="envs.gym_vector:FamilyVectorEnv",
        kwargs={"family": _name},
    )
