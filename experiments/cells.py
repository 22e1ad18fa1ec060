"""Cells: the training of one agent each, identified by everything that decides its result. Does not import jax."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from incentivize.experiments.settings.training import OLDER_NAMES, Training

Knobs = tuple[tuple[str, bool | int | str], ...]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The training of one agent in a study: by default an incentivized generalist with a new task every episode.

    Attributes:
        study: name of the study.
        role: part of the cell in the study's figure, such as "generalist" or "specialist".
        family: name of a family, or several names joined by "+". A mixture's agent plays all its families with equal
            shares of the steps.
        knobs: knobs of the family, sorted; in a mixture with the family's name before them, as in "errands.values".
        control: name of a control around the family, or None.
        learner: "ppo" or "cloning".
        teacher: "dagger", "bc" or the like, where a teacher trains the agent; else None.
        training: training settings.
        pool_size: number of training tasks per family; None for "every episode a new task".
        pool_seed: seed of the pool's order of tasks.
        pool_split: split of the task space that the pool is from.
        pool_first: ordinal of the pool's first task within `pool_split`.
        seed: seed of the training.
        evaluation_points: environment steps of the evaluations, rising, each with its kind of budget: "total" for an
            agent that has all steps to itself; "full", "equal_share" or "share" for a specialist. The last is the
            cell's budget; an evaluation at 0 steps is of an untrained agent.
        eval_tasks: tasks per evaluated block.
        eval_instances: episodes per task in an evaluation.
        eval_specialists: number of held-out tasks that have a specialist; 0 where no held-out task is evaluated.
        simulations: model steps per decision; every point has one evaluation for each number.
        attempts: episodes per instance, of which one success suffices for `success_best`.
        life: successive attempts at a task that make one episode.
        likelihood: whether evaluations measure the log likelihood of the expert's actions.
        shifts: further variants of the family for evaluation: names of blocks (values of
            `evaluated_on`), each with knobs that replace the cell's.
    """

    study: str
    role: str
    family: str
    knobs: Knobs = ()
    control: str | None = None
    learner: str = "ppo"
    teacher: str | None = None
    training: Training
    pool_size: int | None = None
    pool_seed: int = 0
    pool_split: str = "training"
    pool_first: int = 0
    seed: int = 0
    evaluation_points: tuple[tuple[int, str], ...]
    eval_tasks: int
    eval_instances: int
    eval_specialists: int
    simulations: tuple[int, ...] = (0,)
    attempts: int = 1
    life: int = 1
    likelihood: bool = False
    shifts: tuple[tuple[str, Knobs], ...] = ()

    @cached_property
    def id(self) -> str:
        """Hash of the identity, 12 hexadecimal digits: the same in every study and role."""
        text = json.dumps(self.identity, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that decides the cell's result, as JSON types."""
        training = {OLDER_NAMES.get(key, key): value for key, value in self.training.model_dump().items()}
        settings = asdict(self) | {"training": training}
        del settings["study"], settings["role"], settings["evaluation_points"]
        settings["points"] = [steps for steps, _ in self.evaluation_points]
        settings["training"]["start_from"] = self.training.start_from.rpartition("#")[
            2
        ]  # its digest, whatever its path
        return dict(json.loads(json.dumps(settings)))

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the families that the agent plays."""
        return tuple(self.family.split("+"))

    def variant_of(self, member: str, block: str = "") -> str:
        """Describe the variant of one of the cell's families, as it is in an evaluated block."""
        knobs = {
            name.rpartition(".")[2]: value for name, value in self.knobs if name.rpartition(".")[0] in ("", member)
        }
        return describe_variant(knobs | dict(dict(self.shifts).get(block, ())), self.life)

    @property
    def label(self) -> str:
        """Short description of the cell, for a person."""
        pool = "new task every episode" if self.pool_size is None else f"pool {self.pool_size:,}"
        family = self.family if len(self.members) == 1 else f"{len(self.members)} families"
        control = f" ({self.control})" if self.control and self.control != self.role else ""
        if self.pool_split != "training":
            pool = f"task {self.pool_first}" if self.pool_size == 1 else f"held-out pool {self.pool_size:,}"
        return f"{family} {self.role}{control}, {pool}, seed {self.seed}"


def describe_variant(knobs: dict[str, bool | int | str], life: int) -> str:
    """Describe knobs, and the life if it has several attempts; empty for the family as shipped."""
    words = [f"{name}={value}" for name, value in sorted(knobs.items())]
    return " ".join([*words, f"life={life}"] if life > 1 else words)
