"""One agent on several devices: its environments are divided among them, its parameters are on each.

XLA finds out what has to be sent where (`jax.jit` over a mesh with an automatic axis). What is computed is the same as
on one device up to rounding: gradients are means over all environments, whoever steps them.
"""

from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

Tree = TypeVar("Tree")
ENVS = "envs"


Devices = tuple[Any, ...]  # of jax.devices()


def mesh_of(devices: Devices) -> Mesh:
    """A mesh of devices that share an agent's environments."""
    return Mesh(np.array(devices), (ENVS,), axis_types=(AxisType.Auto,))


def shard(mesh: Mesh | None, tree: Tree, axis: int = 0) -> Tree:
    """The same values, leaves divided among the devices along an axis where that can be done evenly."""
    if mesh is None:
        return tree

    def divided(leaf: jax.Array) -> jax.Array:
        if leaf.ndim <= axis or leaf.shape[axis] % mesh.size:
            return leaf
        return jax.lax.with_sharding_constraint(leaf, NamedSharding(mesh, P(*[None] * axis, ENVS)))

    return jax.tree.map(divided, tree)
