"""Random-policy steps per second against XLand-MiniGrid-R1-9x9, in alternation within one process."""

import argparse
import json
import statistics
from functools import partial
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import xminigrid
from rich.console import Console
from xminigrid.core.constants import Colors, Tiles
from xminigrid.types import RuleSet
from xminigrid.wrappers import GymAutoResetWrapper

import envs
from experiments import bench
from experiments.pages import number, rich_table
from experiments.store import environment

PEER, ROLLOUTS = "XLand-MiniGrid-R1-9x9", 8
OBJECTS = 6  # tiles laid out by a ruleset


def ruleset(key: jax.Array, rules: int) -> RuleSet:
    """A ruleset drawn at random, of the same form as those published. Consumes `key`.

    OBJECTS tiles lie about; a rule makes another tile of two of them that touch; the goal is to hold the last tile
    made, or to lay it beside the first.
    """
    key_shape, key_colour, key_goal, key_rule = jax.random.split(key, 4)
    shapes = jnp.array([Tiles.BALL, Tiles.SQUARE, Tiles.PYRAMID, Tiles.KEY, Tiles.HEX, Tiles.STAR], jnp.uint8)
    shape = jax.random.choice(key_shape, shapes, (OBJECTS + rules,))
    colour = jax.random.randint(key_colour, (OBJECTS + rules,), Colors.RED, Colors.PINK + 1, jnp.uint8)
    tiles = jnp.stack([shape, colour], axis=1)
    laid, made = tiles[:OBJECTS], tiles[OBJECTS:]
    hold = jnp.concatenate([jnp.array([1], jnp.uint8), made[-1], jnp.zeros(2, jnp.uint8)])  # AgentHoldGoal
    beside = jnp.concatenate([jnp.array([4], jnp.uint8), made[-1], laid[0]])  # TileNearGoal
    kinds = jax.random.randint(key_rule, (rules, 1), 3, 8, jnp.uint8)  # TileNearRule, on any side or on one
    encoded = jnp.concatenate([kinds, laid[:rules], laid[OBJECTS - rules :], made], axis=1)
    return RuleSet(goal=jnp.where(jax.random.bernoulli(key_goal), hold, beside), rules=encoded, init_tiles=laid)


def peer(rules: int) -> tuple[Any, int]:
    """The peer's program, as `bench.random_policy` makes ours, and its environment steps."""
    env, params = xminigrid.make(PEER)
    env = GymAutoResetWrapper(env)

    @jax.jit
    def program(key):
        key_rules, key_reset, key_steps = jax.random.split(key, 3)
        tasks = jax.vmap(partial(ruleset, rules=rules))(jax.random.split(key_rules, bench.NUM_ENVS))
        each = params.replace(ruleset=tasks)

        def step(carry, key):
            timesteps, sums = carry
            actions = jax.random.randint(key, (bench.NUM_ENVS,), 0, env.num_actions(params))
            timesteps = jax.vmap(env.step)(each, timesteps, actions)
            return (timesteps, bench.checksum(sums, timesteps.observation)), (timesteps.reward > 0).sum()

        timesteps = jax.vmap(env.reset)(each, jax.random.split(key_reset, bench.NUM_ENVS))
        carry = timesteps, jnp.zeros_like(timesteps.observation)
        (_, sums), succeeded = jax.lax.scan(step, carry, jax.random.split(key_steps, ROLLOUTS * bench.STEPS))
        return bench.total(sums), succeeded.sum()

    return program, ROLLOUTS * bench.STEPS * bench.NUM_ENVS


def compare(families: list[str], repeats: int, rules: int) -> list[dict[str, Any]]:
    """One row per family: the ratio of its steps/s to the peer's, over pairs of runs one after the other."""
    theirs, their_steps = peer(rules)
    rows = []
    for family in families:
        ours, steps = bench.random_policy(family)
        pairs = []
        for turn in range(repeats + 1):
            key = jax.random.key(turn)
            pairs.append((bench.seconds_once(partial(ours, key)), bench.seconds_once(partial(theirs, key))))
        pairs = pairs[1:]  # the first compiles
        ratios = [(steps / mine) / (their_steps / other) for mine, other in pairs]
        rows.append(
            {
                "family": family,
                "steps/s": round(statistics.median(steps / mine for mine, _ in pairs)),
                "peer's steps/s": round(statistics.median(their_steps / other for _, other in pairs)),
                "ratio": round(statistics.median(ratios), 2),
                "lowest": round(min(ratios), 2),
                "highest": round(max(ratios), 2),
            }
        )
    return rows


def main() -> None:
    """Measures and prints a table, or JSON with the machine and the settings."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--family", nargs="+", choices=envs.names(), default=list(envs.names()), help="which families")
    parser.add_argument("--repeats", type=int, default=9, help="pairs of runs per family")
    parser.add_argument("--rules", type=int, choices=(1, 2, 3), default=1, help="rules per ruleset of the peer")
    parser.add_argument("--json", action="store_true", help="print JSON with hardware, versions and settings")
    arguments = parser.parse_args()
    rows = compare(arguments.family, arguments.repeats, arguments.rules)
    machine = environment()
    machine["versions"]["xminigrid"] = metadata.version("xminigrid")
    settings = (
        f"{PEER}, its automatic reset, a ruleset drawn in code for each environment (rules: {arguments.rules}); "
        f"on both sides {bench.NUM_ENVS} environments x {ROLLOUTS * bench.STEPS} steps, random actions, observations "
        f"folded into the result; median, lowest and highest of {arguments.repeats} pairs run in alternation"
    )
    if arguments.json:
        print(json.dumps({"machine": machine, "settings": settings, "results": rows}, indent=1))
        return
    console = Console()
    lines = [{key: number(value) for key, value in row.items()} for row in rows]
    console.print(rich_table(f"steps/s against {PEER}", lines))
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in ("xminigrid", "jax", "python"))
    where = f"{machine['cores']} cores, {', '.join(machine['devices'])}, {versions}"
    console.print(f"{settings}; {where}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
