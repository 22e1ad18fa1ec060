"""Sequences: find the rule in examples of it and continue another: next-token prediction under a hidden recurrence.

A task says which token follows any `order` tokens. One token is shown a step, and the action is a prediction of the
next. First come a few example runs, each from a fresh beginning; there a prediction changes nothing. Then an exam
begins where one of them has been, with the next few tokens to be predicted: the episode succeeds if all are right and
fails at the first that is wrong. So the incentive is in the last tokens alone, and labels are at every token.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.family import Family, Observation, Outcome, Spec, outcome
from incentivize.envs.render import BLUE, FAINT, GREEN, INK, LEAF, PAPER, SAND, Picture
from incentivize.envs.tasks import TaskSpace

PREFIX, EXAM = 0, 1
MASKED = 0  # the token in place of those that are not to be seen


class SequencesState(NamedTuple):
    """One stream of tokens under way. A context is `order` tokens written as one number, the latest digit last."""

    task: jax.Array  # uint8 [contexts]: the token after every context, as the exam obeys it
    shown: jax.Array  # uint8 [contexts]: the same, as the prefix obeys it
    openings: jax.Array  # uint8 [runs]: the contexts with which the example runs begin
    recent: jax.Array  # uint8 [asked + 1]: the contexts so far, the present one last
    known: jax.Array  # bool [contexts]: after which of them the prefix has shown what follows
    wanted: jax.Array  # uint8 []: the number of the place in the prefix where the exam is to begin, if it is fit for it
    exam: jax.Array  # uint8 []: the context with which the exam begins; the best so far, while the prefix lasts
    fit: jax.Array  # bool []: whether nothing is asked twice from there
    at: jax.Array  # uint8 []: the step


@dataclass(frozen=True)
class Sequences(Family):
    """Recurrences over `tokens` tokens, each a function of the `order` before it.

    Over a prime number of tokens every such function is a polynomial, and the values are as good as its coefficients.

    Knobs:
        tokens: 5, with an order of 2, make 5^25 = 3.0 x 10^17 rules.
        order: how many tokens decide on the next.
        runs: how many example runs the prefix has.
        length: tokens in each, with the `order` that begin it.
        asked: how many tokens are to be predicted in the exam.
        room: for how many tokens an agent has room, at least `tokens`: to test agents on other moduli.

    Out of distribution: a longer memory (`order`) or more `asked` looks the same to an agent; so do other moduli
        (`tokens`), for an agent trained with `room` for them.
    """

    tokens: int = 5
    order: int = 2
    runs: int = 3
    length: int = 8
    asked: int = 3
    room: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.tokens <= 16:
            raise ValueError(f"tokens={self.tokens}: want 2 to 16")
        if not 1 <= self.order <= 3:
            raise ValueError(f"order={self.order}: want 1 to 3")
        if not 3 <= self.contexts <= 255:
            raise ValueError(f"order={self.order}, tokens={self.tokens}: want 3 <= tokens^order <= 255")
        if not 1 <= self.asked < self.contexts:
            raise ValueError(f"asked={self.asked}: want 1 <= asked < tokens^order = {self.contexts}")
        if self.asked > self.length - self.order:
            raise ValueError(f"asked={self.asked}, length={self.length}: want asked <= length - order (= {self.order})")
        if self.runs < 1 or self.horizon > 254:
            raise ValueError(f"runs={self.runs}, length={self.length}: want at least one run, and at most 254 steps")
        if self.room and not self.tokens <= self.room <= 16:
            raise ValueError(f"room={self.room}: want 0 or tokens={self.tokens} to 16")

    @property
    def reveals_rule(self) -> bool:
        return False

    @property
    def contexts(self) -> int:
        """How many contexts there are: digits of a task."""
        return self.tokens**self.order

    @property
    def tasks(self) -> TaskSpace:
        return TaskSpace((self.tokens,) * self.contexts)

    @property
    def instances(self) -> int:
        return self.contexts**self.runs  # the openings; where the exam begins comes on top

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
        """At how many places of a run an exam can begin, as enough tokens follow."""
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
            wanted=(words[0] % (self.runs * self._begins)).astype(jnp.uint8),
            exam=openings[0],
            fit=jnp.bool_(False),
            at=jnp.uint8(0),
        )

    def _position(self, at: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The run that a token belongs to and its number there, int32 []; the exam is the run after the examples."""
        run = jnp.minimum(at // self.length, self.runs)
        return run, at - run * self.length

    def _next(self, state: SequencesState) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The run of the next token, its number there, and the token, int32 []."""
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
        """The next token is shown.

        In the prefix that tells what follows a context, and that an exam could have begun `asked` tokens ago. It is fit
        if the contexts since are all different: where a run has fallen into a short loop questions answer each other,
        and who says the same token again wins one exam in nine without looking at the prefix. Of the fit places the
        exam gets the last up to `wanted`, or the first; where none is fit, the beginning of the first run.
        """
        run, number, token = self._next(state)
        context = state.recent[-1].astype(jnp.int32)
        after = ((context * self.tokens + token) % self.contexts).astype(jnp.uint8)
        recent = jnp.concatenate([state.recent[1:], after[None]])
        told = (run < self.runs) & (number >= self.order)
        offset = number - self.order - self.asked + 1
        fit = told & (offset >= 0) & ~jnp.triu(recent[:, None] == recent, 1).any()
        better = fit & ((run * self._begins + offset <= state.wanted) | ~state.fit)
        return state._replace(
            recent=recent,
            known=state.known | (told & (jnp.arange(self.contexts) == context)),
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
        """The next token (informed), or what the prefix has shown to follow (fair); any token where a run begins."""
        _, number, token = self._next(state)
        knows, context = number >= self.order, state.recent[-1]
        if kind == "fair":
            knows, token = knows & state.known[context], state.shown[context]
        anything = (jnp.arange(self.num_actions) < self.tokens) / self.tokens
        return jnp.where(knows, jax.nn.one_hot(token, self.num_actions), anything)

    def distance(self, state: SequencesState) -> jax.Array:
        return self.horizon - state.at.astype(jnp.int32)

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> SequencesState:
        """In the exam, all answers so far right."""
        key_init, key_steps = jax.random.split(key)
        left = jax.random.randint(key_steps, (), 1, jnp.minimum(steps, self.asked) + 1)
        state = self.init(key_init, task)
        return jax.lax.fori_loop(0, self.horizon - left, lambda _, state: self._advance(state), state)

    def blind(self, observation: Observation) -> Observation:
        """Without what followed in the prefix. How runs begin stays, as chance has it, and so does the exam."""
        exam, token, begins = observation.context
        left = (exam == EXAM) | (begins == 1)
        return observation._replace(context=observation.context.at[1].set(jnp.where(left, token, MASKED)))

    def describe(self, task: Any) -> str:
        values = " ".join(f"{int(token):x}" for token in np.array(task))
        return f"after {', '.join(map(self._written, range(3)))}, ... comes {values}"

    def _written(self, context: int) -> str:
        """A context, one character a token."""
        return "".join(f"{context // self.tokens**power % self.tokens:x}" for power in reversed(range(self.order)))

    @property
    def action_names(self) -> tuple[str, ...]:
        return tuple(f"say {token:x}" for token in range(self.num_actions))

    @property
    def rules(self) -> str:
        by, each = f"the {self.order} before it", f"the first {self.order} of each (coloured) are"
        if self.order == 1:
            by, each = "the one before it", "the first of each (coloured) is"
        return (
            f"A hidden rule says which of the tokens 0 to {self.tokens - 1:x} comes next; it goes by {by} alone.\n"
            f"One token is shown a step, {self.horizon} in all: say every time which will be the next.\n"
            f"First come {self.runs} example runs of {self.length} tokens; {each} drawn at random.\n"
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
        for at, token in enumerate(self._told(state)):
            row, column = (int(value) for value in self._position(jnp.int32(at)))
            text = f"{token:x}" if described or row == self.runs or column < self.order else "?"
            paper = LEAF if (row, column) == (run, number) else SAND if column < self.order else PAPER
            picture.write(2 + row + (row == self.runs), 10 + 3 * column, f" {text} ", INK, paper)
        for row in range(run + 1):
            name = "exam" if row == self.runs else f"run {row + 1}"
            picture.write(2 + row + (row == self.runs), 1, name, INK if row == run else FAINT)
        return picture

    def _told(self, state: SequencesState) -> list[int]:
        """The tokens that the agent has seen."""
        at, told = int(state.at), []
        for context in map(int, (*state.openings, state.exam)):
            told += [int(token, 16) for token in self._written(context)]
            for _ in range(self.length - self.order):
                told.append(int(state.shown[context]))
                context = (context * self.tokens + told[-1]) % self.contexts
        answered = max(at - self.runs * self.length - self.order + 1, 1)  # those of the exam, which obeys the task
        told[at - answered + 1 : at + 1] = [int(context) % self.tokens for context in state.recent[-answered:]]
        return told[: at + 1]
