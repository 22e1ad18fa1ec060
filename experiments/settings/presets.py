"""Shipped training values by family and preset, chosen on validation tasks. A family without an entry has the schema's.

Step sizes, minibatches, discounts and entropy bonuses were held against `incentivize tune`, with as many trials for
either arm: 12, of programs 40 (docs/results/tuning has them all). They were replaced where the best trial beat them by
more than .01 on validation tasks (less may be luck): errands and programs incentivized, mazes taught. Networks were
chosen by hand. The values of sequences were, too, for the taught arm: the incentivized one has not learnt it with any
yet.

The budgets are the environment steps of one training run; every agent of a family gets the same.
"""

from typing import Any

from incentivize.experiments.settings.loading import ALL_OTHER_FAMILIES

TRIALS = {"codebooks": 12, "errands": 12, "mazes": 12, "programs": 40, "puzzles": 12}
"""Of either arm, that the shipped settings were held against; see docs/results/tuning."""

PRESETS = ("tiny", "quick", "standard", "large")

TINY: dict[str, Any] = {
    "families": ("mazes",),
    "seeds": 3,
    "pools": (1, 4, 16, 64, "new"),
    "control_seeds": 3,
    "specialists": 3,
    "specialist_envs": 4,
    "eval_tasks": 8,
    "eval_instances": 2,
    "evaluations": 4,
}
"""What studies have in their preset "tiny": a minute, to see that all of it runs; nothing is learnt in it."""

STANDARD: dict[str, Any] = {
    "seeds": 5,
    "control_seeds": 3,
    "specialists": 32,
    "eval_tasks": 256,
    "eval_instances": 8,
    "evaluations": 8,
    "likelihood": True,
}
"""What studies have in their preset "standard": the same for all, so that they share training runs."""

MANY_POOLS = (1, 4, 16, 64, 256, 1024, 4096, 16384, "new")

LARGE: dict[str, Any] = {
    "seeds": 10,
    "control_seeds": 5,
    "specialists": 64,
    "eval_tasks": 1024,
    "evaluations": 11,
}
"""What studies have in their preset "large", for an accelerator, beside eight times the steps of "standard"."""

LARGE_POOLS = (65_536, 262_144, 1_048_576)
LARGER_BY = 8  # times the steps


def with_large(presets: dict[str, dict[str, Any]], larger: tuple[int, ...] = LARGE_POOLS) -> dict[str, dict[str, Any]]:
    """A study's presets, and "large" made from "standard": more steps, `larger` pools if there are several.

    It has the values of LARGE where "standard" has those of STANDARD: a study's own stay.
    """
    standard = presets["standard"]
    large = standard | {key: value for key, value in LARGE.items() if standard.get(key) == STANDARD[key]}
    pools = large.get("pools", ())
    if len(pools) > 1:
        large["pools"] = (*pools[:-1], *larger, pools[-1])
    for key in ("control_pools", "taught_pools"):
        if len(large.get(key, ())) > 1:
            large[key] = large["pools"]
    if "budget" in large:
        large["budget"] *= LARGER_BY
    if "training" in large:
        large["training"] = {
            family: own | ({"budget": LARGER_BY * own["budget"]} if "budget" in own else {})
            for family, own in large["training"].items()
        }
    return presets | {"large": large}


_TINY_TRAINING = {
    "num_envs": 16,
    "rollout_steps": 8,
    "width": 8,
    "minibatches": 2,
    "taught_minibatches": 2,
    "budget": 1024,
}

_TRAINING: dict[str, dict[str, Any]] = {
    "codebooks": {
        "network": "mlp",
        "memory": "gru",
        "learning_rate": 2e-3,
        "gamma": 1.0,
        "lam": 0.95,
        "entropy_coef": 0.05,
        "entropy_coef_final": 0.005,
        "entropy_steps": 2_000_000,
        "minibatches": 8,
    },
    "errands": {
        "network": "relational",
        "learning_rate": 2.19e-3,
        "taught_learning_rate": 3e-3,
        "gamma": 0.8,
        "entropy_coef": 0.0216,
        "entropy_coef_final": 0.001039,
        "entropy_steps": 750_000,
        "minibatches": 16,
        "taught_minibatches": 4,
    },
    "mazes": {
        "network": "mlp",
        "learning_rate": 2e-3,
        "taught_learning_rate": 2.19e-3,
        "minibatches": 8,
        "taught_minibatches": 16,
    },
    "programs": {
        "network": "mlp",
        "width": 128,
        "learning_rate": 1.899e-3,
        "taught_learning_rate": 4e-3,
        "gamma": 0.95,
        "lam": 0.8,
        "entropy_coef": 0.0292,
        "entropy_coef_final": 0.006198,
        "entropy_steps": 3_000_000,
        "minibatches": 16,
    },
    "puzzles": {
        "network": "pairs",
        "width": 32,
        "learning_rate": 3e-3,
        "gamma": 0.9,
        "entropy_coef": 0.02,
        "minibatches": 8,
    },
    "sequences": {
        "network": "mlp",
        "memory": "attention",
        "num_envs": 256,
        "rollout_steps": 32,
        "gamma": 1.0,
        "lam": 0.95,
        "entropy_coef": 0.005,
    },
}

_BUDGETS: dict[str, dict[str, int]] = {
    "quick": {
        "codebooks": 3_000_000,
        "errands": 750_000,
        "mazes": 1_200_000,
        "programs": 6_000_000,
        "puzzles": 1_000_000,
        "sequences": 2_000_000,
    },
    "standard": {
        "codebooks": 3_000_000,
        "errands": 1_500_000,
        "mazes": 3_000_000,
        "programs": 12_000_000,
        "puzzles": 1_000_000,
        "sequences": 8_000_000,
    },
}
_BUDGETS["large"] = {family: LARGER_BY * steps for family, steps in _BUDGETS["standard"].items()}


def training_defaults(preset: str) -> dict[str, dict[str, Any]]:
    """Training values by family; under OTHERS those of every other."""
    if preset == "tiny":
        return {family: own | _TINY_TRAINING for family, own in _TRAINING.items()} | {
            ALL_OTHER_FAMILIES: _TINY_TRAINING
        }
    budgets = _BUDGETS[preset]
    families = {*_TRAINING, *budgets}
    return {
        family: _TRAINING.get(family, {}) | ({"budget": budgets[family]} if family in budgets else {})
        for family in families
    }
