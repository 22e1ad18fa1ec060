"""Building of families, networks, setups, hyperparameters and pools from the settings of cells."""

from typing import Any

import jax.numpy as jnp

from incentivize import envs, rewards
from incentivize.agents import cloning, networks, ppo
from incentivize.agents import learner as lr
from incentivize.agents.teachers import TEACHERS
from incentivize.envs.family import Family, Playable
from incentivize.envs.tasks import SPLITS, Pool, Split, make_pool
from incentivize.envs.wrappers.mixture import Mixture
from incentivize.experiments.cells import Cell, Knobs, describe_variant
from incentivize.experiments.settings.schema import Settings
from incentivize.experiments.settings.training import Training
from incentivize.experiments.training.evaluation import EvaluationConfig


def build_setup(cell: Cell) -> lr.Setup:
    """Build the static setup of a cell's training, after the warm start if there is one."""
    taught = cell.learner == "cloning"
    return _setup(cell, cloning.CLONING if taught else ppo.PPO, cell.teacher if taught else None)


def build_warm_start(cell: Cell) -> lr.Setup | None:
    """Build the static setup of the warm start, in which a teacher trains an agent before PPO; None for none."""
    if cell.learner != "ppo" or cell.teacher is None:
        return None
    return _setup(cell, cloning.CLONING_WITH_VALUES, cell.teacher)


def _setup(cell: Cell, algorithm: lr.Algorithm, teacher: str | None) -> lr.Setup:
    family, training = family_of(cell), cell.training
    return lr.Setup(
        family=family,
        network=network_of(training, family),
        algorithm=algorithm,
        reward=rewards.make(training.reward),
        teacher=TEACHERS[teacher] if teacher else None,
        num_envs=training.num_envs,
        steps=training.rollout_steps,
        epochs=training.epochs,
        minibatches=training.minibatches,
    )


def family_of(cell: Cell) -> Playable:
    """Build the family, or the mixture of families, that a cell's agent plays."""
    if len(cell.members) == 1:
        family_knobs: dict[str, Any] = dict(cell.knobs)
        return envs.make(cell.family, cell.control, cell.life, **family_knobs)
    knobs: dict[str, dict[str, Any]] = {member: {} for member in cell.members}
    for name, value in cell.knobs:
        member, _, knob = name.partition(".")
        knobs[member][knob] = value
    return Mixture(tuple(envs.make(name, cell.control, cell.life, **values) for name, values in knobs.items()))


def network_of(training: Training, family: Playable) -> networks.Network:
    """Build the network of agents of a family or mixture.

    Raises:
        ValueError: there is no network of that kind, or none with so few parameters.
    """
    return networks.make(
        training.network,
        family,
        width=training.width,
        depth=training.depth,
        memory=training.memory,
        parameters=training.parameters or None,
    )


def hyper_of(cell: Cell) -> lr.Hyper:
    """Return a cell's traced hyperparameters, float32 [] each."""
    values = {name: getattr(cell.training, name) for name in lr.Hyper._fields}
    if values["entropy_coef_final"] is None:
        values["entropy_coef_final"] = values["entropy_coef"]
    return lr.Hyper(**{name: jnp.float32(value) for name, value in values.items()})


def pool_of(cell: Cell) -> Pool:
    """Return a cell's pool."""
    split: Split = next(name for name in SPLITS if name == cell.pool_split)
    return make_pool(cell.pool_size, seed=cell.pool_seed, split=split, first=cell.pool_first)


def family_from_settings(settings: Settings, name: str) -> Family:
    """Build the family `name` with the settings' knobs, control and life.

    Raises:
        ValueError: a knob, the control or the life is not valid for the family.
    """
    knobs: dict[str, Any] = settings.knobs.get(name, {})
    if "life" in knobs:
        raise ValueError(
            f"life = {knobs['life']!r}: is not a knob, but the same for all families. Set it at the top level."
        )
    control = None if settings.control == "none" else settings.control
    return envs.make(name, control, settings.life, **knobs)


def evaluation_config(cell: Cell) -> EvaluationConfig:
    """Return the sizes of a cell's evaluations."""
    return EvaluationConfig(
        cell.eval_tasks,
        cell.eval_instances,
        cell.eval_specialists,
        cell.simulations,
        cell.attempts,
        cell.likelihood,
        tuple(_shifted_family(cell, knobs) for _, knobs in cell.shifts),
    )


def _shifted_family(cell: Cell, knobs: Knobs) -> tuple[Family, networks.Network]:
    """Build a cell's family with other knobs, and the network of the cell's agents in it.

    Raises:
        ValueError: there is no such family, or the network's parameters differ from those of the cell's own family.
    """
    all_knobs: dict[str, Any] = dict(cell.knobs) | dict(knobs)
    shifted = envs.make(cell.family, cell.control, cell.life, **all_knobs)
    network, own_network = network_of(cell.training, shifted), network_of(cell.training, family_of(cell))
    if network.shapes() != own_network.shapes():
        raise ValueError(
            f"{describe_variant(dict(knobs), 1)}: needs another network than {cell.family} as trained. Drop the shift."
        )
    return shifted, network


def blocks_by_family(cell: Cell, simulations: int = 0) -> list[tuple[str, tuple[str, ...]]]:
    """Return the families that a cell's measures count, in order, with the evaluated blocks of each."""
    return [(member, evaluation_config(cell).blocks(simulations)) for member in cell.members] + [
        (cell.family, (name,)) for name, _ in cell.shifts
    ]
