"""Memory of a run, estimated from shapes before anything compiles."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import jax
import psutil

from incentivize.agents.networks import Network
from incentivize.envs.family import Family
from incentivize.experiments.errors import InputError
from incentivize.experiments.runtime import cgroup
from incentivize.experiments.training.build import evaluation_config, family_of, network_of
from incentivize.experiments.training.groups import CellGroup

ACTIVATIONS_PER_ENTITY = 8  # vectors of the network's width that a loss and its gradient keep, about


def check_memory(programs: Sequence[Sequence[CellGroup]], workers: int) -> None:
    """Refuse a run whose largest groups do not fit into memory together.

    Args:
        programs: the groups of every program.
        workers: number of groups trained at a time.

    Raises:
        InputError: if they do not fit; the message names the settings that need the memory, and its size.
    """
    needs = [(group_bytes(group), group.cells[0]) for groups in programs for group in groups[:1]]
    if not needs:
        return
    workers_per_device = math.ceil(workers / (1 if jax.default_backend() == "cpu" else jax.local_device_count()))
    needs = sorted(needs, key=lambda need: need[0])[-workers_per_device:]
    total, available = sum(size for size, _ in needs), available_bytes()
    if total > available:
        cell = needs[-1][1]
        training = cell.training
        sizes = {"num_envs": training.num_envs, "rollout_steps": training.rollout_steps, "width": training.width}
        sizes |= {"eval_tasks": cell.eval_tasks, "eval_instances": cell.eval_instances}
        if cell.attempts > 1:
            sizes["attempts"] = cell.attempts
        settings = ", ".join(f"{key} = {value:,}" for key, value in sizes.items())
        workers_clause, advice = "", "Lower these settings"
        if len(needs) > 1:
            workers_clause, advice = f" with {len(needs)} workers", "Lower these settings, or use --workers 1"
        raise InputError(
            f"{cell.label}: needs about {total / 2**30:,.0f} GiB of memory{workers_clause} ({settings}), but only "
            f"{available / 2**30:,.0f} GiB are available{_limited_by(available)}. {advice}."
        )


def group_bytes(group: CellGroup) -> int:
    """Estimate the bytes of a group at its peak, either in training or in an evaluation."""
    cell = group.cells[0]
    training, config = cell.training, evaluation_config(cell)
    family = family_of(cell)
    network = network_of(training, family)
    member_sizes = [_sizes(member, network) for member in family.members]
    state, observation, entities, memory, params = (max(sizes) for sizes in zip(*member_sizes, strict=True))
    steps = training.num_envs * training.rollout_steps
    rollout = steps * (state + 2 * observation) + training.num_envs * (state + memory)  # the bank, and a rollout twice
    floats = steps / training.minibatches * training.width * ACTIVATIONS_PER_ENTITY
    gradient = floats * 4 * max(entities, 1) + 5 * params

    def evaluation(simulations: int) -> int:
        blocks = len(config.blocks(simulations)) + len(config.shifts)
        episodes = (1 + config.attempts_with(simulations)) * blocks * config.tasks * config.instances
        states = 2 + simulations  # a search's tree has a state at every node
        return episodes * (states * (state + memory) + observation + 8 * training.width * max(entities, 1))

    return math.ceil(group.lanes * (rollout + max(gradient, *map(evaluation, config.simulations))))


def available_bytes() -> int:
    """Return the bytes of memory of the smallest accelerator, or else of this machine.

    In a control group, such as a container or a Slurm job, they are at most the group's limit less the bytes in use
    there already, by this process and by others.
    """
    devices = jax.local_devices() if jax.default_backend() != "cpu" else []
    limits = [(device.memory_stats() or {}).get("bytes_limit", 0) for device in devices]
    if smallest := min(limits, default=0):
        return smallest
    total, left = psutil.virtual_memory().total, cgroup.limits().left
    return total if left is None else min(total, left)


def _limited_by(available: int) -> str:
    """Return a clause that names the limit of the container or job, where it is below the machine's memory."""
    limit = cgroup.limits().memory
    if jax.default_backend() != "cpu" or limit is None or available >= psutil.virtual_memory().total:
        return ""
    return f" of the {limit / 2**30:,.1f} GiB that this container or job (its cgroup) may use"


@lru_cache(maxsize=256)
def _sizes(family: Family, network: Network) -> tuple[int, int, int, int, int]:
    """Return the bytes of a state and an observation, the number of entities, the bytes of memory and parameters."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    task = jax.ShapeDtypeStruct((len(family.tasks.radices),), family.tasks.dtype)
    state = jax.eval_shape(family.init, key, task)
    observation = jax.eval_shape(family.observe, state)
    memory, params = jax.eval_shape(network.initial_memory), network.shapes()
    return _bytes(state), _bytes(observation), observation.entities.shape[0], _bytes(memory), _bytes(params)


def _bytes(tree: Any) -> int:
    """Return the bytes of all arrays of a tree."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
