"""Task spaces: exactly counted sets of tasks, their three splits, and pools of training tasks.

A task is a vector of small integers (digits), one radix each. An *ordinal* is such a vector too. A keyed, invertible
shuffle (a Feistel network over mixed radices) maps ordinals to tasks, so that any range of ordinals is a random sample
of tasks without replacement, with no table and only 32-bit arithmetic. The splits are ranges of ordinals cut by the
leading digits *before* the shuffle: disjoint by construction, with the same distribution of every task digit in each.
"""

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.envs.arguments import check_integer, check_one_of

Split = Literal["training", "validation", "heldout"]
SPLITS: tuple[Split, ...] = ("training", "validation", "heldout")

WORD = 2**32 - 1  # the largest pool seed, ordinal and pool that 32 bits hold
ROUNDS = 6  # four suffice for a pseudorandom permutation (Luby & Rackoff 1988); two more for lopsided halves
GOLDEN = np.uint32(0x9E3779B9)  # 2^32 / golden ratio: consecutive multiples are well spread (Knuth, TAOCP 3, 6.4)


class Pool(NamedTuple):
    """The tasks that training draws from. Every field is a traced scalar, so that another pool never recompiles.

    Members are the ordinals `first <= i < first + bound` of one split, in another order for every `seed`. Pools that
    differ only in `bound` are nested. With `fresh`, `first` and `bound` are ignored and every draw is uniform over the
    whole split: each episode a new task.
    """

    bound: jax.Array  # uint32 []
    fresh: jax.Array  # bool []
    seed: jax.Array  # uint32 []
    split: jax.Array  # int32 [], an index into SPLITS
    first: jax.Array  # uint32 []


def make_pool(size: int | None, *, seed: int = 0, split: Split = "training", first: int = 0) -> Pool:
    """Make the pool of `size` tasks, or of a whole split if `size` is None ("every episode a new task").

    Raises:
        ValueError: if the size, the seed or the first ordinal is no integer of 32 bits, or the split does not exist.
    """
    return Pool(
        bound=jnp.uint32(1 if size is None else check_integer("size", size, 1, WORD)),
        fresh=jnp.bool_(size is None),
        seed=jnp.uint32(check_integer("seed", seed, 0, WORD)),
        split=jnp.int32(SPLITS.index(check_one_of("split", split, SPLITS))),
        first=jnp.uint32(check_integer("first", first, 0, WORD)),
    )


def _mix(x: jax.Array) -> jax.Array:
    """Hash words (uint32, any shape) with the 32-bit finaliser of MurmurHash3 (Appleby 2011), a bijection."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def _below(words: jax.Array, limits: jax.Array) -> jax.Array:
    """Map words (uint32) onto 0 .. limit - 1 without a division (Lemire 2019, section 3). Limits go up to 2^16."""
    return (words >> 16) * limits >> 16


def _round(half: jax.Array, limits: jax.Array, salt: jax.Array) -> jax.Array:
    """Return pseudorandom digits below `limits` (uint32 [w]) that depend on one half of the digits (uint32 [h])."""
    weights = _mix(salt + GOLDEN * jnp.arange(1, half.shape[0] + 1, dtype=jnp.uint32)) | jnp.uint32(1)
    word = _mix(jnp.sum(half * weights, dtype=jnp.uint32) ^ salt)
    return _below(_mix(word + GOLDEN * jnp.arange(1, limits.shape[0] + 1, dtype=jnp.uint32)), limits)


def shuffle(digits: jax.Array, radices: jax.Array, key: jax.Array | int, *, inverse: bool = False) -> jax.Array:
    """Apply a keyed bijection of the digit vectors below `radices`, or its inverse.

    Each round adds a hash of one half of the digits to the other half, each digit modulo its radix.

    Args:
        digits: uint32 [D], D >= 2, each below its radix.
        radices: uint32 [D], up to 2^16; may be traced.
        key: uint32 []; another key is another bijection.
        inverse: whether to undo the shuffle instead.

    Returns:
        The shuffled digits, uint32 [D].
    """
    middle = digits.shape[0] // 2
    left_radices, right_radices = radices[:middle], radices[middle:]
    salts = _mix(_mix(jnp.uint32(key) + GOLDEN) + GOLDEN * jnp.arange(2 * ROUNDS, dtype=jnp.uint32)).reshape(ROUNDS, 2)

    def shifted(half, other, half_radices, salt):
        shift = _round(other, half_radices, salt)
        moved = half + (half_radices - shift if inverse else shift)
        return jnp.where(moved >= half_radices, moved - half_radices, moved)

    def turn(halves, salt):
        left, right = halves
        if inverse:
            right = shifted(right, left, right_radices, salt[1])
            return (shifted(left, right, left_radices, salt[0]), right), None
        left = shifted(left, right, left_radices, salt[0])
        return (left, shifted(right, left, right_radices, salt[1])), None

    halves, _ = jax.lax.scan(turn, (digits[:middle], digits[middle:]), salts, reverse=inverse)
    return jnp.concatenate(halves)


@dataclass(frozen=True)
class TaskSpace:
    """Every vector of digits below `radices`: `size` tasks, cut into training, validation and held-out tasks.

    Validation and held-out tasks are an eighth of the space each, or as near below as the leading digits allow.
    """

    radices: tuple[int, ...]
    salt: int = 0  # which shuffle: fixed for a family, so that its held-out tasks are the same in every study

    def __post_init__(self) -> None:
        if len(self.radices) < 2 or min(self.radices) < 1 or max(self.radices) > 2**16:
            raise ValueError(f"radices = {self.radices}: expected at least two digits, with radices from 1 to 65536.")
        if self.size < 8:
            raise ValueError(f"radices = {self.radices}: {self.size} tasks are too few to split. Give at least 8.")
        if sum(self._counts) > 2**16:
            raise ValueError(
                f"radices = {self.radices}: the digits that cut splits have over 2^16 values. Put small radices first."
            )

    @cached_property
    def size(self) -> int:
        """The exact number of tasks: a Python int of any size."""
        return math.prod(self.radices)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of task digits: uint8 if every radix allows it, else uint16."""
        return np.dtype(np.uint8 if max(self.radices) <= 256 else np.uint16)

    @cached_property
    def _prefix(self) -> int:
        """The number of leading digits that cut the splits: the fewest with at least 8 values together."""
        products = np.cumprod([float(r) for r in self.radices])
        return int(np.argmax(products >= 8)) + 1

    @cached_property
    def _counts(self) -> tuple[int, int, int]:
        """The number of values of the prefix in each split, in the order of SPLITS."""
        values = math.prod(self.radices[: self._prefix])
        return values - 2 * (values // 8), values // 8, values // 8

    def split_size(self, split: Split) -> int:
        """Return the exact number of tasks in a split."""
        return self._counts[SPLITS.index(split)] * math.prod(self.radices[self._prefix :])

    def _split_radices(self, split: jax.Array | int) -> jax.Array:
        """Return the radices of a split's ordinals, uint32 [1 + D - prefix]: the prefix as one digit, then the rest."""
        counts = jnp.array(self._counts, jnp.uint32)[split]
        return jnp.concatenate([counts[None], jnp.array(self.radices[self._prefix :], jnp.uint32)])

    def _task(self, ordinal: jax.Array, split: jax.Array | int, seed: jax.Array | int) -> jax.Array:
        """Return the task (digits [D]) of a split's ordinal: it is shuffled by the pool's seed, then by the family."""
        if ordinal.shape[0] > 1:  # a space of so few digits that the prefix takes them all has one order for every seed
            ordinal = shuffle(ordinal, self._split_radices(split), seed)
        first = jnp.array([0, self._counts[0], self._counts[0] + self._counts[1]], jnp.uint32)[split]
        head = self.radices[: self._prefix]
        strides = jnp.array([math.prod(head[i + 1 :]) for i in range(len(head))], jnp.uint32)
        lead = (first + ordinal[0]) // strides % jnp.array(head, jnp.uint32)
        digits = jnp.concatenate([lead, ordinal[1:]])
        return shuffle(digits, jnp.array(self.radices, jnp.uint32), self._key).astype(self.dtype)

    @property
    def _key(self) -> jax.Array:
        return jnp.uint32(self.salt) ^ jnp.uint32(0xA5A5A5A5)  # differs from the keys of pool seeds 0, 1, 2, ...

    def _ordinal(self, pool: Pool, index: jax.Array) -> jax.Array:
        """Return the digits of a pool's `index`-th ordinal, uint32 [1 + D - prefix]."""
        tail = self.radices[self._prefix :]
        strides = [math.prod(tail[i:]) for i in range(len(tail) + 1)]
        # Strides beyond 32 bits divide every 32-bit index to zero: 2^32 - 1 only has to keep the division defined.
        quotients = (pool.first + index) // jnp.array([min(s, 2**32 - 1) for s in strides], jnp.uint32)
        reachable = jnp.array([s < 2**32 for s in strides])
        return jnp.where(reachable, quotients, 0) % self._split_radices(pool.split)

    def member(self, pool: Pool, index: jax.Array) -> jax.Array:
        """Return a pool's task (digits [D]) at `index` (uint32 []), which wraps at the bound of a pool that has one."""
        index = jnp.where(pool.fresh, index, index % pool.bound)
        return self._task(self._ordinal(pool, index), pool.split, pool.seed)

    def sample(self, key: jax.Array, pool: Pool) -> jax.Array:
        """Draw a task uniformly from a pool, digits [D]. Consumes `key`."""
        radices = self._split_radices(pool.split)
        words = jax.random.bits(key, (1 + radices.shape[0],))  # a remainder's bias is below radix / 2^32
        anywhere = words[1:] % radices
        ordinal = self._ordinal(pool, words[0] % pool.bound)
        return self._task(jnp.where(pool.fresh, anywhere, ordinal), pool.split, pool.seed)

    def task(self, split: Split, index: int, seed: int = 0) -> np.ndarray:
        """Return the `index`-th task of a split in the order of a pool seed.

        Args:
            split: a name of SPLITS.
            index: any Python int from 0 to the split's size less one.
            seed: the pool seed, from 0 to 2^32 - 1.

        Returns:
            Digits [D], uint8 or uint16.

        Raises:
            IndexError: if the split has no task of that index.
            ValueError: if the index is no integer, or the seed no integer of 32 bits.
        """
        if not 0 <= (index := check_integer("index", index)) < self.split_size(split):
            raise IndexError(f"index = {index}: expected 0 to {self.split_size(split) - 1:,} in the {split} split.")
        number = SPLITS.index(split)
        digits = []
        for radix in reversed([self._counts[number], *self.radices[self._prefix :]]):
            index, digit = divmod(index, radix)
            digits.append(digit)
        order = np.uint32(check_integer("seed", seed, 0, WORD))
        return np.array(_one_task(self, jnp.array(digits[::-1], jnp.uint32), number, order))

    def train(self, index: int) -> np.ndarray:
        """Return the `index`-th training task, digits [D]."""
        return self.task("training", index)

    def validation(self, index: int) -> np.ndarray:
        """Return the `index`-th validation task (for tuning), digits [D]."""
        return self.task("validation", index)

    def heldout(self, index: int) -> np.ndarray:
        """Return the `index`-th held-out task (never for tuning), digits [D]."""
        return self.task("heldout", index)

    def place_of(self, task: jax.Array, seed: jax.Array | int) -> tuple[jax.Array, jax.Array]:
        """Find a task (digits [D]) in the order of a pool seed: the inverse of `_task`. Unbatched; may be traced.

        Returns:
            The task's split as an index into SPLITS, int32 []; the digits of its ordinal in that split, uint32
            [1 + D - prefix].
        """
        digits = shuffle(task.astype(jnp.uint32), jnp.array(self.radices, jnp.uint32), self._key, inverse=True)
        head = self.radices[: self._prefix]
        strides = jnp.array([math.prod(head[i + 1 :]) for i in range(len(head))], jnp.uint32)
        lead = (digits[: self._prefix] * strides).sum(dtype=jnp.uint32)
        starts = jnp.cumsum(jnp.array((0, *self._counts), jnp.uint32))
        split = (lead >= starts[1:-1]).sum(dtype=jnp.int32)
        ordinal = jnp.concatenate([(lead - starts[split])[None], digits[self._prefix :]])
        if ordinal.shape[0] > 1:
            ordinal = shuffle(ordinal, self._split_radices(split), seed, inverse=True)
        return split, ordinal

    def split_of(self, task: jax.Array) -> jax.Array:
        """Return the split of a task (digits [D]) as an index into SPLITS, int32 []. Unbatched; may be traced."""
        return self.place_of(task, 0)[0]

    def locate(self, task: np.ndarray, seed: int = 0) -> tuple[Split, int]:
        """Return the split and index of a task (digits [D]) in the order of a pool seed: the inverse of `task`."""
        number, ordinal = _placed(self, jnp.asarray(task, jnp.uint32), np.uint32(seed))
        index = 0
        for digit, radix in zip(ordinal.tolist(), self._split_radices(int(number)).tolist(), strict=True):
            index = index * radix + digit
        return SPLITS[int(number)], index


@partial(jax.jit, static_argnums=0)
def _one_task(space: TaskSpace, ordinal: jax.Array, split: jax.Array, seed: jax.Array) -> jax.Array:
    return space._task(ordinal, split, seed)


_placed = jax.jit(TaskSpace.place_of, static_argnums=0)
