"""Puzzles: undo a scramble with moves whose effects are shown, by looking ahead.

A task is a list of moves, each a permutation of six places. An instance is a scramble: an arrangement exactly
`scramble` moves from the solved one, or as far as arrangements go if none is so far. Every entity is a move: the
arrangement that it leads to now, and the arrangement that it solves. The episode succeeds when all pieces are in order;
it can only fail by running out of time.
"""

import math
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.arguments import check_integer
from incentivize.envs.families.fixed_length import draw_steps_left
from incentivize.envs.family import Family, Observation, Outcome, Spec, as_shown, outcome
from incentivize.envs.render import FAINT, INK, PAPER, TILES, Picture
from incentivize.envs.tasks import TaskSpace

PLACES = 6
ORDERS = np.array(list(permutations(range(PLACES))), np.uint8)  # the first is the identity, which is no move
UNDO = np.argsort(ORDERS, axis=1).astype(np.uint8)  # the inverse of every order
SHIFTS = np.arange(0, 4 * PLACES, 4, dtype=np.uint32)  # bit positions of the places in a packed arrangement
SOLVED = np.uint32(0x543210)  # every piece in its place, packed
CANDIDATES = 8  # random scrambles, of which the farthest is taken: a single one may undo itself
SHALLOW = 2  # up to this scramble, small trees are 20 times as quick as a table; beyond it up to 290 times slower
FAR = 99  # a distance beyond all that are computed


class PuzzlesState(NamedTuple):
    """One puzzle under way. An arrangement is the piece in every place."""

    task: jax.Array  # uint16 [moves]: the moves that count; digit d is ORDERS[d + 1]
    shown: jax.Array  # uint16 [moves]: the moves that the agent sees
    pieces: jax.Array  # uint8 [6]: the arrangement


def _packed(arrangements: Any) -> Any:
    """Pack arrangements [..., 6] into words, uint32 [...], four bits a place."""
    return (arrangements.astype(np.uint32) << SHIFTS).sum(-1, dtype=np.uint32)


def _unpacked(words: jax.Array) -> jax.Array:
    """Unpack words (uint32 [...]) into arrangements, uint8 [..., 6]: the inverse of `_packed`."""
    return (words[..., None] >> SHIFTS & 7).astype(jnp.uint8)


def _moved(pieces: jax.Array, moves: jax.Array) -> jax.Array:
    """Apply moves to arrangements: `pieces[moves]` on packed words (uint32) of any two shapes that broadcast.

    On words, a move is a few shifts for many arrangements at once. On arrays of places it would be a gather of single
    bytes, which makes a reset several times as slow.
    """
    moved = jnp.uint32(0)
    for shift in SHIFTS:
        place = moves >> shift & 7
        moved = moved | (pieces >> 4 * place & 7) << shift
    return jnp.asarray(moved)


def _moves(digits: jax.Array) -> jax.Array:
    """Return the packed moves of digits, uint32 of their shape: a move is the place that each place takes from."""
    return jnp.array(_packed(ORDERS))[digits.astype(jnp.int32) + 1]


def _undo(digits: jax.Array) -> jax.Array:
    """Return the packed inverses of the moves of digits, uint32 of their shape.

    The inverse of a move is also the arrangement that the move solves.
    """
    return jnp.array(_packed(UNDO))[digits.astype(jnp.int32) + 1]


def moves_of(digits: jax.Array) -> jax.Array:
    """Return the moves of a task (digits [moves]): the place that each place takes its piece from, uint8 [moves, 6]."""
    return _unpacked(_moves(digits))


def _tree(pieces: jax.Array, moves: jax.Array, depth: int) -> tuple[jax.Array, np.ndarray]:
    """Return all arrangements within `depth` moves of one.

    Args:
        pieces: uint32 []: the first arrangement, packed.
        moves: uint32 [moves]: the moves, packed.
        depth: the largest number of moves.

    Returns:
        Arrangements, uint32 [n], packed; the number of moves to each, int [n].
    """
    layer, layers = pieces[None], [pieces[None]]
    for _ in range(depth):
        layer = _moved(layer[:, None], moves).reshape(-1)
        layers.append(layer)
    steps = np.repeat(np.arange(depth + 1), [len(layer) for layer in layers])
    return jnp.concatenate(layers), steps


def _meet(ahead: tuple[jax.Array, np.ndarray], back: tuple[jax.Array, np.ndarray]) -> jax.Array:
    """Return the fewest moves in which two trees of `_tree` meet, int32 []; FAR if they do not."""
    steps = jnp.array(ahead[1][:, None] + back[1][None], jnp.int32)
    return jnp.where(ahead[0][:, None] == back[0][None], steps, FAR).min()


@cache
def _results() -> np.ndarray:
    """Tabulate the result of every move on every arrangement, uint16 [720, 720]; all three are indices of ORDERS."""
    words = _packed(ORDERS)
    rising = np.argsort(words)
    return rising[np.searchsorted(words[rising], _packed(ORDERS[:, ORDERS]))].astype(np.uint16)


def _table(digits: jax.Array, depth: int) -> tuple[jax.Array, jax.Array]:
    """Tabulate a task's moves (digits [moves]) and distances over all arrangements.

    Returns:
        The result of every move on every arrangement, int32 [720, moves]; the distance of every arrangement from the
        solved one, int32 [720], exact up to `depth` and FAR beyond. Arrangements are indices of ORDERS.
    """
    after = jnp.array(_results())[:, digits.astype(jnp.int32) + 1].astype(jnp.int32)
    steps = jnp.full(len(ORDERS), FAR, jnp.int32).at[0].set(0)
    return after, jax.lax.fori_loop(0, depth, lambda _, steps: jnp.minimum(steps, 1 + steps[after].min(1)), steps)


def _cycles(move: np.ndarray) -> str:
    """Write a move (uint8 [6]) in cycles of places, counted from 1."""
    left, cycles = set(range(PLACES)), []
    while left:
        cycle = [left.pop()]
        while (after := int(move[cycle[-1]])) != cycle[0]:
            cycle.append(after)
            left.remove(after)
        if len(cycle) > 1:
            cycles.append("".join(str(place + 1) for place in cycle))
    return "(" + ")(".join(cycles) + ")"


@dataclass(frozen=True)
class Puzzles(Family):
    """Permutation puzzles with `moves` moves.

    Knobs:
        moves: 5 make 719^5 = 1.9 x 10^14 puzzles (the identity is no move).
        scramble: the distance of every start from the solved arrangement, if the moves allow it.

    Out of distribution: a deeper `scramble`, with the same observations.

    Raises:
        ValueError: if a knob is out of range.
    """

    moves: int = 5
    scramble: int = 2

    def __post_init__(self) -> None:
        check_integer("moves", self.moves, 2, 8)
        check_integer("scramble", self.scramble, 1, 5)

    @property
    def tasks(self) -> TaskSpace:
        return TaskSpace((len(ORDERS) - 1,) * self.moves)

    @property
    def instances(self) -> int:
        """A lower bound for 99 in 100 puzzles, checked by search in 2,000 puzzles for each of eight pairs of knobs."""
        # The expected number of arrangements that random words of moves reach and shorter ones do not, less a third.
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
        """The largest distance from which an episode can still be won after one move.

        Moves need not undo each other, so that a wasted move may lead to any distance.
        """
        return self.horizon - 1

    def _steps_after(self, state: PuzzlesState) -> jax.Array:
        """Count the moves to the solved arrangement after every move, int32 [moves]; FAR if it is too late to win."""
        depth, pieces = self._farthest - 1, _packed(state.pieces)
        if self.scramble > SHALLOW:
            after, steps = _table(state.task, depth)
            return steps[after[(jnp.array(_packed(ORDERS)) == pieces).argmax()]]
        moves = _moves(state.task)
        home = _tree(jnp.asarray(SOLVED), _undo(state.task), depth - depth // 2)
        return jax.vmap(lambda after: _meet(_tree(after, moves, depth // 2), home))(_moved(pieces, moves))

    def _scrambled(self, key: jax.Array, task: jax.Array, length: jax.Array | int) -> PuzzlesState:
        """Draw a start `length` (int [], at most `scramble`) moves from solved, if there is one. Consumes `key`."""
        start = self._any_start if self.scramble > SHALLOW else self._undone
        return PuzzlesState(task, task, start(key, task, length))

    def _any_start(self, key: jax.Array, task: jax.Array, length: jax.Array | int) -> jax.Array:
        """Draw an arrangement uniformly from those `length` moves from solved, uint8 [6]. Consumes `key`."""
        _, steps = _table(task, self.scramble)
        steps = jnp.where(steps <= length, steps, 0)
        chosen = jnp.where(steps == steps.max(), jax.random.bits(key, steps.shape) | 1, 0).argmax()
        return jnp.array(ORDERS)[chosen]

    def _undone(self, key: jax.Array, task: jax.Array, length: jax.Array | int) -> jax.Array:
        """Draw some scrambles of `length` moves and return the farthest, uint8 [6]. Consumes `key`."""
        moves, undo, solved = _moves(task), _undo(task), jnp.asarray(SOLVED)
        words = jax.random.randint(key, (CANDIDATES, self.scramble), 0, self.moves)
        pieces = jnp.broadcast_to(solved, CANDIDATES)
        for turn in range(self.scramble):
            pieces = jnp.where(turn < length, _moved(pieces, undo[words[:, turn]]), pieces)
        # If all scrambles undo themselves, a single move is left: it always moves something.
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
        """Return probabilities of the moves that lead closest, float32 [A]; uniform if it is too late to win."""
        steps = self._steps_after(as_shown(state) if kind == "fair" else state)
        best = steps == steps.min()
        return best / best.sum(dtype=jnp.float32)

    def distance(self, state: PuzzlesState) -> jax.Array:
        solved = (state.pieces == jnp.arange(PLACES)).all()
        return jnp.where(solved, 0, 1 + self._steps_after(state).min())

    def start_near(self, key: jax.Array, task: jax.Array, steps: jax.Array) -> PuzzlesState:
        key_steps, key_scramble = jax.random.split(key)
        return self._scrambled(key_scramble, task, draw_steps_left(key_steps, steps, self.scramble))

    def blind(self, observation: Observation) -> Observation:
        return observation._replace(entities=observation.entities.at[:, 1:].set(0))

    def behaviour(self, task: jax.Array) -> jax.Array:
        """Return the digits in rising order: puzzles with the same moves in another order behave alike."""
        return jnp.sort(task)

    def describe(self, task: Any) -> str:
        return "undo a scramble with the moves " + ", ".join(map(_cycles, np.array(moves_of(jnp.array(task)))))

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
