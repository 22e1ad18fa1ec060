"""Settings of a run: one schema for defaults, presets, files and flags. Does not import jax.

Precedence: shipped defaults < preset < file (TOML) < flags. Every wrong key and value is reported at once.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from incentivize.experiments.settings.places import expand_local_path


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Count = Annotated[int, Field(strict=True)]  # true and "3" are no counts


Share = Annotated[float, Field(ge=0, le=1)]
Steps = Annotated[Count, Field(ge=0, le=10**15)]
Knob = StrictBool | StrictInt | StrictStr


ARMS = ("incentivized", "taught")
TAUGHT_OVERRIDES = ("learning_rate", "minibatches")  # cloning has no bonus, no discount and no advantages to be tuned


class Training(_Strict):
    """How one agent is trained. Both arms share every value, but for the two that have a `taught_` twin."""

    network: str = Field("mlp", description="the network: see `incentivize list networks`")
    memory: str = Field("none", description="what it remembers within an episode: none, gru or attention")
    width: Count = Field(64, ge=1, le=4096, description="units per layer")
    depth: Count = Field(1, ge=0, le=16, description="layers after the encoder's own")
    parameters: Count = Field(0, ge=0, le=10**9, description="if not 0, the width is what fits this many parameters")
    reward: str = Field(
        "sparse", description="the incentive, or a sum such as sparse+hunger: `incentivize list rewards`"
    )
    budget: Count = Field(1_000_000, ge=1, le=10**15, description="environment steps of one training run")
    learning_rate: float = Field(1e-3, gt=0, lt=1, description="Adam's step size, constant")
    weight_decay: float = Field(0.0, ge=0, lt=1, description="decoupled weight decay")
    gamma: float = Field(0.95, gt=0, le=1, description="discount per step")
    lam: float = Field(0.9, ge=0, le=1, description="lambda of the generalised advantage estimate")
    clip: float = Field(0.2, gt=0, description="PPO's range of the probability ratio")
    entropy_coef: float = Field(0.01, ge=0, description="weight of the entropy bonus, at first")
    entropy_coef_final: float | None = Field(None, ge=0, description="and in the end, if it changes")
    entropy_steps: Steps = Field(0, description="environment steps over which it changes, linearly")
    value_coef: float = Field(0.5, ge=0, description="weight of the value loss")
    max_grad_norm: float = Field(0.5, gt=0, description="gradients are scaled down to this global norm")
    num_envs: Count = Field(512, ge=1, le=2**16, description="environments stepped side by side")
    rollout_steps: Count = Field(16, ge=1, le=2**12, description="steps of each environment per update")
    epochs: Count = Field(2, ge=1, le=1000, description="passes over a rollout")
    minibatches: Count = Field(4, ge=1, le=2**16, description="minibatches per pass; they divide the environments")
    hunger: float = Field(0.01, ge=0, le=1, description="what a step costs (rewards hunger, fading)")
    shaping: float = Field(1.0, ge=0, le=100, description="what the whole way is worth (reward shaped)")
    taste: float = Field(0.5, ge=0, le=1, description="share of episodes that begin near success (reward taste)")
    taste_steps: Steps = Field(1_000_000, description="environment steps until that share is 0")
    near: Count = Field(2, ge=1, le=1000, description="expert steps from success, at most, where they do")
    noise: float = Field(0.0, ge=0, le=1, description="how often a teacher errs")
    demonstrations: Count = Field(1000, ge=1, le=2**24, description="how many a teacher has that shows a fixed number")
    taught_steps: Steps = Field(0, description="environment steps of teaching before an agent is incentivized")
    taught_learning_rate: float | None = Field(None, gt=0, lt=1, description="learning_rate of agents that are taught")
    taught_minibatches: Count | None = Field(None, ge=1, le=2**16, description="minibatches of agents that are taught")
    start_from: str = Field(
        "",
        description="a file checkpoints/<cell>.msgpack of another run, seen from the folder in which the command runs: "
        "every agent starts with its parameters",
    )

    @field_validator("start_from")
    @classmethod
    def _local(cls, path: str) -> str:
        return expand_local_path(path)

    @model_validator(mode="after")
    def _divisible(self) -> "Training":
        for key in ("minibatches", "taught_minibatches"):
            if self.num_envs % (getattr(self, key) or 1):
                raise ValueError(f"{key} = {getattr(self, key)} must divide num_envs = {self.num_envs}")
        if self.budget < self.steps_per_update:
            raise ValueError(
                f"budget = {self.budget} is less than one update of num_envs x rollout_steps = {self.steps_per_update}"
            )
        return self

    def for_learner(self, learner: str) -> "Training":
        """As the agents of a learner have it: what is tuned for either arm may be another for those that are taught."""
        update: dict[str, Any] = {}
        for key in TAUGHT_OVERRIDES:
            own = getattr(self, f"taught_{key}")
            update |= {f"taught_{key}": None} | ({key: own} if learner == "cloning" and own is not None else {})
        return self.model_copy(update=update)

    @property
    def steps_per_update(self) -> int:
        """Environment steps of one update."""
        return self.num_envs * self.rollout_steps


def network_name(training: Training) -> str:
    """Encoder and memory in one word, such as "mlp+gru"."""
    return training.network if training.memory == "none" else f"{training.network}+{training.memory}"


PoolSize = Count | Literal["new"]
MAX_AXIS_VALUES = 32  # values of an axis at most: what a grid is made of has to have an end


class Settings(_Strict):
    """Everything that decides what a run computes. Loads from and dumps to TOML unchanged."""

    study: str
    preset: str = "quick"
    families: tuple[str, ...] = Field(("errands", "mazes"), min_length=1, description="the families to study")
    knobs: dict[str, dict[str, Knob]] = Field({}, description="knobs of the families, by family (file only)")
    training: dict[str, Training] = Field({}, description="training settings by family (file only)")
    seeds: Count = Field(2, ge=1, le=1000, description="training seeds per cell; each draws a pool of its own")
    pools: tuple[PoolSize, ...] = Field(
        (1, 4, 64, "new"),
        min_length=1,
        max_length=MAX_AXIS_VALUES,
        description='pool sizes; "new": every episode a new task',
    )
    pool_seed: Count = Field(0, ge=0, le=2**31, description="the first seed's pool; further seeds draw the next ones")
    control: str = Field(
        "none", description="a control around the families of all agents, such as shuffled: nothing may be found in it"
    )
    control_pools: tuple[PoolSize, ...] = Field((), max_length=MAX_AXIS_VALUES, description="pool sizes of the control")
    taught_pools: tuple[PoolSize, ...] = Field(
        (), max_length=MAX_AXIS_VALUES, description="pool sizes of the taught generalist"
    )
    tastes: tuple[Share, ...] = Field(
        (0.0,), min_length=1, max_length=MAX_AXIS_VALUES, description="shares of easy starts (taste-and-hunger)"
    )
    hungers: tuple[Share, ...] = Field(
        (0.0,), min_length=1, max_length=MAX_AXIS_VALUES, description="costs of a step (taste-and-hunger)"
    )
    simulations: tuple[Steps, ...] = Field(
        (0,), min_length=1, max_length=MAX_AXIS_VALUES, description="model steps per decision (test-time)"
    )
    attempts: Count = Field(1, ge=1, le=1024, description="attempts of which the best counts as well (test-time)")
    life: Count = Field(1, ge=1, le=16, description="attempts at a task, one after the other, that make one episode")
    likelihood: StrictBool = Field(
        False, description="whether it is also measured how likely an agent makes the expert's actions (emergence)"
    )
    control_seeds: Count = Field(1, ge=1, le=1000, description="seeds of the control and of the taught generalist")
    specialists: Count = Field(4, ge=1, le=1024, description="held-out tasks that get a specialist each")
    specialist_learners: tuple[Literal["taught", "incentivized"], ...] = Field(
        ("taught",), min_length=1, description="how: taught, incentivized or both (task-count)"
    )
    specialist_envs: Count = Field(32, ge=1, le=2**16, description="environments of a specialist whose budget is small")
    eval_tasks: Count = Field(128, ge=1, le=2**20, description="tasks per split in an evaluation")
    eval_instances: Count = Field(8, ge=1, le=2**20, description="episodes per task in an evaluation")
    evaluations: Count = Field(5, ge=1, le=100, description="evaluations of a run, at budgets that double")

    @field_validator("pools", "control_pools", "taught_pools")
    @classmethod
    def _pool_sizes(cls, pools: tuple[PoolSize, ...]) -> tuple[PoolSize, ...]:
        for size in pools:
            if size != "new" and not 1 <= size <= 2**24:  # beyond, 32-bit draws would favour some tasks
                raise ValueError(f'pool size {size}: want 1 to {2**24}, or "new"')
        if len(set(pools)) < len(pools):
            raise ValueError(f"{list(pools)}: every pool size once")
        return tuple(sorted(pools, key=lambda size: 2**32 if size == "new" else size))

    @field_validator("tastes", "hungers", "simulations")
    @classmethod
    def _rising(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(values)) < len(values):
            raise ValueError(f"{list(values)}: every value once")
        return tuple(sorted(values))

    @field_validator("families", "specialist_learners")
    @classmethod
    def _unique(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"{list(names)}: every {'family' if info.field_name == 'families' else 'learner'} once")
        return names

    @model_validator(mode="after")
    def _shared(self) -> "Settings":
        for family in (*self.training, *self.knobs):
            if family not in self.families:
                raise ValueError(f"{family} is configured but not among families = {list(self.families)}")
        for training in self.training.values():
            for key in ("minibatches", "taught_minibatches"):
                if self.specialist_envs % (getattr(training, key) or 1):
                    envs = self.specialist_envs
                    raise ValueError(f"{key} = {getattr(training, key)} must divide specialist_envs = {envs}")
        return self


SAVE_EVERY = 60.0  # seconds between checkpoints, unless somebody asks for others; decides nothing that is computed
TRAINING_KEYS = tuple(Training.model_fields)
FLAG_KEYS = tuple(name for name in Settings.model_fields if name not in ("study", "preset", "knobs", "training"))


def doubling_budgets(budget: int, count: int, update: int) -> tuple[int, ...]:
    """At most `count` budgets that double up to `budget`, in whole updates of `update` steps, rising."""
    updates = max(budget // update, 1)
    return tuple(sorted({max(updates >> halvings, 1) * update for halvings in range(count)}))


COMPARED_DOUBLINGS = 4  # from the budget at which studies first compare agents to the last: 16 times as many steps


def size_of(pool: PoolSize) -> int | None:
    """A pool size as cells have it."""
    return None if pool == "new" else pool


def describe_pool(size: int | None) -> str:
    """A cell's pool size in words."""
    return "every episode a new task" if size is None else f"{size:,} training task{'s' * (size != 1)}"


def finite_pools(settings: Settings) -> list[int]:
    """The sizes of the pools that end: all but every-episode-new."""
    return [size for size in settings.pools if size != "new"]


def evaluation_budgets(settings: Settings, family: str) -> tuple[int, ...]:
    """The environment steps at which agents are evaluated, rising."""
    training = settings.training[family]
    return doubling_budgets(training.budget, settings.evaluations, training.steps_per_update)


def compared_budgets(settings: Settings, family: str) -> tuple[int, ...]:
    """Those of the last DOUBLINGS: the first budget compared does not hang on how often agents are evaluated."""
    return evaluation_budgets(settings, family)[-COMPARED_DOUBLINGS - 1 :]
