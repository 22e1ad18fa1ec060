"""Codebooks: find out a hidden code, remember it, answer.

A task is a hidden map from cues to answers. An instance is a choice of a few cues. First they are studied: each is
shown for some steps in a row. Then, in the exam, they are asked. The episode succeeds if all answers are right, and
fails at the first wrong one. In the variant "probe" an extra action reveals one more bit of the shown cue's answer, for
a small part of the final reward. In "try" the agent tries an answer and learns whether it is right.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.arguments import check_integer
from incentivize.envs.families.fixed_length import FixedLength, draw_steps_left
from incentivize.envs.families.grid import distinct
from incentivize.envs.family import Observation, Outcome, Spec, outcome
from incentivize.envs.render import BLUE, FAINT, GREEN, INK, LEAF, PAPER, SAND, Picture
from incentivize.envs.tasks import TaskSpace

ANSWERS = 4
BITS = 2
STUDY, EXAM = 0, 1
NOTHING = 0  # the feedback of a step that revealed nothing


class CodebooksState(NamedTuple):
    """One codebook under way."""

    task: jax.Array  # uint8 [cues]: the code that the exam obeys
    shown: jax.Array  # uint8 [cues]: the code that study reveals
    studied: jax.Array  # uint8 [exam]: the cues in the order of study
    asked: jax.Array  # uint8 [exam]: the exam's cues in the order of the exam, as indices into `studied`
    possible: jax.Array  # bool [exam, answers]: the answers that study has not ruled out, by order of study
    feedback: jax.Array  # uint8 []: the reply to the last step: nothing 0, no 1, yes 2
    tried: jax.Array  # uint8 []: the last action plus one; 0 before the first
    probes: jax.Array  # uint8 []: the number of probes, or tries, so far
    at: jax.Array  # uint8 []: the step


@dataclass(frozen=True)
class Codebooks(FixedLength):
    """Codes of `cues` cues and four answers, of which `exam` are studied and asked.

    Knobs:
        cues: 20 make 4^20 = 1.1 x 10^12 codes.
        exam: the number of cues that are studied and then asked.
        study: the steps for which each cue is studied. Two probes or three tries reveal any answer.
        variant: "probe" or "try".
        mixed: whether the exam has an order of its own. If so, the agent has to remember which cue each answer belongs
            to, which is much harder to learn.
        price: thousandths of the reward that every probe takes off it. Without a reward, probes are free. (Paid at
            once, they would cost more than they bring until the exam is mastered, and no agent would learn to probe.)

    Out of distribution: a longer `study`, a longer `exam` or a `mixed` one, with observations of the same shape.

    Raises:
        ValueError: if a knob is out of range.
    """

    cues: int = 20
    exam: int = 3
    study: int = 2
    variant: Literal["probe", "try"] = "probe"
    mixed: bool = False
    price: int = 10

    def __post_init__(self) -> None:
        if not 2 <= self.exam <= self.cues <= 255:
            raise ValueError(f"exam = {self.exam}, cues = {self.cues}: expected 2 <= exam <= cues <= 255.")
        check_integer("study", self.study, 1, 8)
        if self.variant not in ("probe", "try"):
            raise ValueError(f"variant = {self.variant!r}: expected 'probe' or 'try'.")
        if not 0 <= self.price <= 100:
            raise ValueError(f"price = {self.price}: expected 0 to 100 (thousandths of the reward).")

    @property
    def reveals_rule(self) -> bool:
        return False

    @property
    def tasks(self) -> TaskSpace:
        return TaskSpace((ANSWERS,) * self.cues)

    @property
    def instances(self) -> int:
        orders = 1
        for turn in range(self.exam):
            orders *= (self.cues - turn) * (turn + 1 if self.mixed else 1)
        return orders

    @property
    def fair_success(self) -> float:
        """The fair expert's success: two probes, or three tries, settle an answer; with fewer it guesses."""
        per_cue = min(self.study / BITS, 1) if self.variant == "probe" else min((self.study + 1) / ANSWERS, 1)
        return per_cue**self.exam

    @property
    def horizon(self) -> int:
        return self.exam * (self.study + 1)

    @property
    def num_actions(self) -> int:
        return ANSWERS + 1  # the last one probes; in "try" it lets a step go by

    @property
    def spec(self) -> Spec:
        return Spec((2, self.cues, 3, ANSWERS + 2), entity=(), num_entities=0)

    def init(self, key: jax.Array, task: jax.Array) -> CodebooksState:
        task, words = jnp.asarray(task), jax.random.bits(key, (2 * self.exam,))
        nothing = jnp.uint8(NOTHING)
        asked = distinct(words[self.exam :], self.exam) if self.mixed else jnp.arange(self.exam)
        return CodebooksState(
            task=task,
            shown=task,
            studied=distinct(words[: self.exam], self.cues).astype(jnp.uint8),
            asked=asked.astype(jnp.uint8),
            possible=jnp.ones((self.exam, ANSWERS), bool),
            feedback=nothing,
            tried=nothing,
            probes=nothing,
            at=nothing,
        )

    def _place(self, state: CodebooksState) -> tuple[jax.Array, jax.Array]:
        """Return whether this is the exam, bool [], and the shown cue's place in the order of study, int32 []."""
        at, start = state.at.astype(jnp.int32), self.exam * self.study
        exam = at >= start
        asked = state.asked[jnp.clip(at - start, 0, self.exam - 1)].astype(jnp.int32)
        return exam, jnp.where(exam, asked, jnp.minimum(at // self.study, self.exam - 1))

    def observe(self, state: CodebooksState) -> Observation:
        exam, place = self._place(state)
        context = jnp.stack([exam.astype(jnp.uint8), state.studied[place], state.feedback, state.tried])
        legal = (jnp.arange(self.num_actions) < ANSWERS) | ~exam  # in the exam there are answers only
        return Observation(context, jnp.zeros((0, 0), jnp.uint8), jnp.zeros(0, bool), legal)

    def _reply(self, state: CodebooksState, action: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return the reply to an action (int []) in study.

        Returns:
            Whether the action asks, bool []; whether the reply is yes, bool []; the answers that a yes allows, bool
            [4]. A no allows all others.
        """
        _, place = self._place(state)
        truth = state.shown[state.studied[place]].astype(jnp.int32)
        answers = jnp.arange(ANSWERS)
        if self.variant == "try":
            return action < ANSWERS, truth == action, answers == action
        bit = state.at.astype(jnp.int32) % self.study % BITS  # the lower bit, then the upper
        return action == ANSWERS, (truth >> bit) & 1 == 1, (answers >> bit) & 1 == 1

    def step(self, state: CodebooksState, action: jax.Array, key: jax.Array) -> tuple[CodebooksState, Outcome]:
        exam, place = self._place(state)
        asks, yes, allowed = self._reply(state, action)
        asks = asks & ~exam
        is_shown = jnp.arange(self.exam)[:, None] == place
        possible = jnp.where(asks & is_shown, state.possible & (allowed == yes), state.possible)
        wrong = exam & (action != state.task[state.studied[place]])
        after = state._replace(
            possible=possible,
            feedback=jnp.where(asks, 1 + yes, NOTHING).astype(jnp.uint8),
            tried=(1 + action).astype(jnp.uint8),
            probes=state.probes + asks.astype(jnp.uint8),
            at=state.at + jnp.uint8(1),
        )
        won = (after.at == self.horizon) & ~wrong
        price = self.price / 1000 if self.variant == "probe" else 0.0
        return after, outcome(won, wrong, jnp.where(won, price * after.probes, 0.0))

    def expert(self, state: CodebooksState, kind: Literal["informed", "fair"] = "informed") -> jax.Array:
        """Return action probabilities, float32 [A].

        In the exam: the answer (informed), or any answer that is still possible (fair). In study the informed expert
        waits, as it has nothing to find out; the fair one asks while several answers are possible.
        """
        exam, place = self._place(state)
        truth = jax.nn.one_hot(state.task[state.studied[place]], self.num_actions)
        possible = jnp.pad(state.possible[place], (0, 1)).astype(jnp.float32)
        idle = jnp.pad(jnp.full(ANSWERS, 1 / ANSWERS), (0, 1))  # an answer given in study means nothing
        probe = jax.nn.one_hot(ANSWERS, self.num_actions)
        if self.variant == "try":
            idle = probe
        undecided = possible.sum() > 1
        if kind == "informed":
            return jnp.where(exam, truth, idle)
        if self.variant == "try":
            return jnp.where(exam | undecided, possible / possible.sum(), idle)
        _, _, allowed = self._reply(state, jnp.int32(ANSWERS))
        tells = (state.possible[place] & allowed).any() & (state.possible[place] & ~allowed).any()
        return jnp.where(exam, possible / possible.sum(), jnp.where(tells, probe, idle))

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> CodebooksState:
        """Return a state in the exam, after a study that has revealed every answer."""
        key_init, key_steps = jax.random.split(key)
        state = self.init(key_init, task)
        left = draw_steps_left(key_steps, steps, self.exam)
        revealed = jnp.arange(ANSWERS) == state.shown[state.studied][:, None]
        return state._replace(at=(self.horizon - left).astype(jnp.uint8), possible=revealed)

    def blind(self, observation: Observation) -> Observation:
        return observation._replace(context=observation.context.at[2].set(NOTHING))

    def describe(self, task: Any) -> str:
        return "answer the cues 1, 2, 3, ... with " + " ".join(str(int(answer)) for answer in np.array(task))

    @property
    def action_names(self) -> tuple[str, ...]:
        return (*(f"answer {number}" for number in range(ANSWERS)), "probe" if self.variant == "probe" else "wait")

    @property
    def keys(self) -> tuple[str, ...]:
        return (*"0123", "p" if self.variant == "probe" else "w")

    @property
    def rules(self) -> str:
        in_study = "In study 0 to 3 try an answer, and you are told whether it is right. w lets the step go by."
        if self.variant == "probe":
            in_study = (
                "In study p probes: it asks whether the answer is one of the two that stand beside the table.\n"
                f"Every probe takes {self.price / 1000:g} off the reward of 1. 0 to 3 let the step go by."
            )
        return (
            "Every cue has one hidden answer from 0 to 3.\n"
            f"First you study {self.exam} cues, {self.study} steps each. "
            f"Then all are asked{', in another order' if self.mixed else ''}.\n"
            f"{in_study}\n"
            "In the exam 0 to 3 answer the cue. All right wins; the first wrong answer loses.\n"
            "The table keeps what you found: the answers that a cue may still have."
        )

    def render(self, state: CodebooksState, described: bool = True) -> Picture:
        exam, place = (int(value) for value in self._place(state))
        start, at = self.exam * self.study, int(state.at)
        step = f"step {at % self.study + 1} of {self.study}"
        if exam:
            step = f"question {min(at - start + 1, self.exam)} of {self.exam}"
        picture = Picture.blank(4 + 2 * self.exam, 46)
        picture.write(0, 1, f" {'EXAM' if exam else 'STUDY'} ", PAPER, GREEN if exam else BLUE)
        picture.write(0, 10, f"cue {int(state.studied[place])}, {step}")
        picture.write(1, 10, self._last(state, described), FAINT)
        picture.write(3, 4, "cue   may be", FAINT)
        for row in range(self.exam if exam else place + 1):
            ink, paper = (INK, SAND) if row == place else (FAINT, PAPER)
            mark = ">" if row == place else " "
            picture.write(4 + 2 * row, 1, f" {mark} {int(state.studied[row]):3} ", ink, paper)
            self._answers(picture, 4 + 2 * row, np.array(state.possible[row]) if described else None)
        if not exam and self.variant == "probe":
            asked = " or ".join(str(answer) for answer in np.flatnonzero(self._reply(state, jnp.int32(ANSWERS))[2]))
            picture.write(4 + 2 * place, 28, f"p asks: {asked}?", BLUE)
        return picture

    def _answers(self, picture: Picture, row: int, possible: np.ndarray | None) -> None:
        """Draw the answers that a cue may have (bool [4]); question marks for None."""
        for answer in range(ANSWERS):
            ink, paper, text = FAINT, PAPER, "?"
            if possible is not None:
                ink, paper, text = (INK, LEAF, str(answer)) if possible[answer] else (FAINT, PAPER, "-")
            picture.write(row, 10 + 4 * answer, f" {text} ", ink, paper)

    def _last(self, state: CodebooksState, described: bool) -> str:
        """Describe the last action and the reply to it."""
        if int(state.tried) == 0:
            return "nothing done yet"
        feedback = ("", " - no", " - yes")[int(state.feedback)] if described else " - ?"
        return f"last step: {self.action_names[int(state.tried) - 1]}{feedback}"
