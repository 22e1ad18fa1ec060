"""Programs: carry out instructions that were never seen together, on three small registers.

A task is a program: instructions that each name an operation, the register it writes and the register it reads. An
instance is the registers' first contents. At every step the agent answers what the next instruction writes; the answer
is written, right or wrong. The episode succeeds if the registers end as the program leaves them, and fails as soon as
they no longer can. With `silent` nothing is written: the agent answers only what each register holds in the end.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.arguments import check_integer
from incentivize.envs.families.fixed_length import FixedLength, draw_steps_left
from incentivize.envs.family import Observation, Outcome, Spec, outcome
from incentivize.envs.render import BLUE, FAINT, INK, PAPER, SAND, Picture
from incentivize.envs.tasks import TaskSpace

REGISTERS = 3
NAMES = "xyz"
OPERATIONS = ("{a}+1", "-{a}", "{b}", "{a}+{b}", "{a}-{b}", "{a}*{b}", "max({a},{b})", "{b}-{a}+1")


def results(modulus: int) -> np.ndarray:
    """Tabulate every operation for every a (the register it writes) and b (the one it reads): uint8 [8, m, m]."""
    a, b = np.meshgrid(np.arange(modulus), np.arange(modulus), indexing="ij")
    table = np.stack([a + 1, -a, b, a + b, a - b, a * b, np.maximum(a, b), b - a + 1])
    return (table % modulus).astype(np.uint8)


class ProgramsState(NamedTuple):
    """One program under way."""

    task: jax.Array  # uint8 [3 * length]: operation, register written, register read, for every instruction
    shown: jax.Array  # uint8 [3 * length]: the program on the page, digits as in `task`
    first: jax.Array  # uint8 [3]: the registers' first contents
    registers: jax.Array  # uint8 [3]: the registers as the agent has written them
    answers: jax.Array  # uint8 [horizon]: the right answer at every step
    at: jax.Array  # uint8 []: the step


@dataclass(frozen=True)
class Programs(FixedLength):
    """Straight-line programs of `length` instructions on three registers, modulo `modulus`.

    Knobs:
        length: instructions per program; 7 make 72^7 = 1.0 x 10^13 programs.
        modulus: registers hold 0 to modulus - 1.
        room: the instructions that the page has room for, to test agents on longer programs; 0 for no more than needed.
        silent: whether only the registers' last contents are asked for, one after the other.

    Out of distribution: longer programs, for an agent trained with `room` for them.

    Raises:
        ValueError: if a knob is out of range.
    """

    length: int = 7
    modulus: int = 3
    room: int = 0
    silent: bool = False

    def __post_init__(self) -> None:
        check_integer("length", self.length, 1, 32)
        check_integer("modulus", self.modulus, 2, 16)
        if self.room and not self.length <= self.room <= 32:
            raise ValueError(f"room = {self.room}: expected length = {self.length} to 32, or 0 for the least.")

    @property
    def tasks(self) -> TaskSpace:
        return TaskSpace((len(OPERATIONS), REGISTERS, REGISTERS) * self.length)

    @property
    def instances(self) -> int:
        return self.modulus**REGISTERS

    @property
    def horizon(self) -> int:
        return REGISTERS if self.silent else self.length

    @property
    def num_actions(self) -> int:
        return self.modulus

    @property
    def spec(self) -> Spec:
        room = self.room or self.length
        page = (1 + len(OPERATIONS), REGISTERS, REGISTERS) * room
        return Spec(
            (1 + (REGISTERS if self.silent else room), *(self.modulus,) * (2 * REGISTERS), *page),
            entity=(),
            num_entities=0,
        )

    def _run(self, task: jax.Array, first: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Run a program (digits [3 * length]) from given registers (uint8 [3]).

        Returns:
            The values that the instructions write, uint8 [length]; the registers in the end, uint8 [3].
        """
        table = jnp.array(results(self.modulus))

        def execute(registers, instruction):
            operation, target, source = instruction
            written = table[operation, registers[target], registers[source]]
            return jnp.where(jnp.arange(REGISTERS) == target, written, registers), written

        last, written = jax.lax.scan(execute, first, task.reshape(self.length, 3))
        return written, last

    def _answers(self, task: jax.Array, first: jax.Array) -> jax.Array:
        """Return the right answers to a program that begins with given registers (uint8 [3]), uint8 [horizon]."""
        written, last = self._run(task, first)
        return last if self.silent else written

    def init(self, key: jax.Array, task: jax.Array) -> ProgramsState:
        task = jnp.asarray(task)  # it may be of NumPy
        first = jax.random.randint(key, (REGISTERS,), 0, self.modulus, jnp.uint8)
        return ProgramsState(task, task, first, first, self._answers(task, first), jnp.uint8(0))

    def _targets(self, state: ProgramsState) -> jax.Array:
        """Return the register that each step asks about, uint8 [horizon]."""
        return jnp.arange(REGISTERS, dtype=jnp.uint8) if self.silent else state.task.reshape(self.length, 3)[:, 1]

    def observe(self, state: ProgramsState) -> Observation:
        page = state.shown.reshape(self.length, 3) + jnp.array([1, 0, 0], jnp.uint8)  # operation 0: no instruction
        if not self.silent:  # turned so that the instruction to carry out comes first
            page = page[(jnp.arange(self.length) + state.at) % self.length]
        page = jnp.pad(page, ((0, (self.room or self.length) - self.length), (0, 0)))
        left = self.horizon - state.at
        context = jnp.concatenate([left[None].astype(jnp.uint8), state.first, state.registers, page.reshape(-1)])
        return Observation(context, jnp.zeros((0, 0), jnp.uint8), jnp.zeros(0, bool), jnp.ones(self.num_actions, bool))

    def step(self, state: ProgramsState, action: jax.Array, key: jax.Array) -> tuple[ProgramsState, Outcome]:
        steps, targets = jnp.arange(self.horizon), self._targets(state)
        target = targets[state.at]
        written = (jnp.arange(REGISTERS) == target) & (not self.silent)
        registers = jnp.where(written, action.astype(jnp.uint8), state.registers)
        overwritten = ((steps > state.at) & (targets == target)).any()
        failed = (action != state.answers[state.at]) & ~overwritten
        after = state._replace(registers=registers, at=state.at + jnp.uint8(1))
        return after, outcome((after.at == self.horizon) & ~failed, failed)

    def expert(self, state: ProgramsState, kind: Literal["informed", "fair"] = "informed") -> jax.Array:
        """Return the right answer, one-hot, even if a later instruction overwrites it and any answer would do."""
        answers = self._answers(state.shown, state.first) if kind == "fair" else state.answers
        return jax.nn.one_hot(answers[jnp.minimum(state.at, self.horizon - 1)], self.num_actions)

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> ProgramsState:
        key_init, key_steps = jax.random.split(key)
        state = self.init(key_init, task)
        left = draw_steps_left(key_steps, steps, self.horizon)
        at = (self.horizon - left).astype(jnp.uint8)
        done = jnp.where(jnp.arange(self.horizon) < at, self._targets(state), REGISTERS)

        def write(registers, target_and_value):
            target, value = target_and_value
            return jnp.where(jnp.arange(REGISTERS) == target, value, registers), None

        registers, _ = jax.lax.scan(write, state.registers, (done, state.answers))
        return state._replace(at=at, registers=state.first if self.silent else registers)

    def blind(self, observation: Observation) -> Observation:
        return observation._replace(context=observation.context.at[1 + 2 * REGISTERS :].set(0))

    def scripted(self, observation: Observation) -> jax.Array:
        """Return a uniform policy, and one for every answer that always gives it."""
        return jnp.concatenate([super().scripted(observation), jnp.eye(self.num_actions)])

    def behaviour(self, task: jax.Array) -> jax.Array:
        """Return the last registers for all first registers, uint8 [modulus^3, 3]: many programs compute one function.

        Such programs still ask for different answers step by step; if `silent`, they are the same task.
        """
        starts = jnp.stack(jnp.meshgrid(*[jnp.arange(self.modulus, dtype=jnp.uint8)] * REGISTERS), -1)
        return jax.vmap(lambda first: self._run(task, first)[1])(starts.reshape(-1, REGISTERS))

    def describe(self, task: Any) -> str:
        instructions = []
        for operation, target, source in np.array(task).reshape(-1, 3):
            written = OPERATIONS[operation].format(a=NAMES[target], b=NAMES[source])
            instructions.append(f"{NAMES[target]} = {written}")
        return "; ".join(instructions)

    @property
    def action_names(self) -> tuple[str, ...]:
        return tuple(f"answer {number}" for number in range(self.modulus))

    @property
    def rules(self) -> str:
        modulus, keys = self.modulus, f"{self.keys[0]} to {self.keys[-1]}"
        common = (
            f"Carry out the program. All is modulo {modulus}: {modulus} is 0, and -1 is {modulus - 1}. Keys: {keys}."
        )
        if self.silent:
            return (
                f"{common}\nThe registers stay as they are at first. Work out in your head what they hold in the end,\n"
                "and say it of x, then of y, then of z. A wrong answer loses; three right ones win."
            )
        return (
            f"{common}\nAt every line, say what it writes: that is put into the register left of its '='.\n"
            "A wrong answer loses at once, unless a later line overwrites that register. Then go on as if it had\n"
            f"been right: later answers are those of the true program. After {self.length} lines you have won."
        )

    def render(self, state: ProgramsState, described: bool = True) -> Picture:
        at, lines = int(state.at), self.describe(state.shown).split("; ") if described else ["?"] * self.length
        picture = Picture.blank(max(self.length, REGISTERS) + 4, 56)
        picture.write(0, 3, f"program, modulo {self.modulus}", FAINT)
        for row, line in enumerate(lines):
            is_next, is_past = row == at and not self.silent, row < at and not self.silent
            text = f" {'>' if is_next else ' '} {row + 1:2}  {line:14}"
            picture.write(row + 2, 0, text, FAINT if is_past else BLUE if is_next else INK, SAND if is_next else PAPER)
        picture.write(0, 28, "register   at first     now", FAINT)
        for place, (name, first, now) in enumerate(zip(NAMES, state.first, state.registers, strict=True)):
            picture.write(place + 2, 28, f"{name:^8}   {int(first):^8}   {int(now):^5}")
        if at < self.horizon:
            picture.write(picture.characters.shape[0] - 1, 3, self._question(state, described), BLUE)
        return picture

    def _question(self, state: ProgramsState, described: bool) -> str:
        """Return the question of the step, in words."""
        at = int(state.at)
        target = NAMES[int(self._targets(state._replace(task=state.shown))[at])]
        if self.silent:
            return f"what does {target} hold in the end?"
        return f"what does line {at + 1} write" + (f" into {target}?" if described else "?")
