"""Sequences: next-token prediction under a hidden recurrence, whose rule the agent has to find in examples.

A task is a map from any `order` tokens to the next token. One token is shown a step, and the action predicts the next.
First come a few example runs, each from a fresh beginning, in which a prediction changes nothing. Then the exam begins
with a context of one of the runs, and the next few tokens have to be predicted. The episode succeeds if all are right,
and fails at the first wrong one. So only the last tokens are rewarded, while the expert labels every token.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.arguments import check_integer
from incentivize.envs.families.fixed_length import FixedLength, draw_steps_left
from incentivize.envs.family import Observation, Outcome, Spec, outcome
from incentivize.envs.render import BLUE, FAINT, GREEN, INK, LEAF, PAPER, SAND, Picture
from incentivize.envs.tasks import TaskSpace

PREFIX, EXAM = 0, 1
MASKED = 0  # the token that replaces hidden ones


class SequencesState(NamedTuple):
    """One stream of tokens under way. A context is `order` tokens written as one number, the latest digit last."""

    task: jax.Array  # uint8 [contexts]: the token after every context in the exam
    shown: jax.Array  # uint8 [contexts]: the token after every context in the prefix
    openings: jax.Array  # uint8 [runs]: the contexts with which the example runs begin
    recent: jax.Array  # uint8 [asked + 1]: the last contexts, the present one last
    known: jax.Array  # bool [contexts]: whether the prefix has shown the token after each context
    exam_place: jax.Array  # uint8 []: the drawn number of the place in the prefix where the exam begins, if that is fit
    exam: jax.Array  # uint8 []: the context with which the exam begins; during the prefix, the best one so far
    fit: jax.Array  # bool []: whether an exam from `exam` asks no context twice
    at: jax.Array  # uint8 []: the step


@dataclass(frozen=True)
class Sequences(FixedLength):
    """Recurrences over `tokens` tokens, each a function of the `order` tokens before it.

    Over a prime number of tokens every such function is a polynomial, and its values are as good as its coefficients.

    Knobs:
        tokens: 5, with an order of 2, make 5^25 = 3.0 x 10^17 rules.
        order: the number of tokens that decide on the next one.
        runs: the number of example runs in the prefix.
        length: the number of tokens of a run, including the `order` tokens that begin it.
        asked: the number of tokens to be predicted in the exam.
        room: the tokens that observations have room for, to test agents on other moduli; 0 for no more than needed.

    Out of distribution: a longer memory (`order`) or more `asked`, with the same observations; other moduli
    (`tokens`), for an agent trained with `room` for them.

    Raises:
        ValueError: if a knob is out of range.
    """

    tokens: int = 5
    order: int = 2
    runs: int = 3
    length: int = 8
    asked: int = 3
    room: int = 0

    def __post_init__(self) -> None:
        check_integer("tokens", self.tokens, 2, 16)
        check_integer("order", self.order, 1, 3)
        if not 3 <= self.contexts <= 255:
            raise ValueError(f"order = {self.order}, tokens = {self.tokens}: expected 3 <= tokens^order <= 255.")
        if not 1 <= self.asked < self.contexts:
            raise ValueError(f"asked = {self.asked}: expected 1 <= asked < tokens^order = {self.contexts}.")
        if self.asked > self.length - self.order:
            raise ValueError(
                f"asked = {self.asked}, length = {self.length}: expected asked <= length - order (= {self.order})."
            )
        if self.runs < 1 or self.horizon > 254:
            raise ValueError(
                f"runs = {self.runs}, length = {self.length}: expected at least one run, and at most 254 steps in all."
            )
        if self.room and not self.tokens <= self.room <= 16:
            raise ValueError(f"room = {self.room}: expected tokens = {self.tokens} to 16, or 0 for the least.")

    @property
    def reveals_rule(self) -> bool:
        return False

    @property
    def contexts(self) -> int:
        """The number of contexts, which is the number of digits of a task."""
        return self.tokens**self.order

    @property
    def tasks(self) -> TaskSpace:
        return TaskSpace((self.tokens,) * self.contexts)

    @property
    def instances(self) -> int:
        return self.contexts**self.runs  # counts the openings; the place of the exam multiplies this further

    @property
    def instances_are_exact(self) -> bool:
        return False

    @property
    def horizon(self) -> int:
        return self.runs * self.length + self.order + self.asked - 1

    @property
    def num_actions(self) -> int:
        return max(self.tokens, self.room)

    @property
    def spec(self) -> Spec:
        return Spec((2, self.num_actions, 2), entity=(), num_entities=0)

    @property
    def _begins(self) -> int:
        """The number of places of a run at which an exam can begin, as enough tokens follow."""
        return self.length - self.order - self.asked + 1

    def init(self, key: jax.Array, task: jax.Array) -> SequencesState:
        task = jnp.asarray(task)  # it may be of NumPy
        words = jax.random.bits(key, (self.runs + 1,))
        openings = (words[1:] % self.contexts).astype(jnp.uint8)
        recent = jnp.zeros(self.asked + 1, jnp.uint8).at[-1].set(openings[0] // self.tokens ** (self.order - 1))
        return SequencesState(
            task=task,
            shown=task,
            openings=openings,
            recent=recent,
            known=jnp.zeros(self.contexts, bool),
            exam_place=(words[0] % (self.runs * self._begins)).astype(jnp.uint8),
            exam=openings[0],
            fit=jnp.bool_(False),
            at=jnp.uint8(0),
        )

    def _position(self, at: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the run of the `at`-th token (int32 []) and the token's number in the run, int32 [] each.

        The exam is the run after the examples.
        """
        run = jnp.minimum(at // self.length, self.runs)
        return run, at - run * self.length

    def _next(self, state: SequencesState) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return the run of the next token, the token's number in the run, and the token, int32 [] each."""
        run, number = self._position(state.at.astype(jnp.int32) + 1)
        context, exam = state.recent[-1], run == self.runs
        opening = jnp.where(exam, state.exam, state.openings[run]).astype(jnp.int32)  # the gather stays within its ends
        weights = jnp.array([self.tokens**power for power in reversed(range(self.order))])
        begins = opening // weights[number] % self.tokens
        follows = jnp.where(exam, state.task[context], state.shown[context]).astype(jnp.int32)
        return run, number, jnp.where(number < self.order, begins, follows)

    def observe(self, state: SequencesState) -> Observation:
        run, number = self._position(state.at.astype(jnp.int32))
        context = jnp.stack([run == self.runs, state.recent[-1] % self.tokens, number < self.order]).astype(jnp.uint8)
        legal = jnp.arange(self.num_actions) < self.tokens
        return Observation(context, jnp.zeros((0, 0), jnp.uint8), jnp.zeros(0, bool), legal)

    def _advance(self, state: SequencesState) -> SequencesState:
        """Show the next token.

        In the prefix this makes the token after a context known, and completes the place of `asked` tokens ago as a
        place for the exam. A place is fit if the contexts since are all different: in a short loop questions answer
        each other, and repeating one token would win one exam in nine without a look at the prefix. The exam gets the
        last fit place up to `exam_place`, or else the first fit one; if none is fit, the beginning of the first run.
        """
        run, number, token = self._next(state)
        context = state.recent[-1].astype(jnp.int32)
        after = ((context * self.tokens + token) % self.contexts).astype(jnp.uint8)
        recent = jnp.concatenate([state.recent[1:], after[None]])
        revealed = (run < self.runs) & (number >= self.order)
        offset = number - self.order - self.asked + 1
        fit = revealed & (offset >= 0) & ~jnp.triu(recent[:, None] == recent, 1).any()
        better = fit & ((run * self._begins + offset <= state.exam_place) | ~state.fit)
        return state._replace(
            recent=recent,
            known=state.known | (revealed & (jnp.arange(self.contexts) == context)),
            exam=jnp.where(better, recent[0], state.exam),
            fit=state.fit | fit,
            at=state.at + jnp.uint8(1),
        )

    def step(self, state: SequencesState, action: jax.Array, key: jax.Array) -> tuple[SequencesState, Outcome]:
        run, number, token = self._next(state)
        wrong = (run == self.runs) & (number >= self.order) & (action != token)
        after = self._advance(state)
        return after, outcome((after.at == self.horizon) & ~wrong, wrong)

    def expert(self, state: SequencesState, kind: Literal["informed", "fair"] = "informed") -> jax.Array:
        """Return action probabilities, float32 [A]: of the next token, or uniform over tokens before a random one.

        The fair expert predicts the next token if the prefix has shown it, and is uniform otherwise.
        """
        _, number, token = self._next(state)
        knows, context = number >= self.order, state.recent[-1]
        if kind == "fair":
            knows, token = knows & state.known[context], state.shown[context]
        anything = (jnp.arange(self.num_actions) < self.tokens) / self.tokens
        return jnp.where(knows, jax.nn.one_hot(token, self.num_actions), anything)

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> SequencesState:
        """Return a state in the exam, with all answers so far right."""
        key_init, key_steps = jax.random.split(key)
        left = draw_steps_left(key_steps, steps, self.asked)
        state = self.init(key_init, task)
        return jax.lax.fori_loop(0, self.horizon - left, lambda _, state: self._advance(state), state)

    def blind(self, observation: Observation) -> Observation:
        """Mask the tokens that follow a context in the prefix. The random beginnings of runs and the exam stay."""
        exam, token, begins = observation.context
        left = (exam == EXAM) | (begins == 1)
        return observation._replace(context=observation.context.at[1].set(jnp.where(left, token, MASKED)))

    def describe(self, task: Any) -> str:
        values = " ".join(f"{int(token):x}" for token in np.array(task))
        return f"after {', '.join(map(self._written, range(3)))}, ... comes {values}"

    def _written(self, context: int) -> str:
        """Write a context, one character a token."""
        return "".join(f"{context // self.tokens**power % self.tokens:x}" for power in reversed(range(self.order)))

    @property
    def action_names(self) -> tuple[str, ...]:
        return tuple(f"say {token:x}" for token in range(self.num_actions))

    @property
    def rules(self) -> str:
        context, openings = f"the {self.order} before it", f"the first {self.order} of each (coloured) are"
        if self.order == 1:
            context, openings = "the one before it", "the first of each (coloured) is"
        return (
            f"A hidden rule says which of the tokens 0 to {self.tokens - 1:x} comes next; it goes by {context} alone.\n"
            f"One token is shown a step, {self.horizon} in all: say every time which will be the next.\n"
            f"First come {self.runs} example runs of {self.length} tokens; {openings} drawn at random.\n"
            "What you say there changes nothing.\n"
            f"Then the exam: it begins like a stretch of an example, and asks for {self.asked} tokens after that.\n"
            "All right wins; the first wrong one loses."
        )

    def render(self, state: SequencesState, described: bool = True) -> Picture:
        run, number = (int(value) for value in self._position(state.at.astype(jnp.int32)))
        exam = run == self.runs
        picture = Picture.blank(5 + self.runs, max(40, 10 + 3 * self.length))
        picture.write(0, 1, f" {'EXAM' if exam else 'EXAMPLES'} ", PAPER, GREEN if exam else BLUE)
        step = f"token {number + 1} of {self.length}"
        if exam:
            question = min(number - self.order + 2, self.asked)
            step = f"question {question} of {self.asked}" if question > 0 else "it begins"
        picture.write(0, 13, step)
        for at, token in enumerate(self._tokens_so_far(state)):
            row, column = (int(value) for value in self._position(jnp.int32(at)))
            text = f"{token:x}" if described or row == self.runs or column < self.order else "?"
            paper = LEAF if (row, column) == (run, number) else SAND if column < self.order else PAPER
            picture.write(2 + row + (row == self.runs), 10 + 3 * column, f" {text} ", INK, paper)
        for row in range(run + 1):
            name = "exam" if row == self.runs else f"run {row + 1}"
            picture.write(2 + row + (row == self.runs), 1, name, INK if row == run else FAINT)
        return picture

    def _tokens_so_far(self, state: SequencesState) -> list[int]:
        """Return the tokens that the agent has seen."""
        at, tokens = int(state.at), []
        for context in map(int, (*state.openings, state.exam)):
            tokens += [int(token, 16) for token in self._written(context)]
            for _ in range(self.length - self.order):
                tokens.append(int(state.shown[context]))
                context = (context * self.tokens + tokens[-1]) % self.contexts
        in_exam = max(at - self.runs * self.length - self.order + 1, 1)  # the exam's tokens obey the task instead
        tokens[at - in_exam + 1 : at + 1] = [int(context) % self.tokens for context in state.recent[-in_exam:]]
        return tokens[: at + 1]
