"""Many episodes of one family side by side: the native vector environment behind `gymnasium.make_vec`.

One compiled program steps every environment. Another restarts some of them, in pieces, at a cost proportional to their
number. Environment i plays what a `FamilyEnv` seeded with the i-th seed would play, bit for bit.
"""

from functools import lru_cache, partial
from typing import Any

import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from incentivize.envs.arguments import check_integer, check_options
from incentivize.envs.family import Family
from incentivize.envs.gym import EpisodeState, FamilyEnv, StepResult, advance, checked, draw_word, init
from incentivize.envs.jax_settings import pinned
from incentivize.envs.process_forks import refuse_lost_threads
from incentivize.envs.tasks import Pool, make_pool

PIECES = 32  # environments are restarted in pieces of 1/32

Episodes = tuple[EpisodeState, StepResult]  # leaves [N, ...]


def restart(
    family: Family, pool: Pool, episodes: Episodes, ended: jax.Array, words: jax.Array, tasks: jax.Array | None = None
) -> Episodes:
    """Restart some of N episodes and keep the others. The cost is proportional to the number of restarts.

    Args:
        family: the dynamics.
        pool: the pool that tasks are drawn from.
        episodes: N episodes.
        ended: bool [N]: the episodes to restart.
        words: uint32 [N]: the random words of fresh episodes, as `init` takes them.
        tasks: digits [N, D] of the tasks to play; None draws tasks from the pool.
    """
    if tasks is not None:
        tasks = jnp.asarray(tasks)
    words, count = jnp.asarray(words), ended.shape[0]  # without jit, these are arrays of NumPy
    piece = -(-count // PIECES)
    # `count` fills the last piece: it is no place, so reads clip and writes drop.
    places = jnp.flatnonzero(ended, size=piece * PIECES, fill_value=count)

    def turn(number, episodes):
        at = jax.lax.dynamic_slice_in_dim(places, number * piece, piece)
        given = None if tasks is None else tasks.at[at].get(mode="clip")
        fresh = jax.vmap(partial(init, family, pool))(words.at[at].get(mode="clip"), given)
        return jax.tree.map(lambda old, new: old.at[at].set(new, mode="drop"), episodes, fresh)

    return jax.lax.fori_loop(0, -(-ended.sum() // piece), turn, episodes)


@lru_cache(maxsize=64)
def _compiled(family: Family) -> tuple[Any, Any]:
    """Compile `restart` and a batched `advance`, once for all vector environments of a family."""
    return jax.jit(partial(restart, family)), jax.jit(jax.vmap(partial(advance, family)))


def _mode(value: Any) -> AutoresetMode:
    """Return the autoreset mode of a value, or the mode itself."""
    try:
        return AutoresetMode(value)
    except ValueError:
        modes = ", ".join(mode.value for mode in AutoresetMode)
        raise ValueError(f"autoreset_mode = {value!r}: expected one of {modes}.") from None


def _single(digit: Any) -> bool:
    """Return whether an element of a task is a scalar, not a list."""
    return not isinstance(digit, (list, tuple)) and np.ndim(digit) == 0


@lru_cache(maxsize=64)
def _shapes(family: Family, count: int) -> Episodes:
    """Return the shapes and dtypes of N episodes, whatever the pool."""
    return jax.eval_shape(jax.vmap(partial(init, family, make_pool(None))), jnp.zeros(count, jnp.uint32))


def _blank(family: Family, count: int) -> Episodes:
    """Make episodes of the right shapes and dtypes, all zero, to be restarted."""
    state, seen = _shapes(family, count)
    state, keys = state._replace(key=None), jax.random.split(jax.random.key(0), count)  # keys cannot be zeros
    state, seen = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), (state, seen))
    return state._replace(key=keys), seen


def _info(seen: StepResult, included: np.ndarray) -> dict[str, Any]:
    """Return the `info` of `FamilyEnv` for the environments included (bool [N]), zeros for the others."""
    info = {}
    for name, values in (("action_mask", seen.action_mask), ("succeeded", seen.succeeded)):
        info[name] = np.where(included.reshape((-1,) + (1,) * (values.ndim - 1)), values, values.dtype.type(0))
        info[f"_{name}"] = included.copy()
    return info


def _final(seen: StepResult, ended: np.ndarray) -> dict[str, Any]:
    """Return the last observations and infos of the episodes that ended (bool [N]); an empty dict if none did."""
    if not ended.any():
        return {}
    observations = np.full(len(ended), None, dtype=object)
    for place in np.flatnonzero(ended):
        observations[place] = np.array(seen.observation[place])
    info = {"final_obs": observations, "_final_obs": ended.copy()}
    return info | {"final_info": _info(seen, ended), "_final_info": ended.copy()}


class FamilyVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """N environments of a family, stepped together.

    Args:
        family: a name of `envs.names()`.
        num_envs: the number of environments N.
        autoreset_mode: an `AutoresetMode` or its value: when environments are reset after the end of an episode.
        render_mode: None, as the environments cannot be drawn together.
        max_episode_steps: steps after which an episode is truncated, as by Gymnasium's `TimeLimit`; None or -1 for no
            limit but the family's own, which always holds.
        arguments: the other arguments of `FamilyEnv`.

    `reset(seed=...)` takes one seed s, which stands for s, s + 1, ..., or a list of N seeds. `options` may have
    `reset_mask` (bool [N]: the environments to reset) and `task`: a task as `FamilyEnv` takes it, or a list of N.
    Observations are uint8 [N, slots], rewards float64 [N], flags bool [N]. `info` has the arrays of `SyncVectorEnv`.
    All arrays are writable copies.

    Raises:
        ValueError: if an argument, an option or a seed is invalid.
        gymnasium.error.InvalidAction: if an action is invalid.
        gymnasium.error.ResetNeeded: on a step before the first reset, or after an end without a reset.
        RuntimeError: on a reset or step in a process that was forked after JAX had been started; see
            `incentivize.envs.process_forks`.
    """

    @pinned
    def __init__(
        self,
        family: str,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **arguments: Any,
    ) -> None:
        if not 1 <= (num_envs := check_integer("num_envs", num_envs)) < 2**31:
            raise ValueError(f"num_envs = {num_envs}: expected at least 1, and fewer than 2^31.")
        if render_mode is not None:
            raise ValueError(
                f"render_mode = {render_mode!r}: expected None. Pass vectorization_mode='sync' to draw environments."
            )
        self.single_env = FamilyEnv(family, **arguments)  # never played: it holds the family, the pool and the tasks
        self.mode = _mode(autoreset_mode)
        unlimited = max_episode_steps is None or max_episode_steps == -1  # as `gymnasium.make` has it
        self.max_episode_steps = None if unlimited else check_integer("max_episode_steps", max_episode_steps, 1)
        self.metadata = {"render_modes": [], "autoreset_mode": self.mode}
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = (
            self.single_env.observation_space,
            self.single_env.action_space,
        )
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.episodes: Episodes | None = None
        self._generators: dict[int, np.random.Generator] = {}
        self._ended = np.zeros(num_envs, bool)

    @pinned
    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start episodes, and return their first observations and info.

        Raises:
            ValueError: if a seed or an option is invalid.
            gymnasium.error.ResetNeeded: if only some environments are to be reset, and no episode has begun.
            RuntimeError: if the process was forked after JAX had been started.
        """
        refuse_lost_threads()
        chosen = check_options(options, ("task", "reset_mask"))
        mask, tasks = self._reset_mask(chosen.get("reset_mask")), self._tasks(chosen.get("task"))
        self._generators |= self._seeded(seed, mask)
        result = self._restart(mask, tasks)
        self._ended &= ~mask
        return np.array(result.observation), _info(result, mask)

    @pinned
    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take one action in each environment, and return observations, rewards, terminated, truncated and info.

        Raises:
            gymnasium.error.InvalidAction: if the actions are not N integers from 0 to A - 1.
            gymnasium.error.ResetNeeded: if no episode has begun, or some have ended and are not reset automatically.
            RuntimeError: if the process was forked after JAX had been started.
        """
        if self.episodes is None:
            raise gym.error.ResetNeeded("step: no episode has begun. Call reset first.")
        if self.mode is AutoresetMode.DISABLED and self._ended.any():
            ended = np.flatnonzero(self._ended).tolist()
            raise gym.error.ResetNeeded(f"step: episodes have ended in environments {ended}. Reset these first.")
        refuse_lost_threads()
        waiting = self._ended & (self.mode is AutoresetMode.NEXT_STEP)  # they are reset, whatever their action
        int_actions = checked(actions, self.single_env.family.num_actions, (self.num_envs,), waiting)
        episodes = self.episodes = _compiled(self.single_env.family)[1](self.episodes[0], int_actions)
        played = self._result(episodes)
        ended = played.terminated | played.truncated
        same_step = self.mode is AutoresetMode.SAME_STEP
        restarted = ended if same_step else waiting
        shown = self._restart(restarted) if restarted.any() else played
        info = (_final(played, ended) if same_step else {}) | _info(shown, np.ones(self.num_envs, bool))
        paid = played if same_step else shown
        flags = np.array(paid.terminated), np.array(paid.truncated)
        self._ended = flags[0] | flags[1]
        return np.array(shown.observation), np.array(paid.reward, np.float64), *flags, info

    def _restart(self, mask: np.ndarray, tasks: np.ndarray | None = None) -> StepResult:
        """Restart the environments of a mask (bool [N]) and return the results of all."""
        words = np.zeros(self.num_envs, np.uint32)
        for place in np.flatnonzero(mask).tolist():
            words[place] = draw_word(self._generators[place])
        family, pool = self.single_env.family, self.single_env.pool
        episodes = self.episodes or _blank(family, self.num_envs)
        episodes = self.episodes = _compiled(family)[0](pool, episodes, mask, words, tasks)
        return self._result(episodes)

    def _result(self, episodes: Episodes) -> Any:
        """Return the results of all environments in NumPy, truncated by `max_episode_steps`, too."""
        state, seen = episodes
        if self.max_episode_steps is None:
            return jax.device_get(seen)
        elapsed, seen = jax.device_get((state.elapsed, seen))
        return seen._replace(truncated=seen.truncated | (elapsed >= self.max_episode_steps))

    def _reset_mask(self, mask: Any) -> np.ndarray:
        """Return the environments to reset, bool [N], all if no mask is given."""
        if mask is None:
            return np.ones(self.num_envs, bool)
        fits = isinstance(mask, np.ndarray) and mask.dtype == bool and mask.shape == (self.num_envs,)
        if not (fits and mask.any()):
            raise ValueError(
                f"reset_mask = {mask!r}: expected a bool array of shape ({self.num_envs},) with a True in it."
            )
        if self.episodes is None and not mask.all():
            raise gym.error.ResetNeeded("reset_mask: no episode has begun. Reset all environments first.")
        return mask

    def _seeded(self, seed: Any, mask: np.ndarray) -> dict[int, np.random.Generator]:
        """Make generators for those environments of a mask (bool [N]) that get a seed or have no generator yet."""
        if isinstance(seed, np.ndarray):
            seed = seed.tolist()
        if seed is None or (isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)):
            first = None if seed is None else check_integer("seed", seed, 0)
            seed = [None if first is None else first + place for place in range(self.num_envs)]
        if not isinstance(seed, (list, tuple)) or len(seed) != self.num_envs:
            raise ValueError(f"seed = {seed!r}: expected a number, or a list of {self.num_envs}.")
        seed = [None if value is None else check_integer("seed", value, 0) for value in seed]
        places = np.flatnonzero(mask).tolist()
        return {i: np_random(seed[i])[0] for i in places if seed[i] is not None or i not in self._generators}

    def _tasks(self, task: Any) -> np.ndarray | None:
        """Return the digits [N, D] of one task for all or of one for each; None if no task is given."""
        if task is None:
            return None
        count, listed = self.num_envs, isinstance(task, (list, tuple)) or np.ndim(task) > 0
        digits = listed and len(task) == len(self.single_env.family.tasks.radices) and all(_single(x) for x in task)
        if digits and len(task) == count:
            raise ValueError(
                f"task = {task!r}: ambiguous, as a task also has {count} digits. Give the digits of each task."
            )
        if digits or not listed:
            return np.tile(self.single_env.digits(task), (count, 1))
        if len(task) != count:
            raise ValueError(f"task = {task!r}: expected one task, or a list of one for each of {count} environments.")
        return np.stack([self.single_env.digits(one_task) for one_task in task])
