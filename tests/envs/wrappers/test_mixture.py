"""What a mixture adds to its families, which obey the contract as the tests of families show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs
from incentivize.envs.contract import batched, starts

NAMES = envs.names()


@pytest.mark.parametrize("permuted", [None, 3])
def test_all_members_have_one_interface(permuted):
    mixture = envs.mix(*NAMES, permuted=permuted)
    assert len(mixture.members) == len(NAMES)
    for number, member in enumerate(mixture.members):
        assert member.spec == mixture.spec
        assert member.num_actions == mixture.num_actions == 5
        seen = batched(member, "observe")(starts(member, 20))
        assert (seen.context[:, 0] == number).all()
        assert (seen.action_mask.sum(1) <= member.family.num_actions).all()


@pytest.mark.parametrize("permuted", [None, 3])
def test_a_member_plays_its_family(permuted):
    """Whatever an agent does in the mixture, the family does the same with the action's own number."""
    for member in envs.mix(*NAMES, permuted=permuted).members:
        family, states = member.family, starts(member, 50)
        expert = np.array(batched(member, "expert")(states))
        own = np.array(batched(family, "expert")(states))
        assert (expert[:, list(member.places.actions)] == own).all()
        assert np.allclose(expert.sum(1), 1)
        keys = jax.random.split(jax.random.key(0), 50)
        theirs = batched(member, "step")(states, jnp.array(expert.argmax(1)), keys)
        chosen = np.array(member.places.actions).argsort()[
            np.searchsorted(np.sort(member.places.actions), expert.argmax(1))
        ]
        mine = batched(family, "step")(states, jnp.array(chosen), keys)
        for first, second in zip(jax.tree.leaves(theirs), jax.tree.leaves(mine), strict=True):
            assert (first == second).all()


def test_permuting_keeps_what_is_seen_and_moves_where_it_stands():
    plain, permuted = envs.mix("errands", "puzzles"), envs.mix("errands", "puzzles", permuted=0)
    other = envs.mix("errands", "puzzles", permuted=1)
    for first, second, third in zip(plain.members, permuted.members, other.members, strict=True):
        a, b, c = (batched(member, "observe")(starts(member, 30)) for member in (first, second, third))
        for x, y in ((a.context[:, 1:], b.context[:, 1:]), (a.entities, b.entities)):
            assert (jnp.sort(x) == jnp.sort(y)).all()
            assert (x != y).any()
        assert (b.context != c.context).any()
    orders = {member.places.actions for member in permuted.members}
    assert len(orders) == 2  # every family in an order of its own


def test_a_mixture_needs_families():
    with pytest.raises(ValueError, match=r"families=\(\): must be at least one"):
        envs.mix()
    with pytest.raises(ValueError, match="family='mase'"):
        envs.mix("errands", "mase")
