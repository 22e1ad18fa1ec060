"""Sharding of one agent over several devices: the environments are divided among them, the parameters are on each.

XLA inserts the communication (`jax.jit` over a mesh with an automatic axis). Results equal those of one device up to
rounding: gradients are means over all environments, whichever device steps them.
"""

from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

Tree = TypeVar("Tree")
Devices = tuple[Any, ...]  # of jax.devices()
ENVS = "envs"  # the mesh's only axis


def mesh_of(devices: Devices) -> Mesh:
    """Return a mesh of the devices that share an agent's environments."""
    return Mesh(np.array(devices), (ENVS,), axis_types=(AxisType.Auto,))


def shard(mesh: Mesh | None, tree: Tree, axis: int = 0) -> Tree:
    """Divide the leaves among the devices along `axis`, except where its length is no multiple of their number.

    Args:
        mesh: the devices. None: return the tree as it is.
        tree: arrays of any shapes, traced.
        axis: the axis of environments.

    Returns:
        The same values with sharding constraints.
    """
    if mesh is None:
        return tree

    def divide(leaf: jax.Array) -> jax.Array:
        if leaf.ndim <= axis or leaf.shape[axis] % mesh.size:
            return leaf
        return jax.lax.with_sharding_constraint(leaf, NamedSharding(mesh, P(*[None] * axis, ENVS)))

    return jax.tree.map(divide, tree)
