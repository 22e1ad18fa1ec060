"""The contract of a family as checks, for the tests of any package.

In a test::

    @pytest.mark.parametrize("check", contract.CHECKS)
    def test_it_keeps_the_contract(check):
        check(envs.make("sums"))

Every check is a function of a family that raises AssertionError if the family breaks the contract, which
`incentivize.envs.family` states. The checks of OF_ITSELF hold for a family as shipped. Those of INSIDE_OTHERS hold
inside controls, lives and mixtures, too.
"""

from collections.abc import Callable

from incentivize.envs.contract import basics, counts, interventions
from incentivize.envs.contract.basics import batched, starts
from incentivize.envs.family import Family

__all__ = ["CHECKS", "INSIDE_OTHERS", "OF_ITSELF", "Check", "batched", "starts"]

Check = Callable[[Family], None]

INSIDE_OTHERS: tuple[Check, ...] = (
    basics.an_episode_keeps_the_contract,
    basics.only_a_visible_rule_shows,
    basics.a_step_keeps_the_state_a_state,
)
OF_ITSELF: tuple[Check, ...] = (
    basics.expert_solves_every_instance,
    basics.the_key_decides,
    basics.compiled_and_batched_equal_plain,
    basics.one_trace_for_all_tasks,
    basics.start_near_is_near,
    basics.scripted_policies_are_policies,
    basics.hashable_and_described,
    interventions.the_fair_expert_knows_what_was_shown,
    interventions.the_fair_expert_succeeds_as_stated,
    interventions.scripted_policies_ignore_the_description,
    interventions.step_obeys_the_task,
    interventions.blind_hides_what_shown_changes,
    interventions.pictures_show_what_was_seen,
    counts.every_digit_matters,
    counts.instances_are_counted,
)
CHECKS = (*INSIDE_OTHERS, *OF_ITSELF)
