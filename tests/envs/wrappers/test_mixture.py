"""What a mixture adds to its families, which obey the contract as the tests of families show."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs
from incentivize.envs.contract import starts

NAMES = envs.names()


KEYS = jax.random.split(jax.random.key(0), 50)


@partial(jax.jit, static_argnums=0)
def played(member, states):
    """Return observations, the expert's probabilities, and what its likeliest actions lead to."""
    expert = jax.vmap(member.expert)(states)
    return jax.vmap(member.observe)(states), expert, jax.vmap(member.step)(states, expert.argmax(1), KEYS)


@partial(jax.jit, static_argnums=0)
def followed(family, states, actions):
    """Return the expert's probabilities, and what given actions lead to."""
    return jax.vmap(family.expert)(states), jax.vmap(family.step)(states, actions, KEYS)


@pytest.mark.parametrize("permuted", [None, 3])
def test_all_members_have_one_interface(permuted):
    mixture = envs.mix(*NAMES, permuted=permuted)
    assert len(mixture.members) == len(NAMES)
    for number, member in enumerate(mixture.members):
        assert member.spec == mixture.spec
        assert member.num_actions == mixture.num_actions == 5
        seen, *_ = jax.device_get(played(member, starts(member.family, 50)))
        assert (seen.context[:, 0] == number).all()
        assert (seen.action_mask.sum(1) <= member.family.num_actions).all()


@pytest.mark.parametrize("permuted", [None, 3])
def test_a_member_plays_its_family(permuted):
    """Whatever an agent does in the mixture, the family does the same with the action's own number."""
    for member in envs.mix(*NAMES, permuted=permuted).members:
        family, states = member.family, starts(member.family, 50)
        _, expert, theirs = jax.device_get(played(member, states))
        chosen = np.array(member.places.actions).argsort()[
            np.searchsorted(np.sort(member.places.actions), expert.argmax(1))
        ]
        own, mine = jax.device_get(followed(family, states, jnp.array(chosen)))
        assert (expert[:, list(member.places.actions)] == own).all()
        assert np.allclose(expert.sum(1), 1)
        for first, second in zip(jax.tree.leaves(theirs), jax.tree.leaves(mine), strict=True):
            assert (first == second).all()


@partial(jax.jit, static_argnums=0)
def observed(members, states):
    """Return what every member shows of the same states."""
    return [jax.vmap(member.observe)(states) for member in members]


def test_permuting_keeps_what_is_seen_and_moves_where_it_stands():
    plain, permuted = envs.mix("errands", "puzzles"), envs.mix("errands", "puzzles", permuted=0)
    other = envs.mix("errands", "puzzles", permuted=1)
    for first, second, third in zip(plain.members, permuted.members, other.members, strict=True):
        a, b, c = jax.device_get(observed((first, second, third), starts(first.family, 50)))
        for x, y in ((a.context[:, 1:], b.context[:, 1:]), (a.entities, b.entities)):
            assert (np.sort(x) == np.sort(y)).all()
            assert (x != y).any()
        assert (b.context != c.context).any()
    orders = {member.places.actions for member in permuted.members}
    assert len(orders) == 2  # every family in an order of its own


def test_a_mixture_needs_families():
    with pytest.raises(ValueError, match=r"families = \(\): expected at least one family"):
        envs.mix()
    with pytest.raises(ValueError, match="family = 'mase'"):
        envs.mix("errands", "mase")
