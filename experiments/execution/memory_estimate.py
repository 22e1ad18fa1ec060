"""Whether a run fits into memory, guessed from shapes before anything compiles."""

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

FLOATS = 8  # of the network's width that a loss and its gradient keep for every entity of an observation, about


def check_memory(programs: Sequence[Sequence[CellGroup]], workers: int) -> None:
    """Refuse groups that cannot fit, as many at a time as there are workers.

    Raises:
        SettingsError: which settings are to blame, and how much there is.
    """
    needs = [(group_bytes(group), group.cells[0]) for groups in programs for group in groups[:1]]
    if not needs:
        return
    each = math.ceil(workers / (1 if jax.default_backend() == "cpu" else jax.local_device_count()))  # to a device
    needs = sorted(needs, key=lambda need: need[0])[-each:]
    total, room = sum(size for size, _ in needs), available_bytes()
    if total > room:
        cell = needs[-1][1]
        training = cell.training
        blame = (
            f"num_envs = {training.num_envs:,}, rollout_steps = {training.rollout_steps:,}, width = {training.width:,}"
        )
        blame += f", eval_tasks = {cell.eval_tasks:,}, eval_instances = {cell.eval_instances:,}"
        if cell.attempts > 1:
            blame += f", attempts = {cell.attempts:,}"
        many = f" with {len(needs)} workers" if len(needs) > 1 else ""
        raise InputError(
            f"{cell.label}: needs about {total / 2**30:,.0f} GiB of memory{many} ({blame}), and there are "
            f"{room / 2**30:,.0f} GiB{_where(room)}; want less of these" + (", or --workers 1" if many else "")
        )


def group_bytes(group: CellGroup) -> int:
    """Bytes that a group takes at its peak, about: training and evaluation come one after the other."""
    cell = group.cells[0]
    training, sizes = cell.training, evaluation_config(cell)
    family = family_of(cell)
    network = network_of(training, family)
    of_each = [_sizes(member, network) for member in family.members]
    state, seen, entities, remembered, params = (max(sizes) for sizes in zip(*of_each, strict=True))
    steps = training.num_envs * training.rollout_steps
    kept = steps * (state + 2 * seen) + training.num_envs * (state + remembered)  # the bank, and a rollout twice
    learnt = steps / training.minibatches * training.width * FLOATS * 4 * max(entities, 1) + 5 * params

    def evaluated(simulations: int) -> int:
        blocks = len(sizes.blocks(simulations)) + len(sizes.shifts)
        episodes = (1 + sizes.attempts_with(simulations)) * blocks * sizes.tasks * sizes.instances
        tried = 2 + simulations  # a search's tree has a state at every node
        return episodes * (tried * (state + remembered) + seen + 8 * training.width * max(entities, 1))

    return math.ceil(group.lanes * (kept + max(learnt, *map(evaluated, sizes.simulations))))


def available_bytes() -> int:
    """Return the bytes of memory there are: of the smallest accelerator, or else of this machine.

    In a control group, such as a container or a Slurm job, it is at most what the group's limit leaves: what is in use
    there already, by this process and by others, is not to be had again.
    """
    devices = jax.local_devices() if jax.default_backend() != "cpu" else []
    limits = [(device.memory_stats() or {}).get("bytes_limit", 0) for device in devices]
    if least := min(limits, default=0):
        return least
    total, left = psutil.virtual_memory().total, cgroup.limits().left
    return total if left is None else min(total, left)


def _where(room: int) -> str:
    """Say whose memory it is, where that is not the machine's."""
    limit = cgroup.limits().memory
    if jax.default_backend() != "cpu" or limit is None or room >= psutil.virtual_memory().total:
        return ""
    return f" left of the {limit / 2**30:,.1f} GiB that this container or job (its cgroup) may use"


@lru_cache(maxsize=256)
def _sizes(family: Family, network: Network) -> tuple[int, int, int, int, int]:
    """Bytes of a state and an observation, entities in it, bytes of the network's memory and of its parameters."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    task = jax.ShapeDtypeStruct((len(family.tasks.radices),), family.tasks.dtype)
    state = jax.eval_shape(family.init, key, task)
    seen = jax.eval_shape(family.observe, state)
    memory, params = jax.eval_shape(network.initial_memory), jax.eval_shape(network.init, key)
    return _bytes(state), _bytes(seen), seen.entities.shape[0], _bytes(memory), _bytes(params)


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
