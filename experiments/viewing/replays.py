"""Replays of a finished run: its agents and the expert play held-out tasks from the same starts.

They play the first held-out tasks, without any selection. Actions are drawn from the policies, as in training.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from incentivize.agents.evaluate import policy_of
from incentivize.agents.networks import Network, Params
from incentivize.agents.recording import Trajectory, expert_of, record
from incentivize.envs.family import Family, State
from incentivize.envs.render import GREEN, INK, ORANGE, Picture, rgb, tiled
from incentivize.experiments.cells import Cell
from incentivize.experiments.settings.schema import describe_pool
from incentivize.experiments.storage.parameters import load
from incentivize.experiments.storage.run_directory import RunDirectory
from incentivize.experiments.training.build import family_of, network_of
from incentivize.experiments.viewing.captions import caption, describe_end

KEY = 20_241_116  # seed of the starts, the dynamics and the actions


class Player(NamedTuple):
    """An agent, a set of specialists, or the expert.

    Attributes:
        name: the name shown on pages.
        cells: one cell for all tasks, or one for every task; empty for the expert.
    """

    name: str
    cells: tuple[Cell, ...]


class Replay(NamedTuple):
    """One episode of a player, of T steps.

    Attributes:
        player: the name of the player.
        pictures: T + 1 pictures, from the start to the end.
        captions: T + 1 captions of the pictures.
        succeeded: whether the episode succeeded.
        actions: the names of the T actions.
    """

    player: str
    pictures: tuple[Picture, ...]
    captions: tuple[str, ...]
    succeeded: bool
    actions: tuple[str, ...]


class Scene(NamedTuple):
    """The replays of all players at one task, from the same start.

    Attributes:
        family: the name of the family.
        task: the number of the held-out task.
        description: the task in words.
        replays: one replay for every player.
    """

    family: str
    task: int
    description: str
    replays: tuple[Replay, ...]


def choose_players(cells: Sequence[Cell], family: str) -> list[Player]:
    """Choose the players of a family: generalists of the smallest and the largest pool, specialists, the expert.

    Generalists have the first seed. A pool of one task is left out where there is a larger one. Agents in a control are
    left out, too. The list is empty without a generalist.
    """
    seed = min((cell.seed for cell in cells), default=0)
    of_family = [cell for cell in cells if cell.family == family and cell.control is None]
    pools = {cell.pool_size: cell for cell in reversed(of_family) if cell.role == "generalist" and cell.seed == seed}
    sizes = sorted(pools, key=lambda size: np.inf if size is None else size)
    sizes = [size for size in sizes if size != 1] or sizes
    chosen = [
        Player(f"generalist, {describe_pool(size)}", (pools[size],))
        for size in dict.fromkeys([*sizes[:1], *sizes[-1:]])
    ]
    by_task = {
        cell.pool_first: cell
        for cell in of_family
        if cell.role == "specialist" and cell.evaluation_points[-1][1] == "full"
    }
    if by_task and set(by_task) == set(range(len(by_task))):
        chosen.append(Player("specialist of this task", tuple(by_task[task] for task in range(len(by_task)))))
    return [*chosen, Player("expert", ())] if chosen else []


def play_scenes(directory: RunDirectory, cells: Sequence[Cell], family: str, count: int) -> Iterator[Scene]:
    """Play the first `count` held-out tasks; if there are specialists, only those tasks that have one.

    Raises:
        InputError: where the parameters of a player are missing or damaged.
    """
    chosen = choose_players(cells, family)
    if not chosen:
        return
    dynamics = family_of(chosen[0].cells[0])
    assert isinstance(dynamics, Family)
    tasks = min([count, *(len(player.cells) for player in chosen if len(player.cells) > 1)])
    plays = [_load_player(directory, dynamics, player, tasks) for player in chosen]
    for task in range(tasks):
        digits = dynamics.tasks.heldout(task)
        key_start, key = jax.random.split(jax.random.fold_in(jax.random.key(KEY), task))
        start = _start(dynamics, key_start, jnp.asarray(digits))
        trajectories = [jax.device_get(play(task, start, key)) for play in plays]
        replays = (
            _replay(dynamics, player.name, trajectory) for player, trajectory in zip(chosen, trajectories, strict=True)
        )
        yield Scene(family, task, dynamics.describe(digits), tuple(replays))


Play = Callable[[int, State, jax.Array], Trajectory]
"""From the number of a task, a start and a key to a trajectory."""


def _load_player(directory: RunDirectory, family: Family, player: Player, tasks: int) -> Play:
    """Load the parameters of a player for the first `tasks` tasks, and return how it plays."""
    if not player.cells:
        return lambda _, start, key: _by_expert(family, start, key)
    network = network_of(player.cells[0].training, family)
    like = network.shapes()
    paths = [directory.path / "checkpoints" / f"{cell.id}.msgpack" for cell in player.cells[:tasks]]
    params = [load(str(path), like) for path in paths]
    return lambda task, start, key: _by_network(family, network, params[task % len(params)], start, key)


@partial(jax.jit, static_argnums=0)
def _start(family: Family, key: jax.Array, task: jax.Array) -> State:
    return family.init(key, task)


@partial(jax.jit, static_argnums=0)
def _by_expert(family: Family, start: State, key: jax.Array) -> Trajectory:
    return record(family, expert_of(family), (), start, key)


@partial(jax.jit, static_argnums=(0, 1))
def _by_network(family: Family, network: Network, params: Params, start: State, key: jax.Array) -> Trajectory:
    return record(family, policy_of(family, network, params), network.initial_memory(), start, key)


def _replay(family: Family, player: str, episode: Trajectory) -> Replay:
    """Draw a trajectory up to the end of its episode."""
    over = np.asarray(episode.outcomes.ends_episode)
    steps = int(over.argmax()) + 1 if over.any() else family.horizon
    won = bool(episode.outcomes.succeeded[steps - 1])
    pictures, captions = [], []
    actions = tuple(family.action_names[action] for action in episode.actions[:steps].tolist())
    for step in range(steps + 1):
        state = jax.tree.map(lambda leaf, step=step: jnp.asarray(leaf[step]), episode.states)
        end = describe_end(won, bool(over[step - 1])) if step == steps else ""
        pictures.append(family.render(state))
        captions.append(caption(family, step, int(episode.actions[step - 1]) if step else None, end))
    return Replay(player, tuple(pictures), tuple(captions), won, actions)


def to_json(scene: Scene) -> dict[str, Any]:
    """Convert a scene to JSON for a page; texts and colours that repeat are stored once and referred to by number."""
    replays = list(map(_replay_to_json, scene.replays))
    return {"family": scene.family, "task": scene.task, "told": scene.description, "replays": replays}


def _replay_to_json(replay: Replay) -> dict[str, Any]:
    palette: dict[tuple[int, int], int] = {}  # ink and paper to a number, written as one character of a line
    texts: dict[tuple[str, ...], int] = {}
    colours: dict[tuple[str, ...], int] = {}
    moments = []
    for picture, text_below in zip(replay.pictures, replay.captions, strict=True):
        text = tuple("".join(line) for line in picture.characters)
        pairs = (zip(*lines, strict=True) for lines in zip(picture.inks.tolist(), picture.papers.tolist(), strict=True))
        drawn = tuple("".join(chr(48 + palette.setdefault(pair, len(palette))) for pair in line) for line in pairs)
        numbers = texts.setdefault(text, len(texts)), colours.setdefault(drawn, len(colours))
        moments.append({"text": numbers[0], "colours": numbers[1], "caption": text_below})
    inks = [["#{:02x}{:02x}{:02x}".format(*rgb(colour)) for colour in pair] for pair in palette]
    return {
        "player": replay.player,
        "palette": inks,
        "texts": list(texts),
        "colours": list(colours),
        "moments": moments,
    }


def draw_frames(scene: Scene, columns: int) -> Iterator[Picture]:
    """Draw the moments of a scene, with the players in so many columns; a player who is done stands still."""
    for moment in range(max(len(replay.pictures) for replay in scene.replays)):
        pictures = []
        for replay in scene.replays:
            last = len(replay.pictures) - 1
            at = min(moment, last)
            ink = INK if at < last else GREEN if replay.succeeded else ORANGE
            pictures.append(replay.pictures[at].captioned(replay.captions[at], ink).titled(replay.player))
        yield tiled(pictures, columns)
