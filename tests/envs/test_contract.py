"""Every check of the contract by intervention refuses a family that is wrong in what it looks for."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from incentivize import envs
from incentivize.envs import contract
from incentivize.envs.contract import counts
from incentivize.envs.contract import interventions as checks
from incentivize.envs.contract.players import alone
from incentivize.envs.tasks import TaskSpace
from incentivize.envs.wrappers.base import Wrapper

VISIBLE = envs.make("puzzles", moves=2)  # quick to compile
HIDDEN = envs.make("codebooks", cues=5, exam=2)
COUNTED = envs.make("mazes", rows=3, columns=4)  # has an exact number of instances
both = pytest.mark.parametrize("family", [VISIBLE, HIDDEN], ids=["visible", "hidden"])
both_counted = pytest.mark.parametrize("family", [COUNTED, HIDDEN], ids=["visible", "hidden"])


@dataclass(frozen=True)
class FairReadsTheTask(Wrapper):
    def expert(self, state, kind="informed"):
        return self.family.expert(state, "informed")


@dataclass(frozen=True)
class FairReadsWhatIsShownLater(Wrapper):
    """Of codebooks: in the exam it answers what study would have revealed, whether or not it was asked."""

    def expert(self, state, kind="informed"):
        return self.family.expert(state._replace(task=state.shown), "informed")


@dataclass(frozen=True)
class FairGuesses(Wrapper):
    def expert(self, state, kind="informed"):
        legal = self.observe(state).action_mask
        return legal / legal.sum() if kind == "fair" else self.family.expert(state, kind)


@dataclass(frozen=True)
class StepObeysShown(Wrapper):
    def step(self, state, action, key):
        after, outcome = self.family.step(state._replace(task=state.shown), action, key)
        return after._replace(task=state.task), outcome


@dataclass(frozen=True)
class LaterStepsObeyShown(Wrapper):
    """Of errands: the target is what fits the description that is shown."""

    def step(self, state, action, key):
        after, outcome = self.family.step(state, action, key)
        return after._replace(targets=self.family._described(after)), outcome


@dataclass(frozen=True)
class StepChangesShown(Wrapper):
    def step(self, state, action, key):
        after, outcome = self.family.step(state, action, key)
        return after._replace(shown=after.shown.at[0].set(1 - jnp.minimum(after.shown[0], 1))), outcome


@dataclass(frozen=True)
class Instances(Wrapper):
    times: float

    @property
    def instances(self):
        return int(self.family.instances * self.times)


@dataclass(frozen=True)
class AtLeast(Instances):
    @property
    def instances_are_exact(self):
        return False


@dataclass(frozen=True)
class Exact(Instances):
    @property
    def instances_are_exact(self):
        return True


class StateWithAKey(NamedTuple):
    task: jax.Array
    shown: jax.Array
    inner: Any
    key: jax.Array


@dataclass(frozen=True)
class HoldsAKey(Wrapper):
    def init(self, key, task):
        state = self.family.init(key, task)
        return StateWithAKey(state.task, state.shown, state, key)

    def _inner(self, state):
        return state.inner._replace(task=state.task, shown=state.shown)

    def step(self, state, action, key):
        after, outcome = self.family.step(self._inner(state), action, key)
        return state._replace(inner=after, key=jax.random.split(state.key)[0]), outcome

    def observe(self, state):
        return self.family.observe(self._inner(state))

    def expert(self, state, kind="informed"):
        return self.family.expert(self._inner(state), kind)

    def distance(self, state):
        return self.family.distance(self._inner(state))

    def render(self, state, described=True):
        return self.family.render(self._inner(state), described)


@dataclass(frozen=True)
class CountedTwice(Wrapper):
    """The first digit counts twice over what it means."""

    @property
    def tasks(self):
        first, *rest = self.family.tasks.radices
        return TaskSpace((2 * first, *rest))

    def init(self, key, task):
        return self.family.init(key, task.at[0].set(task[0] % self.family.tasks.radices[0]))

    def behaviour(self, task):
        return task


@dataclass(frozen=True)
class OneDigitMore(Wrapper):
    @property
    def tasks(self):
        return TaskSpace((*self.family.tasks.radices, 3))

    def init(self, key, task):
        return self.family.init(key, task[:-1])

    def behaviour(self, task):
        return task


@dataclass(frozen=True)
class OneDigitMoreAsItSays(OneDigitMore):
    def behaviour(self, task):
        return self.family.behaviour(task[:-1])


@dataclass(frozen=True)
class BlindMasksNothing(Wrapper):
    def blind(self, observation):
        return observation


@dataclass(frozen=True)
class BlindMasksTheFirstSteps(Wrapper):
    """Of codebooks: what the last action was tells whether anything has been done yet; a yes is left."""

    def blind(self, observation):
        yes = observation.context[2] == 2
        return jax.tree.map(lambda a, b: jnp.where(yes, a, b), observation, self.family.blind(observation))


@dataclass(frozen=True)
class ScriptReadsTheDescription(Wrapper):
    def scripted(self, observation):
        seen = jnp.concatenate([observation.context, observation.entities.ravel()])
        told = (seen * jnp.arange(len(seen))).sum() % self.num_actions
        own = jax.nn.one_hot(told, self.num_actions) * observation.action_mask
        uniform = self.family.scripted(observation)
        return jnp.concatenate([uniform, jnp.where(own.any(), own, uniform[0])[None]])


@dataclass(frozen=True)
class FairKnowsTheNextCue(Wrapper):
    def expert(self, state, kind="informed"):
        best = self.family.expert(state, kind)
        return jnp.where(
            (kind == "fair") & (state.studied[-1] == 0), self.family.scripted(self.observe(state))[0], best
        )


# Two mutants in one, where neither check looks at what the other mutant changes: one program plays for both tests.


@dataclass(frozen=True)
class FairReadsTheTaskAndScriptTheDescription(FairReadsTheTask, ScriptReadsTheDescription):
    pass


@dataclass(frozen=True)
class StepObeysShownAndBlindMasksNothing(StepObeysShown, BlindMasksNothing):
    pass


@dataclass(frozen=True)
class FairKnowsTheNextCueAndBlindMasksTheFirstSteps(FairKnowsTheNextCue, BlindMasksTheFirstSteps):
    pass


TOLD = {  # of a family and a state: what a picture tells and must not
    "PictureTellsTheTask": lambda family, state: str(np.array(state.task)),
    "PictureTellsTheRule": lambda family, state: str(np.array(state.shown)),
    "PictureTellsTheAnswer": lambda family, state: f"the answer is {np.array(alone(family, 'expert')(state)).argmax()}",
    "PictureTellsTheNextCue": lambda family, state: f"later comes {int(state.studied[-1])}",
}


def refused(check, family, match):
    with pytest.raises(AssertionError, match=match):
        check(family)


def test_all_of_them_are_checks_of_the_contract():
    for module, count in ((checks, 6), (counts, 2)):
        ours = {value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__}
        public = {value for value in ours if not value.__name__.startswith("_")}
        assert public <= set(contract.CHECKS)
        assert len(public) == count


@pytest.mark.parametrize("name", ["errands", "programs"])
def test_a_fair_expert_that_reads_what_was_made_of_the_task_is_refused(name):
    family = envs.make(name, **({"attributes": 2, "values": 4} if name == "errands" else {"length": 2}))
    refused(checks.the_fair_expert_knows_what_was_shown, FairReadsTheTask(family), "never changes when `shown`")


@both
def test_a_fair_expert_that_reads_the_task_is_refused(family):
    mutant = FairReadsTheTaskAndScriptTheDescription(family)
    refused(checks.the_fair_expert_knows_what_was_shown, mutant, "the fair expert changes when")


def test_a_fair_expert_that_knows_what_nobody_asked_is_refused():
    mutant = FairReadsWhatIsShownLater(HIDDEN)
    refused(checks.the_fair_expert_knows_what_was_shown, mutant, "when digits of the task is replaced")


@both
def test_a_fair_expert_that_guesses_is_refused(family, monkeypatch):
    refused(checks.the_fair_expert_succeeds_as_stated, FairGuesses(family), "fair_success = 1: the fair expert solves")
    monkeypatch.setattr(FairGuesses, "fair_success", 0.9)
    refused(checks.the_fair_expert_succeeds_as_stated, FairGuesses(family), r"fair_success = 0\.9")


@both
def test_a_step_that_obeys_shown_is_refused(family):
    mutant = StepObeysShownAndBlindMasksNothing(family)
    refused(checks.step_obeys_the_task, mutant, "`step` must obey `state.task`")


def test_a_step_that_makes_later_ones_obey_shown_is_refused():
    family = envs.make("errands", attributes=2, values=4)
    refused(checks.step_obeys_the_task, LaterStepsObeyShown(family), "`shown` was replaced before")


def test_a_step_that_changes_the_rule_is_refused():
    refused(checks.step_obeys_the_task, StepChangesShown(VISIBLE), "a step changes `shown`")


@both_counted
@pytest.mark.parametrize("times", [0.5, 2])
def test_a_wrong_number_of_instances_is_refused(family, times):
    refused(counts.instances_are_counted, Instances(family, times), "instances = ")


@both_counted
def test_a_lower_bound_may_be_low_and_not_high(family):
    counts.instances_are_counted(AtLeast(family, 0.5))
    refused(counts.instances_are_counted, AtLeast(family, 2), "tasks have fewer starting states")


def test_a_large_number_that_is_no_exact_count_is_refused():
    exact = Exact(envs.make("errands", attributes=2, values=4), 1)
    refused(counts.instances_are_counted, exact, "far more starting states")
    refused(counts.instances_are_counted, Instances(envs.make("codebooks"), 1.3), "tasks have fewer starting states")


def test_states_may_hold_random_keys():
    family = HoldsAKey(VISIBLE)
    for check in contract.CHECKS[-8:]:
        check(family)


def test_many_instances_are_counted_by_how_often_two_agree():
    family = envs.make("codebooks", cues=40, exam=3)
    assert family.instances > counts.MOST_DRAWS / counts.PER_INSTANCE
    counts.instances_are_counted(family)
    refused(counts.instances_are_counted, Instances(family, 3), "tasks have fewer starting states")


@both
def test_a_digit_that_never_matters_is_refused_unless_behaviour_says_so(family):
    last = len(family.tasks.radices)
    refused(counts.every_digit_matters, OneDigitMore(family), f"digit {last} of a task: no two values")
    refused(counts.every_digit_matters, CountedTwice(family), "digit 0 of a task: no two values that are")
    counts.every_digit_matters(OneDigitMoreAsItSays(family))


@both
def test_a_blind_observation_that_tells_is_refused(family):
    mutant = StepObeysShownAndBlindMasksNothing(family)
    refused(checks.blind_hides_what_shown_changes, mutant, "`blind` leaves what tells")


def test_a_blind_observation_that_tells_now_and_then_is_refused():
    mutant = FairKnowsTheNextCueAndBlindMasksTheFirstSteps(HIDDEN)
    refused(checks.blind_hides_what_shown_changes, mutant, "`blind` leaves what tells")


def test_a_family_that_shows_nothing_is_refused():
    refused(checks.blind_hides_what_shown_changes, envs.make("codebooks", "blind"), "ever depends on `shown`")


@both
def test_a_script_that_reads_the_description_is_refused(family):
    mutant = FairReadsTheTaskAndScriptTheDescription(family)
    refused(checks.scripted_policies_ignore_the_description, mutant, "reads what `blind` hides")


def refused_picture(family, told, match):
    """Check that pictures are refused that tell something of TOLD; the family's own class draws them meanwhile.

    So all that is played is the family's own, and compiled for it once.
    """
    draw, told = type(family).render, TOLD[told]

    def render(self, state, described=True):
        return draw(self, state, described).captioned(told(self, state))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(family), "render", render)
        refused(checks.pictures_show_what_was_seen, family, match)


@both
@pytest.mark.parametrize("told", ["PictureTellsTheTask", "PictureTellsTheAnswer"])
def test_a_picture_that_tells_is_refused(family, told):
    refused_picture(family, told, "a picture tells what no observation has")


def test_a_picture_that_tells_a_hidden_rule_or_the_future_is_refused():
    refused_picture(HIDDEN, "PictureTellsTheRule", "it changes with digits of the task")
    refused_picture(HIDDEN, "PictureTellsTheNextCue", "two instances of a task apart")


def test_a_fair_expert_that_knows_the_future_is_refused():
    mutant = FairKnowsTheNextCueAndBlindMasksTheFirstSteps(HIDDEN)
    refused(checks.the_fair_expert_knows_what_was_shown, mutant, "two instances of a task that")


def test_a_blind_picture_that_tells_is_refused():
    refused_picture(VISIBLE, "PictureTellsTheRule", "a picture without the description")
