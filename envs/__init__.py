"""What a task is: task spaces, families, controls, episodes, the Gymnasium door. Needs jax and gymnasium only.

`make("errands")` builds a family; `names()` lists them. A new family is one file and one line here, or an entry point of
another package (`incentivize.envs.registry`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from incentivize.envs.arguments import check_integer, check_knobs, check_one_of
from incentivize.envs.registry import Registry

if TYPE_CHECKING:
    from incentivize.envs.family import Family
    from incentivize.envs.wrappers.held_out_pairs import Pairing
    from incentivize.envs.wrappers.mixture import Mixture

FAMILIES: Registry[Any] = Registry(
    "families",
    {
        "codebooks": "incentivize.envs.families.codebooks:Codebooks",
        "errands": "incentivize.envs.families.errands:Errands",
        "mazes": "incentivize.envs.families.mazes:Mazes",
        "programs": "incentivize.envs.families.programs:Programs",
        "puzzles": "incentivize.envs.families.puzzles:Puzzles",
        "sequences": "incentivize.envs.families.sequences:Sequences",
    },
)


def names() -> tuple[str, ...]:
    """The names of the registered families."""
    return tuple(FAMILIES)


def make(name: str, control: str | None = None, life: int = 1, pairs: Pairing | None = None, **knobs: Any) -> Family:
    """A family by name, with its knobs, inside a control where one is named.

    With `life`, an episode is so many attempts at its task, one after the other: see `incentivize.envs.wrappers.lives`. With `pairs`, tasks
    whose first two digits agree are left out, or the only ones: see `incentivize.envs.wrappers.held_out_pairs`.

    Raises:
        ValueError: where the name, the control, the life, a knob, or the type or value of one is not one there is.
    """
    from incentivize.envs.wrappers.controls import CONTROLS
    from incentivize.envs.wrappers.held_out_pairs import HeldOutPairs
    from incentivize.envs.wrappers.lives import Lives

    cls = FAMILIES.load(check_one_of("family", name, FAMILIES))
    if control is not None:
        check_one_of("control", control, CONTROLS)
    life = check_integer("life", life)
    family = cls(**check_knobs(name, cls, knobs))
    if pairs is not None:
        family = HeldOutPairs(family, pairs)
    if life != 1:
        family = Lives(family, life)
    return family if control is None else CONTROLS[control](family)


def mix(*names: str, permuted: int | None = None) -> Mixture:
    """Families by name behind one interface, for one agent to play; see `incentivize.envs.wrappers.mixture`.

    Raises:
        ValueError: where a name is not one there is.
    """
    from incentivize.envs.wrappers.mixture import Mixture

    return Mixture(tuple(make(name) for name in names), permuted)


if __name__ == "envs":  # in a checkout
    from incentivize.checkout import alias

    alias("envs")
