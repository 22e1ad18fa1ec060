"""Settings of a run: one schema for defaults, presets, files and flags. Does not import jax."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StrictStr,
    field_validator,
    model_validator,
)

from incentivize.experiments.settings.training import Count, Steps, Strict, Training

Share = Annotated[float, Field(ge=0, le=1)]
Knob = StrictBool | StrictInt | StrictStr


def _parse_pool_size(value: Any) -> Any:
    """Return None for "new", and any other value as it is."""
    if isinstance(value, str) and value != "new":
        raise ValueError('must be a number of tasks, or "new".')
    return None if value == "new" else value


PoolSize = Annotated[
    Count | None,
    BeforeValidator(_parse_pool_size),
    PlainSerializer(lambda size: "new" if size is None else size, when_used="always"),
]
"""The number of tasks of a pool; None for "every episode a new task", which files, flags and figures call "new"."""

MAX_AXIS_VALUES = 32  # per axis of a grid, so that no grid is endless


def pool_name(size: PoolSize) -> int | str:
    """Return a pool size as files, flags and figures write it: a number, or "new"."""
    return "new" if size is None else size


def pool_names(sizes: Sequence[PoolSize]) -> list[int | str]:
    """Return pool sizes as files, flags and figures write them."""
    return [pool_name(size) for size in sizes]


def pool_order(size: PoolSize) -> float:
    """Return the key that sorts pool sizes, "every episode a new task" last."""
    return math.inf if size is None else size


def _check_unique(values: Sequence[Any]) -> None:
    """Refuse a list that names a value twice.

    Raises:
        ValueError: if it does; the message names the value.
    """
    if repeated := [value for value in values if values.count(value) > 1]:
        raise ValueError(f"names {repeated[0]} twice. Remove one.")


class Settings(Strict):
    """All settings that decide the results of a run. Loads from and dumps to TOML unchanged."""

    study: str
    preset: str = "quick"
    families: tuple[str, ...] = Field(("errands", "mazes"), min_length=1, description="The families to study.")
    knobs: dict[str, dict[str, Knob]] = Field({}, description="Knobs of the families, by family (file only).")
    training: dict[str, Training] = Field({}, description="Training settings by family (file only).")
    seeds: Count = Field(2, ge=1, le=1000, description="Training seeds per cell; each draws a pool of its own.")
    pools: tuple[PoolSize, ...] = Field(
        (1, 4, 64, None),
        min_length=1,
        max_length=MAX_AXIS_VALUES,
        description='Pool sizes; "new": every episode a new task.',
    )
    pool_seed: Count = Field(0, ge=0, le=2**31, description="The first seed's pool; further seeds draw the next ones.")
    control: str = Field(
        "none", description="A control that wraps the families of all agents, such as shuffled: it must show no effect."
    )
    control_pools: tuple[PoolSize, ...] = Field(
        (), max_length=MAX_AXIS_VALUES, description="Pool sizes of the control."
    )
    taught_pools: tuple[PoolSize, ...] = Field(
        (), max_length=MAX_AXIS_VALUES, description="Pool sizes of the taught generalist."
    )
    tastes: tuple[Share, ...] = Field(
        (0.0,), min_length=1, max_length=MAX_AXIS_VALUES, description="Shares of easy starts (taste-and-hunger)."
    )
    hungers: tuple[Share, ...] = Field(
        (0.0,), min_length=1, max_length=MAX_AXIS_VALUES, description="Costs of a step (taste-and-hunger)."
    )
    simulations: tuple[Steps, ...] = Field(
        (0,), min_length=1, max_length=MAX_AXIS_VALUES, description="Model steps per decision (test-time)."
    )
    attempts: Count = Field(
        1, ge=1, le=1024, description="Attempts per task, the best of which is counted as well (test-time)."
    )
    life: Count = Field(1, ge=1, le=16, description="Successive attempts at a task that make one episode.")
    likelihood: StrictBool = Field(
        False, description="Also measure the likelihood of the expert's actions under the policy (emergence)."
    )
    control_seeds: Count = Field(1, ge=1, le=1000, description="Seeds of the control and of the taught generalist.")
    specialists: Count = Field(4, ge=1, le=1024, description="Held-out tasks that each get a specialist.")
    specialist_learners: tuple[Literal["taught", "incentivized"], ...] = Field(
        ("taught",), min_length=1, description="How specialists are trained: taught, incentivized or both (task-count)."
    )
    specialist_envs: Count = Field(
        32, ge=1, le=2**16, description="Environments of a specialist whose budget is small."
    )
    eval_tasks: Count = Field(128, ge=1, le=2**20, description="Tasks per evaluated block.")
    eval_instances: Count = Field(8, ge=1, le=2**20, description="Episodes per task in an evaluation.")
    evaluations: Count = Field(5, ge=1, le=100, description="Evaluations per cell, at budgets that double.")

    @field_validator("pools", "control_pools", "taught_pools")
    @classmethod
    def _pool_sizes(cls, pools: tuple[PoolSize, ...]) -> tuple[PoolSize, ...]:
        for size in pools:
            if size is not None and not 1 <= size <= 2**24:  # beyond, 32-bit draws would favour some tasks
                raise ValueError(f'{size} is not a pool size. Give 1 to {2**24}, or "new".')
        _check_unique(pool_names(pools))
        return tuple(sorted(pools, key=pool_order))

    @field_validator("tastes", "hungers", "simulations")
    @classmethod
    def _rising(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        _check_unique(values)
        return tuple(sorted(values))

    @field_validator("families", "specialist_learners")
    @classmethod
    def _unique(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        _check_unique(names)
        return names

    @model_validator(mode="after")
    def _shared(self) -> "Settings":
        for table in ("training", "knobs"):
            for family in getattr(self, table):
                if family not in self.families:
                    raise ValueError(
                        f"{table}.{family}: is not among families = {list(self.families)}. "
                        "Add it there, or drop the table."
                    )
        for family, training in self.training.items():
            for key in ("minibatches", "taught_minibatches"):
                if self.specialist_envs % (getattr(training, key) or 1):
                    raise ValueError(
                        f"training.{family}.{key} = {getattr(training, key)}: "
                        f"must divide specialist_envs = {self.specialist_envs}. Change one of the two."
                    )
        return self


SAVE_EVERY = 60.0  # seconds between checkpoints by default; changes no result
FLAG_KEYS = tuple(name for name in Settings.model_fields if name not in ("study", "preset", "knobs", "training"))


def doubling_budgets(budget: int, count: int, update: int) -> tuple[int, ...]:
    """Return at most `count` budgets that double up to `budget`, rising: environment steps, whole updates."""
    updates = max(budget // update, 1)
    return tuple(sorted({max(updates >> halvings, 1) * update for halvings in range(count)}))


COMPARED_DOUBLINGS = 4  # from the first budget at which studies compare agents to the last: 16 times the steps


def describe_pool(size: int | None) -> str:
    """Describe a cell's pool size in words."""
    return "every episode a new task" if size is None else f"{size:,} training task{'' if size == 1 else 's'}"


def finite_pools(settings: Settings) -> list[int]:
    """Return the pool sizes of the settings without "every episode a new task"."""
    return [size for size in settings.pools if size is not None]


def evaluation_budgets(settings: Settings, family: str) -> tuple[int, ...]:
    """Return the environment steps at which agents of a family are evaluated, rising."""
    training = settings.training[family]
    return doubling_budgets(training.budget, settings.evaluations, training.steps_per_update)


def compared_budgets(settings: Settings, family: str) -> tuple[int, ...]:
    """Return the evaluation budgets of the last `COMPARED_DOUBLINGS`.

    So the first budget compared does not depend on the number of evaluations.
    """
    return evaluation_budgets(settings, family)[-COMPARED_DOUBLINGS - 1 :]
