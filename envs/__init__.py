"""Task spaces, families, controls, episodes and the Gymnasium environments. Needs jax and gymnasium only.

    tasks, pool_audit     task spaces, their splits, pools of training tasks; the check that splits stay apart
    family, contract      the contract of a family, and its checks
    families, wrappers    the families; controls, lives, mixtures and held-out pairs around them
    episodes              batched episodes for training
    gym, gym_vector       the Gymnasium environments
    render                pictures of states

`make("errands")` builds a family; `names()` lists them. A new family is one file and one line of `FAMILIES`, or an
entry point of another package (`incentivize.envs.registry`).
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
    """Return the names of the registered families."""
    return tuple(FAMILIES)


def make(name: str, control: str | None = None, life: int = 1, pairs: Pairing | None = None, **knobs: Any) -> Family:
    """Build a family by name, inside a control if one is named.

    Args:
        name: a name of `FAMILIES`.
        control: a name of `incentivize.envs.wrappers.controls.CONTROLS`, or None for the family itself.
        life: attempts at its task in every episode; see `incentivize.envs.wrappers.lives`.
        pairs: "apart" leaves out tasks whose first two digits agree, "together" leaves out all others; see
            `incentivize.envs.wrappers.held_out_pairs`.
        knobs: fields of the family's dataclass.

    Raises:
        ValueError: if the family, the control or a knob does not exist, or a value has a wrong type or size.
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
    """Build a mixture of families, for one agent to play; see `incentivize.envs.wrappers.mixture`.

    Args:
        names: names of `FAMILIES`.
        permuted: the seed of a random order of slots and actions in every family; None keeps them in order.

    Raises:
        ValueError: if a family does not exist, or `permuted` is no seed.
    """
    from incentivize.envs.wrappers.mixture import Mixture

    return Mixture(tuple(make(name) for name in names), permuted)


if __name__ == "envs":  # in a checkout
    from incentivize.checkout import alias

    alias("envs")
