"""The Gymnasium environment of every family, `incentivize:incentivize/<Family>-v0`: NumPy in, NumPy out.

Observations are flat: context, then entities row by row, then the mask of entities. An environment draws one 32-bit
word per reset from its own generator, and everything random in the episode comes from a JAX key made of it.
"""

from contextlib import suppress
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple

import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np

from incentivize import envs
from incentivize.envs.arguments import check_integer, check_one_of, check_options
from incentivize.envs.episodes import start_sampler
from incentivize.envs.family import Family, Observation, State, ends
from incentivize.envs.jax_settings import pinned
from incentivize.envs.process_forks import refuse_lost_threads
from incentivize.envs.render import to_image, to_text
from incentivize.envs.tasks import SPLITS, WORD, Pool, Split, make_pool


class EpisodeState(NamedTuple):
    """One episode under way: the carry of a functional loop."""

    state: State
    key: jax.Array  # for the draws of all later steps
    elapsed: jax.Array  # int32 []: steps since the start


class StepResult(NamedTuple):
    """The result of one step, or of a reset, which has no reward; arrays of NumPy once they leave JAX."""

    observation: jax.Array  # uint8 [slots]
    action_mask: jax.Array  # int8 [A]
    reward: jax.Array  # float32 []
    terminated: jax.Array  # bool []
    truncated: jax.Array  # bool []
    succeeded: jax.Array  # bool []


def flat(observation: Observation) -> jax.Array:
    """Flatten an observation into one vector, uint8 [slots]."""
    parts = (observation.context, observation.entities.reshape(-1), observation.entity_mask)
    return jnp.concatenate([part.astype(jnp.uint8) for part in parts])


def observation_space(family: Family) -> gym.spaces.Box:
    """Return the space of `flat` observations, in which every slot has its own vocabulary."""
    spec = family.spec
    sizes = (*spec.context, *spec.entity * spec.num_entities, *(2,) * spec.num_entities)
    return gym.spaces.Box(np.zeros(len(sizes), np.uint8), (np.array(sizes) - 1).astype(np.uint8), dtype=np.uint8)


def _result(family: Family, state: State, reward: Any = 0.0, *flags: Any) -> StepResult:
    """Make the result that led to a state; `flags` are terminated, truncated and succeeded, all False by default."""
    observation = family.observe(state)
    terminated, truncated, succeeded = flags or (False, False, False)
    return StepResult(
        flat(observation),
        observation.action_mask.astype(jnp.int8),
        jnp.float32(reward),
        jnp.asarray(terminated),
        jnp.asarray(truncated),
        jnp.asarray(succeeded),
    )


def init(family: Family, pool: Pool, word: jax.Array, task: jax.Array | None = None) -> tuple[EpisodeState, StepResult]:
    """Start an episode.

    Args:
        family: the family to be played.
        pool: the pool that a task is drawn from.
        word: uint32 []: a random word, which decides everything in the episode.
        task: digits [D] of the task to play; None draws one from the pool.
    """
    key_start, key = jax.random.split(jax.random.key(word))
    drawn = start_sampler(family, pool)(key_start)
    state = drawn if task is None else family.init(key_start, jnp.asarray(task))
    return EpisodeState(state, key, jnp.int32(0)), _result(family, state)


def advance(family: Family, episode: EpisodeState, action: jax.Array) -> tuple[EpisodeState, StepResult]:
    """Take one action (int []). The reward is the sparse one: 1 on success, less the family's own cost."""
    key, key_step = jax.random.split(episode.key)
    state, outcome = family.step(episode.state, action, key_step)
    elapsed = episode.elapsed + 1
    reward = outcome.succeeded - outcome.cost  # as `incentivize.rewards.sparse`, which this package may not import
    flags = (*ends(family, outcome, elapsed), outcome.succeeded)
    return EpisodeState(state, key, elapsed), _result(family, state, reward, *flags)


@lru_cache(maxsize=64)
def _compiled(family: Family) -> tuple[Any, Any]:
    """Compile `init` and `advance`, once for all environments of a family."""
    return jax.jit(partial(init, family)), jax.jit(partial(advance, family))


def draw_word(generator: np.random.Generator) -> np.uint32:
    """Draw the random word of a reset."""
    return np.uint32(generator.integers(2**32))


def checked(action: Any, num_actions: int, shape: tuple[int, ...] = (), ignored: Any = False) -> np.ndarray:
    """Return actions as int32 of a given shape.

    Args:
        action: an action, or a list or array of them.
        num_actions: A; actions are integers from 0 to A - 1.
        shape: the expected shape.
        ignored: bool of the expected shape: actions that may have any value.

    Raises:
        gymnasium.error.InvalidAction: if the shape is another, or an action that counts is none.
    """
    actions = np.asarray(action)
    if actions.shape == shape and np.issubdtype(actions.dtype, np.integer):
        wrong = actions[((actions < 0) | (actions >= num_actions)) & np.logical_not(ignored)]
        if not wrong.size:
            return actions.astype(np.int32)
        action = wrong[0]
    scope = f" for each of {shape[0]} environments" if shape else ""
    raise gym.error.InvalidAction(f"action = {action}: expected an integer from 0 to {num_actions - 1}{scope}.")


class FamilyEnv(gym.Env[np.ndarray, Any]):
    """One environment of a family.

    Args:
        family: a name of `envs.names()`.
        split: "training", "validation" or "heldout": the tasks to draw from.
        pool_size: the number of tasks of the split; None makes every episode a new task.
        pool_seed: decides which tasks those are, from 0 to 2^32 - 1.
        control: "shuffled", ...; see `incentivize.envs.wrappers.controls`.
        render_mode: "rgb_array" (uint8 [H, W, 3]), "ansi" (coloured text), or None.
        knobs: knobs of the family, `life` and `pairs`; see `envs.make`.

    `reset(options={"task": ...})` plays a given task: its number in the split, or its digits. `info` has
    `action_mask` (int8 [A]) and `succeeded`.

    Raises:
        ValueError: if an argument, an option or a seed is invalid.
        gymnasium.error.InvalidAction: if an action is invalid.
        gymnasium.error.ResetNeeded: on a step before the first reset, or after the end of the episode.
        RuntimeError: if JAX is needed in a process that was forked after JAX had been started; see
            `incentivize.envs.process_forks`.
    """

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 2}  # noqa: RUF012 (Gymnasium's own convention)

    @pinned
    def __init__(
        self,
        family: str,
        split: str = "training",
        pool_size: int | None = None,
        pool_seed: int = 0,
        control: str | None = None,
        render_mode: str | None = None,
        **knobs: Any,
    ) -> None:
        if render_mode is not None:
            check_one_of("render_mode", render_mode, self.metadata["render_modes"])
        self.split: Split = check_one_of("split", split, SPLITS)
        self.family: Family = envs.make(family, control, **knobs)
        most = min(self.family.tasks.split_size(self.split), 2**24)
        if pool_size is not None and not 1 <= (pool_size := check_integer("pool_size", pool_size)) <= most:
            raise ValueError(f"pool_size = {pool_size}: expected 1 to {most:,}, or None for new tasks only.")
        self.pool_size, self.pool_seed = pool_size, check_integer("pool_seed", pool_seed, 0, WORD)
        self.observation_space = observation_space(self.family)
        self.action_space = gym.spaces.Discrete(self.family.num_actions)
        self.render_mode = render_mode
        self.episode: EpisodeState | None = None
        self.last_result: StepResult | None = None

    @cached_property
    def pool(self) -> Pool:
        """The tasks that resets draw from, made at the first reset: until then a process can still be forked."""
        return make_pool(self.pool_size, seed=self.pool_seed, split=self.split)

    @pinned
    def digits(self, task: Any) -> np.ndarray:
        """Return the digits [D] of a task that is given by its number in the split or by its digits.

        Raises:
            ValueError: if there is no such task.
        """
        tasks = self.family.tasks
        count = tasks.split_size(self.split)
        if isinstance(task, (int, np.integer)):
            if not isinstance(task, bool) and 0 <= task < count:
                refuse_lost_threads()
                return tasks.task(self.split, int(task), self.pool_seed)
        else:
            with suppress(ValueError):  # from NumPy, of lists that make no array
                digits = np.asarray(task)
                fits = digits.shape == (len(tasks.radices),) and np.issubdtype(digits.dtype, np.integer)
                if fits and (digits >= 0).all() and (digits < tasks.radices).all():
                    return digits.astype(tasks.dtype)
        raise ValueError(f"task = {task!r}: expected a number below {count:,}, or digits below {tasks.radices}.")

    @pinned
    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode, and return its first observation and info.

        Raises:
            ValueError: if the seed or an option is invalid.
            RuntimeError: if the process was forked after JAX had been started.
        """
        refuse_lost_threads()
        task = check_options(options, ("task",)).get("task")
        digits = None if task is None else self.digits(task)
        super().reset(seed=None if seed is None else check_integer("seed", seed, 0))
        word = draw_word(self.np_random)
        observation, *_, info = self._record(*_compiled(self.family)[0](self.pool, word, digits))
        return observation, info

    @pinned
    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take one action, and return observation, reward, terminated, truncated and info.

        Raises:
            gymnasium.error.InvalidAction: if the action is no integer from 0 to A - 1.
            gymnasium.error.ResetNeeded: if no episode has begun, or the last one has ended.
            RuntimeError: if the process was forked after JAX had been started.
        """
        if self.episode is None or self.last_result is None:
            raise gym.error.ResetNeeded("step: no episode has begun. Call reset first.")
        if self.last_result.terminated or self.last_result.truncated:
            raise gym.error.ResetNeeded("step: the episode has ended. Call reset first.")
        refuse_lost_threads()
        return self._record(*_compiled(self.family)[1](self.episode, checked(action, self.family.num_actions)))

    def __getstate__(self) -> Any:
        if "pool" in vars(self):  # it holds arrays of JAX, for which `copy.deepcopy` would wait
            refuse_lost_threads()
        return super().__getstate__()

    def action_masks(self) -> np.ndarray:
        """Return the legal actions, bool [A]; MaskablePPO of sb3-contrib calls this method.

        Raises:
            gymnasium.error.ResetNeeded: if no episode has begun.
        """
        if self.last_result is None:
            raise gym.error.ResetNeeded("action_masks: no episode has begun. Call reset first.")
        return np.array(self.last_result.action_mask, bool)

    @pinned
    def render(self) -> Any:
        """Draw the agent's view, in the environment's render mode.

        Raises:
            gymnasium.error.ResetNeeded: if no episode has begun.
            ImportError: if the mode is "rgb_array", and Pillow or matplotlib is missing.
            RuntimeError: if the process was forked after JAX had been started.
        """
        if self.render_mode is None:
            gym.logger.warn("render_mode = None: nothing is drawn. Give `make` render_mode='rgb_array' or 'ansi'.")
            return None
        if self.episode is None:
            raise gym.error.ResetNeeded("render: no episode has begun. Call reset first.")
        refuse_lost_threads()
        picture = self.family.render(self.episode.state)
        return to_image(picture) if self.render_mode == "rgb_array" else to_text(picture, colour=True)

    def get_keys_to_action(self) -> dict[tuple[int, ...], int]:
        """Return a person's keys, for `gymnasium.utils.play.play(env, wait_on_player=True)`."""
        return {(ord(key),): action for action, key in enumerate(self.family.keys)}

    def _record(
        self, episode: EpisodeState, result: StepResult
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Keep the episode and its last result, and return the result as Gymnasium's `step` does."""
        self.episode, self.last_result = episode, (seen := jax.device_get(result))
        info = {"action_mask": np.array(seen.action_mask), "succeeded": bool(seen.succeeded)}
        return np.array(seen.observation), float(seen.reward), bool(seen.terminated), bool(seen.truncated), info
