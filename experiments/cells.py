"""Cells: one training run each, told apart by everything that decides its outcome. Does not import jax."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from incentivize.experiments.settings.training import Training

NAMES_IN_IDENTITY = {"entropy_coef": "entropy", "entropy_coef_final": "entropy_end", "value_coef": "value"}
"""Settings that ids know by an older name, so that a cell keeps its id."""

Knobs = tuple[tuple[str, bool | int | str], ...]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training run of a study: by default of an incentivized generalist that meets a new task every episode.

    Attributes:
        role: the part it plays in the study's figure, such as "generalist" or "specialist".
        family: one, or several joined by "+": a mixture, whose agent plays them all with an equal share of the steps.
        knobs: of the family; those of a mixture have its name before theirs, such as "errands.values".
        pool_size: of every family; None stands for "every episode a new task".
        pool_first: where the pool begins among the tasks of `pool_split`.
        points: where it is evaluated, rising: environment steps, and what they are to the study ("total" for an agent
            that has them all to itself; "full", "equal_share" or "share" for a specialist's). The last is its budget; 0 steps
            are an agent that has learnt nothing.
        simulations: at every point it is evaluated once with each of these numbers of model steps per decision.
        eval_specialists: held-out tasks that have a specialist; 0 for a cell that looks at no held-out task.
        attempts: at which one success is enough for `success_best`; each is an episode of its own.
        life: attempts at its task that make one episode, one after the other.
        likelihood: whether it is also asked how likely it makes the expert's actions.
        shifts: of its family, that it is evaluated in as well: names of splits, and knobs beside its own.
    """

    study: str
    role: str
    family: str
    knobs: Knobs = ()
    control: str | None = None
    learner: str = "ppo"  # or cloning
    teacher: str | None = None  # dagger or bc, where the learner is taught
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

    @property
    def id(self) -> str:
        """The hash of what it computes, 12 hexadecimal digits: the same in every study, whatever its part there."""
        text = json.dumps(self.identity, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides what it computes, as JSON has it."""
        training = {NAMES_IN_IDENTITY.get(key, key): value for key, value in self.training.model_dump().items()}
        settings = asdict(self) | {"training": training}
        del settings["study"], settings["role"], settings["evaluation_points"]
        settings["points"] = [steps for steps, _ in self.evaluation_points]
        settings["training"]["start_from"] = self.training.start_from.rpartition("#")[2]  # wherever the file lies
        return dict(json.loads(json.dumps(settings)))

    @property
    def members(self) -> tuple[str, ...]:
        """The families that its agent plays."""
        return tuple(self.family.split("+"))

    def variant_of(self, member: str, split: str = "") -> str:
        """The variant, in words, of one of the families that its agent plays, as it is in a split."""
        own = {name.rpartition(".")[2]: value for name, value in self.knobs if name.rpartition(".")[0] in ("", member)}
        return describe_variant(own | dict(dict(self.shifts).get(split, ())), self.life)

    @property
    def label(self) -> str:
        """The cell in a few words, for a person."""
        pool = "new task every episode" if self.pool_size is None else f"pool {self.pool_size:,}"
        family = self.family if len(self.members) == 1 else f"{len(self.members)} families"
        name = f"{family} {self.role}" + (f" ({self.control})" if self.control and self.control != self.role else "")
        if self.pool_split != "training":
            pool = f"task {self.pool_first}" if self.pool_size == 1 else f"held-out pool {self.pool_size:,}"
        return f"{name}, {pool}, seed {self.seed}"


def describe_variant(knobs: dict[str, bool | int | str], life: int) -> str:
    """The knobs in words, and the life if it has several attempts; empty for the family as shipped."""
    several = {"life": life} if life > 1 else {}
    return " ".join(f"{name}={value}" for name, value in (dict(sorted(knobs.items())) | several).items())
