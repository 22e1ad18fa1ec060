"""Settings of the training of one agent. Does not import jax."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from incentivize.experiments.settings.paths import expand_local_path


class Strict(BaseModel):
    """Model that refuses unknown keys, infinities and NaN, and cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Count = Annotated[int, Field(strict=True)]  # true and "3" are no counts
Steps = Annotated[Count, Field(ge=0, le=10**15)]


ARMS = ("incentivized", "taught")
TAUGHT_OVERRIDES = ("learning_rate", "minibatches")
"""Keys with a `taught_` twin. Cloning has no entropy bonus, discount or advantages to tune."""


class Training(Strict):
    """Settings of one agent's training. Both arms share all values except those of `TAUGHT_OVERRIDES`."""

    network: str = Field("mlp", description="The network: see `incentivize list networks`.")
    memory: str = Field("none", description="Memory within an episode: none, gru or attention.")
    width: Count = Field(64, ge=1, le=4096, description="Units per layer.")
    depth: Count = Field(1, ge=0, le=16, description="Layers after those of the encoder.")
    parameters: Count = Field(
        0, ge=0, le=10**9, description="If not 0, choose the width that fits this many parameters."
    )
    reward: str = Field(
        "sparse", description="The incentive, or a sum such as sparse+hunger: `incentivize list rewards`."
    )
    budget: Count = Field(1_000_000, ge=1, le=10**15, description="Environment steps of a cell's training.")
    learning_rate: float = Field(1e-3, gt=0, lt=1, description="Learning rate of Adam, constant.")
    weight_decay: float = Field(0.0, ge=0, lt=1, description="Decoupled weight decay.")
    gamma: float = Field(0.95, gt=0, le=1, description="Discount per step.")
    lam: float = Field(0.9, ge=0, le=1, description="Lambda of the generalised advantage estimate.")
    clip: float = Field(0.2, gt=0, description="PPO's range of the probability ratio.")
    entropy_coef: float = Field(0.01, ge=0, description="Initial weight of the entropy bonus.")
    entropy_coef_final: float | None = Field(
        None, ge=0, description="Final weight of the entropy bonus, if it changes."
    )
    entropy_steps: Steps = Field(0, description="Environment steps over which the entropy weight changes, linearly.")
    value_coef: float = Field(0.5, ge=0, description="Weight of the value loss.")
    max_grad_norm: float = Field(0.5, gt=0, description="Global norm that gradients are scaled down to.")
    num_envs: Count = Field(512, ge=1, le=2**16, description="Environments stepped side by side.")
    rollout_steps: Count = Field(16, ge=1, le=2**12, description="Steps of each environment per update.")
    epochs: Count = Field(2, ge=1, le=1000, description="Passes over a rollout.")
    minibatches: Count = Field(4, ge=1, le=2**16, description="Minibatches per pass; they divide the environments.")
    hunger: float = Field(0.01, ge=0, le=1, description="Cost of a step (rewards hunger, fading).")
    shaping: float = Field(1.0, ge=0, le=100, description="Total worth of the way to success (reward shaped).")
    taste: float = Field(0.5, ge=0, le=1, description="Share of episodes that begin near success (reward taste).")
    taste_steps: Steps = Field(1_000_000, description="Environment steps until the share of easy starts is 0.")
    near: Count = Field(2, ge=1, le=1000, description="Largest distance of easy starts from success, expert steps.")
    noise: float = Field(0.0, ge=0, le=1, description="Probability that a label of a teacher is a random legal action.")
    demonstrations: Count = Field(
        1000, ge=1, le=2**24, description="Number of demonstrations of a teacher that shows a fixed number."
    )
    taught_steps: Steps = Field(0, description="Environment steps of teaching before an agent is incentivized.")
    taught_learning_rate: float | None = Field(
        None, gt=0, lt=1, description="Learning rate of taught agents, if it differs."
    )
    taught_minibatches: Count | None = Field(
        None, ge=1, le=2**16, description="Minibatches per pass of taught agents, if they differ."
    )
    start_from: str = Field(
        "",
        description="File checkpoints/<cell>.msgpack of another run, relative to the current folder: "
        "every agent starts with its parameters.",
    )

    @field_validator("start_from")
    @classmethod
    def _local(cls, path: str) -> str:
        return expand_local_path(path)

    @model_validator(mode="after")
    def _divisible(self) -> "Training":
        for key in ("minibatches", "taught_minibatches"):
            if self.num_envs % (getattr(self, key) or 1):
                raise ValueError(
                    f"{key} = {getattr(self, key)}: must divide num_envs = {self.num_envs}. Give a divisor of it."
                )
        if self.budget < self.steps_per_update:
            raise ValueError(
                f"budget = {self.budget}: must be at least one update, num_envs x rollout_steps = "
                f"{self.steps_per_update}. Raise it."
            )
        return self

    def for_learner(self, learner: str) -> "Training":
        """Return the settings of agents of a learner: for cloning, with the `taught_` values in place."""
        update: dict[str, Any] = {}
        for key in TAUGHT_OVERRIDES:
            taught_value = getattr(self, f"taught_{key}")
            update[f"taught_{key}"] = None
            if learner == "cloning" and taught_value is not None:
                update[key] = taught_value
        return self.model_copy(update=update)

    @property
    def steps_per_update(self) -> int:
        """Environment steps of one update."""
        return self.num_envs * self.rollout_steps


def network_name(training: Training) -> str:
    """Return encoder and memory as one name, such as "mlp+gru"."""
    return training.network if training.memory == "none" else f"{training.network}+{training.memory}"


TRAINING_KEYS = tuple(Training.model_fields)

OLDER_NAMES = {"entropy_coef": "entropy", "entropy_coef_final": "entropy_end", "value_coef": "value"}
"""Names of training settings in older versions: ids of cells keep them, and older run directories have them."""
