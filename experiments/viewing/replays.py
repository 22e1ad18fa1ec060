"""Replays of a finished run: its agents and the expert at the same starts of tasks that no generalist has met.

They play the first held-out tasks, whatever comes of it: nothing is picked for its look. Actions are drawn, as in
training.
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

KEY = 20_241_116  # of starts and of luck


class Player(NamedTuple):
    """Who plays."""

    name: str
    cells: tuple[Cell, ...]  # one for every task, or one for all; none of them: the expert


class Replay(NamedTuple):
    """What one player did at one task, from the start to the end of the episode."""

    player: str
    pictures: tuple[Picture, ...]  # of T + 1 moments
    captions: tuple[str, ...]  # of the same
    succeeded: bool
    actions: tuple[str, ...]  # in words, of the T steps


class Scene(NamedTuple):
    """One task, and what every player made of it from the same start."""

    family: str
    task: int  # the number of the held-out task
    told: str  # the task in words
    replays: tuple[Replay, ...]


def players(cells: Sequence[Cell], family: str) -> list[Player]:
    """Who is worth looking at: generalists of a small and of the largest pool, specialists, the expert.

    The first seed of each. A pool of one is left out where there is a larger one, as is whoever plays in a control.
    """
    seed = min((cell.seed for cell in cells), default=0)
    mine = [cell for cell in cells if cell.family == family and cell.control is None]
    pools = {cell.pool_size: cell for cell in reversed(mine) if cell.role == "generalist" and cell.seed == seed}
    sizes = sorted(pools, key=lambda size: np.inf if size is None else size)
    shown = [size for size in sizes if size != 1] or sizes
    found = []
    for size in dict.fromkeys([*shown[:1], *shown[-1:]]):
        found.append(Player(f"generalist, {describe_pool(size)}", (pools[size],)))
    own = {
        cell.pool_first: cell for cell in mine if cell.role == "specialist" and cell.evaluation_points[-1][1] == "full"
    }
    if own and set(own) == set(range(len(own))):
        found.append(Player("specialist of this task", tuple(own[task] for task in range(len(own)))))
    return [*found, Player("expert", ())] if found else []


def scenes(store: RunDirectory, cells: Sequence[Cell], family: str, count: int) -> Iterator[Scene]:
    """The first held-out tasks, `count` at most (those that have a specialist, where there are any).

    Raises:
        SettingsError: where the parameters of one who plays are missing or damaged.
    """
    found = players(cells, family)
    if not found:
        return
    world = family_of(found[0].cells[0])
    assert isinstance(world, Family)
    most = min([count, *(len(player.cells) for player in found if len(player.cells) > 1)])
    plays = [_played(store, world, player, most) for player in found]
    for task in range(most):
        digits = world.tasks.heldout(task)
        key_start, key = jax.random.split(jax.random.fold_in(jax.random.key(KEY), task))
        start = _start(world, key_start, jnp.asarray(digits))
        episodes = [jax.device_get(play(task, start, key)) for play in plays]
        shown = [_replay(world, player.name, one) for player, one in zip(found, episodes, strict=True)]
        yield Scene(family, task, world.describe(digits), tuple(shown))


Play = Callable[[int, State, jax.Array], Trajectory]
"""From the number of a task, a start and a key to what is played."""


def _played(store: RunDirectory, family: Family, player: Player, most: int) -> Play:
    """How one plays: by a network and its parameters, one set for every task or one for all; or as the expert."""
    if not player.cells:
        return lambda _, start, key: _by_expert(family, start, key)
    network = network_of(player.cells[0].training, family)
    like = jax.eval_shape(network.init, jax.random.key(0))
    paths = [store.path / "checkpoints" / f"{cell.id}.msgpack" for cell in player.cells[:most]]
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
    """The pictures of an episode up to its end."""
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
    """A scene for a page, as JSON has it: a moment names its text and its colours, which often stay the same."""
    return {
        "family": scene.family,
        "task": scene.task,
        "told": scene.told,
        "replays": list(map(_replay_to_json, scene.replays)),
    }


def _replay_to_json(one: Replay) -> dict[str, Any]:
    palette: dict[tuple[int, int], int] = {}  # ink and paper, to their place, which is one character of a line
    texts: dict[tuple[str, ...], int] = {}
    colours: dict[tuple[str, ...], int] = {}
    moments = []
    for picture, said in zip(one.pictures, one.captions, strict=True):
        text = tuple("".join(line) for line in picture.characters)
        pairs = (zip(*lines, strict=True) for lines in zip(picture.inks.tolist(), picture.papers.tolist(), strict=True))
        drawn = tuple("".join(chr(48 + palette.setdefault(pair, len(palette))) for pair in line) for line in pairs)
        places = texts.setdefault(text, len(texts)), colours.setdefault(drawn, len(colours))
        moments.append({"text": places[0], "colours": places[1], "caption": said})
    inks = [["#{:02x}{:02x}{:02x}".format(*rgb(colour)) for colour in pair] for pair in palette]
    return {
        "player": one.player,
        "palette": inks,
        "texts": list(texts),
        "colours": list(colours),
        "moments": moments,
    }


def frames(scene: Scene, columns: int) -> Iterator[Picture]:
    """Moments of a scene with all players in one picture, so many side by side; who is done stands still."""
    for moment in range(max(len(one.pictures) for one in scene.replays)):
        shown = []
        for one in scene.replays:
            at = min(moment, len(one.pictures) - 1)
            ended = at == len(one.pictures) - 1
            ink = (GREEN if one.succeeded else ORANGE) if ended else INK
            shown.append(one.pictures[at].captioned(one.captions[at], ink).titled(one.player))
        yield tiled(shown, columns)
