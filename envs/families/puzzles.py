"""Puzzles: undo a scramble with moves whose effects are shown, by looking ahead.

A task is a list of moves, each a permutation of six places. An instance is a scramble: an arrangement from which
exactly `scramble` moves lead to the solved one, and no fewer, or the farthest there is where none is so far. Every
entity is a move: where it leads from here, and from which arrangement it solves. The episode succeeds when all pieces
are in order; nothing fails but for time.
"""

import math
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.family import Family, Observation, Outcome, Spec, as_shown, outcome
from incentivize.envs.render import FAINT, INK, PAPER, TILES, Picture
from incentivize.envs.tasks import TaskSpace

PLACES = 6
ORDERS = np.array(list(permutations(range(PLACES))), np.uint8)  # the first leaves all as it is, and is no move
UNDO = np.argsort(ORDERS, axis=1).astype(np.uint8)  # the inverse of each
SHIFTS = np.arange(0, 4 * PLACES, 4, dtype=np.uint32)  # of the places in a packed arrangement
SOLVED = np.uint32(0x543210)  # every piece in its place, packed
CANDIDATES = 8  # scrambles of which the farthest is taken: a random one may undo itself
SHALLOW = 2  # up to this scramble small trees are 20 times as quick as a table, beyond it up to 290 times slower
FAR = 99


class PuzzlesState(NamedTuple):
    """One puzzle under way. An arrangement says which piece is in every place."""

    task: jax.Array  # uint16 [moves]: the moves, as ORDERS numbers them from 1
    shown: jax.Array  # uint16 [moves]
    pieces: jax.Array  # uint8 [6]: the arrangement


def _packed(arrangements: Any) -> Any:
    """Arrangements [..., 6] as words, uint32 [...]: four bits a place."""
    return (arrangements.astype(np.uint32) << SHIFTS).sum(-1, dtype=np.uint32)


def _unpacked(words: jax.Array) -> jax.Array:
    """The arrangements that `_packed` made into words, uint8 [..., 6]."""
    return (words[..., None] >> SHIFTS & 7).astype(jnp.uint8)


def _moved(pieces: jax.Array, moves: jax.Array) -> jax.Array:
    """`pieces[moves]` on packed words of any two shapes that broadcast, uint32.

    On words, a move is some shifts for many arrangements at once; on arrays of places it would be a gather of single
    bytes, which makes a reset some times as dear.
    """
    found = jnp.uint32(0)
    for shift in SHIFTS:
        place = moves >> shift & 7
        found = found | (pieces >> 4 * place & 7) << shift
    return jnp.asarray(found)


def _moves(digits: jax.Array) -> jax.Array:
    """From which place each place takes its piece, packed, for every digit of a task: uint32 of their shape."""
    return jnp.array(_packed(ORDERS))[digits.astype(jnp.int32) + 1]


def _undo(digits: jax.Array) -> jax.Array:
    """The moves that undo a task's, packed; also the arrangements from which those solve. Shapes as in `_moves`."""
    return jnp.array(_packed(UNDO))[digits.astype(jnp.int32) + 1]


def moves_of(digits: jax.Array) -> jax.Array:
    """For every move, from which place each place takes its piece, uint8 [moves, 6]."""
    return _unpacked(_moves(digits))


def _tree(pieces: jax.Array, moves: jax.Array, depth: int) -> tuple[jax.Array, np.ndarray]:
    """All arrangements that at most `depth` moves lead to: packed [n], and the number of moves to each [n]."""
    layer, layers = pieces[None], [pieces[None]]
    for _ in range(depth):
        layer = _moved(layer[:, None], moves).reshape(-1)
        layers.append(layer)
    steps = np.repeat(np.arange(depth + 1), [len(layer) for layer in layers])
    return jnp.concatenate(layers), steps


def _meet(ahead: tuple[jax.Array, np.ndarray], back: tuple[jax.Array, np.ndarray]) -> jax.Array:
    """The fewest moves in which two trees meet, int32 []; FAR where they do not."""
    steps = jnp.array(ahead[1][:, None] + back[1][None], jnp.int32)
    return jnp.where(ahead[0][:, None] == back[0][None], steps, FAR).min()


@cache
def _results() -> np.ndarray:
    """What every move makes of every arrangement, uint16 [720, 720]; all three are numbers of ORDERS."""
    words = _packed(ORDERS)
    rising = np.argsort(words)
    return rising[np.searchsorted(words[rising], _packed(ORDERS[:, ORDERS]))].astype(np.uint16)


def _table(digits: jax.Array, depth: int) -> tuple[jax.Array, jax.Array]:
    """What a task's moves make of every arrangement, int32 [720, moves], and how far each is from solved, int32 [720].

    Distances up to `depth` are exact, all others are FAR.
    """
    after = jnp.array(_results())[:, digits.astype(jnp.int32) + 1].astype(jnp.int32)
    steps = jnp.full(len(ORDERS), FAR, jnp.int32).at[0].set(0)
    return after, jax.lax.fori_loop(0, depth, lambda _, steps: jnp.minimum(steps, 1 + steps[after].min(1)), steps)


@dataclass(frozen=True)
class Puzzles(Family):
    """Permutation puzzles with `moves` moves.

    Knobs:
        moves: 5 make 719^5 = 1.9 x 10^14 puzzles (a move that moves nothing is none).
        scramble: the distance of every start from the solved arrangement, where the moves allow it.

    Out of distribution: a deeper `scramble` looks the same to an agent.
    """

    moves: int = 5
    scramble: int = 2

    def __post_init__(self) -> None:
        if not 2 <= self.moves <= 8:
            raise ValueError(f"moves={self.moves}: want 2 to 8")
        if not 1 <= self.scramble <= 5:
            raise ValueError(f"scramble={self.scramble}: want 1 to 5")

    @property
    def tasks(self) -> TaskSpace:
        return TaskSpace((len(ORDERS) - 1,) * self.moves)

    @property
    def instances(self) -> int:
        """A lower bound for 99 in 100 puzzles: of 2,000 the starts were counted by search, for eight pairs of knobs."""
        # Random words of moves lead to so many arrangements that shorter ones do not reach; a third is left off.
        nearer, within = (sum(self.moves**turns for turns in range(self.scramble + more)) for more in (0, 1))
        apart = len(ORDERS) * (math.exp(-nearer / len(ORDERS)) - math.exp(-within / len(ORDERS)))
        words = self.moves - 1 if self.scramble == 1 else 4 * self.moves * (self.moves - 1) // 5
        return max(min(words, int(2 * apart / 3)), 1)

    @property
    def instances_are_exact(self) -> bool:
        return False

    @property
    def horizon(self) -> int:
        return 2 * self.scramble

    @property
    def num_actions(self) -> int:
        return self.moves

    @property
    def spec(self) -> Spec:
        return Spec((PLACES,) * PLACES, (self.moves,) + (PLACES,) * (2 * PLACES), self.moves)

    @property
    def _farthest(self) -> int:
        """The farthest from which an episode can still be won once a move has been made.

        No move need undo another, so that a wasted one may lead as far away as there are arrangements.
        """
        return self.horizon - 1

    def _steps_after(self, state: PuzzlesState) -> jax.Array:
        """Move to the solved arrangement after every move, int32 [moves]; FAR beyond what can still be won."""
        depth, pieces = self._farthest - 1, _packed(state.pieces)
        if self.scramble > SHALLOW:
            after, steps = _table(state.task, depth)
            return steps[after[(jnp.array(_packed(ORDERS)) == pieces).argmax()]]
        moves = _moves(state.task)
        home = _tree(jnp.asarray(SOLVED), _undo(state.task), depth - depth // 2)
        return jax.vmap(lambda after: _meet(_tree(after, moves, depth // 2), home))(_moved(pieces, moves))

    def _scrambled(self, key: jax.Array, task: jax.Array, length: jax.Array | int) -> PuzzlesState:
        """A start `length` moves from solved (at most `scramble`), or as far as there is one. Consumes `key`."""
        start = self._any_start if self.scramble > SHALLOW else self._undone
        return PuzzlesState(task, task, start(key, task, length))

    def _any_start(self, key: jax.Array, task: jax.Array, length: jax.Array | int) -> jax.Array:
        """Any of the arrangements that far, each as likely, uint8 [6]."""
        _, steps = _table(task, self.scramble)
        steps = jnp.where(steps <= length, steps, 0)
        chosen = jnp.where(steps == steps.max(), jax.random.bits(key, steps.shape) | 1, 0).argmax()
        return jnp.array(ORDERS)[chosen]

    def _undone(self, key: jax.Array, task: jax.Array, length: jax.Array | int) -> jax.Array:
        """Of some random scrambles of that many moves the farthest, uint8 [6]."""
        moves, undo, solved = _moves(task), _undo(task), jnp.asarray(SOLVED)
        words = jax.random.randint(key, (CANDIDATES, self.scramble), 0, self.moves)
        pieces = jnp.broadcast_to(solved, CANDIDATES)
        for turn in range(self.scramble):
            pieces = jnp.where(turn < length, _moved(pieces, undo[words[:, turn]]), pieces)
        # The last resort is a single move: it always moves something.
        starts = jnp.concatenate([pieces, undo[:1]])
        home = _tree(solved, undo, self.scramble - self.scramble // 2)
        distances = jax.vmap(lambda start: _meet(_tree(start, moves, self.scramble // 2), home))(starts)
        return _unpacked(starts[jnp.argmax(distances)])

    def init(self, key: jax.Array, task: jax.Array) -> PuzzlesState:
        task = jnp.asarray(task)  # it may be of NumPy
        return self._scrambled(key, task, self.scramble)

    def observe(self, state: PuzzlesState) -> Observation:
        number = jnp.arange(self.moves, dtype=jnp.uint8)[:, None]
        after = _moved(_packed(state.pieces), _moves(state.shown))
        entities = jnp.concatenate([number, _unpacked(after), _unpacked(_undo(state.shown))], axis=1)
        return Observation(state.pieces, entities, jnp.ones(self.moves, bool), jnp.ones(self.moves, bool))

    def step(self, state: PuzzlesState, action: jax.Array, key: jax.Array) -> tuple[PuzzlesState, Outcome]:
        pieces = _moved(_packed(state.pieces), _moves(state.task[action]))
        return state._replace(pieces=_unpacked(pieces)), outcome(pieces == SOLVED)

    def expert(self, state: PuzzlesState, kind: Literal["informed", "fair"] = "informed") -> jax.Array:
        """The moves that lead closest; uniform where the episode can no longer be won."""
        steps = self._steps_after(as_shown(state) if kind == "fair" else state)
        best = steps == steps.min()
        return best / best.sum(dtype=jnp.float32)

    def distance(self, state: PuzzlesState) -> jax.Array:
        solved = (state.pieces == jnp.arange(PLACES)).all()
        return jnp.where(solved, 0, 1 + self._steps_after(state).min())

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> PuzzlesState:
        key_steps, key_scramble = jax.random.split(key)
        length = jax.random.randint(key_steps, (), 1, jnp.minimum(steps, self.scramble) + 1)
        return self._scrambled(key_scramble, task, length)

    def blind(self, observation: Observation) -> Observation:
        return observation._replace(entities=observation.entities.at[:, 1:].set(0))

    def behaviour(self, task: jax.Array) -> jax.Array:
        """The moves in order of their number: puzzles with the same moves in another order are one."""
        return jnp.sort(task)

    def describe(self, task: Any) -> str:
        def cycles(move: np.ndarray) -> str:
            left, found = set(range(PLACES)), []
            while left:
                cycle = [left.pop()]
                while (after := int(move[cycle[-1]])) != cycle[0]:
                    cycle.append(after)
                    left.remove(after)
                found += ["".join(str(place + 1) for place in cycle)] if len(cycle) > 1 else []
            return "(" + ")(".join(found) + ")"

        return "undo a scramble with the moves " + ", ".join(
            cycles(move) for move in np.array(moves_of(jnp.array(task)))
        )

    @property
    def action_names(self) -> tuple[str, ...]:
        return tuple(f"move {number}" for number in range(1, self.moves + 1))

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple("12345678"[: self.moves])

    @property
    def rules(self) -> str:
        return (
            f"Bring the pieces into the order ABCDEF, with the moves 1 to {self.moves} (keys 1 to {self.moves}).\n"
            "A move always shuffles the six places in the same way. 'leads to' is what it makes of the pieces as\n"
            "they lie now; 'solves' is the one arrangement from which it makes ABCDEF.\n"
            "So look for a move that leads to what another move (or the same) solves.\n"
            f"{self.scramble} moves are enough from the start. After {self.horizon} the time is up; nothing else loses."
        )

    def render(self, state: PuzzlesState, described: bool = True) -> Picture:
        picture, left, right = Picture.blank(4 + 2 * self.moves, 52), 9, 9 + 3 * PLACES + 6

        def tiles(row: int, column: int, pieces: Any) -> None:
            for place, piece in enumerate(np.array(pieces).tolist()):
                text, ink, paper = ("ABCDEF"[piece], INK, TILES[piece]) if described or row < 3 else ("?", FAINT, PAPER)
                picture.write(row, column + 3 * place, f" {text} ", ink, paper)

        picture.write(1, 1, "now")
        tiles(1, left, state.pieces)
        picture.write(1, right - 5, "want")
        tiles(1, right, range(PLACES))
        picture.write(3, left, "leads to", FAINT)
        picture.write(3, right, "solves", FAINT)
        moves, solves = moves_of(state.shown), _unpacked(_undo(state.shown))
        for number in range(self.moves):
            row = 4 + 2 * number
            picture.write(row, 1, f"move {number + 1}")
            tiles(row, left, state.pieces[moves[number]])
            tiles(row, right, solves[number])
        return picture
