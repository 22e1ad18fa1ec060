"""Shipped training values by family and preset, chosen on validation tasks. A family without an entry has the schema's.

Step sizes, minibatches, discounts and entropy bonuses were compared with trials of `incentivize tune`: 12 for either
arm, 40 in programs (docs/results/tuning). Where the best trial was more than .01 better on validation tasks, its values
replaced them: errands and programs incentivized, mazes taught. Networks were chosen by hand, and so were all values of
sequences, for the taught arm: the incentivized arm has not learnt sequences with any values yet.

Budgets are environment steps of a cell, the same for every agent of a family.
"""

from typing import Any

from incentivize.experiments.settings.loading import ALL_OTHER_FAMILIES

TRIALS = {"codebooks": 12, "errands": 12, "mazes": 12, "programs": 40, "puzzles": 12}
"""Tuning trials of either arm that the shipped settings were compared with; see docs/results/tuning."""

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
"""Values of the preset "tiny" in every study: a run of a minute that tests the code. Nothing is learnt in it."""

STANDARD: dict[str, Any] = {
    "seeds": 5,
    "control_seeds": 3,
    "specialists": 32,
    "eval_tasks": 256,
    "eval_instances": 8,
    "evaluations": 8,
    "likelihood": True,
}
"""Values of the preset "standard": the same in every study, so that studies share cells."""

MANY_POOLS = (1, 4, 16, 64, 256, 1024, 4096, 16384, "new")

LARGE: dict[str, Any] = {
    "seeds": 10,
    "control_seeds": 5,
    "specialists": 64,
    "eval_tasks": 1024,
    "evaluations": 11,
}
"""Values of the preset "large", for an accelerator; budgets are `LARGER_BY` times those of "standard"."""

LARGE_POOLS = (65_536, 262_144, 1_048_576)
LARGER_BY = 8  # times the steps


def with_large(presets: dict[str, dict[str, Any]], larger: tuple[int, ...] = LARGE_POOLS) -> dict[str, dict[str, Any]]:
    """Return a study's presets with "large" added, made from "standard".

    Values of `STANDARD` become those of `LARGE`; other values stay. Budgets grow by `LARGER_BY`.

    Args:
        presets: values by name of preset; "standard" is among them.
        larger: pool sizes that "large" adds, where "standard" has several.
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
            family: fields | ({"budget": LARGER_BY * fields["budget"]} if "budget" in fields else {})
            for family, fields in large["training"].items()
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
    """Return a preset's training values by family, and those of all others under `ALL_OTHER_FAMILIES`."""
    if preset == "tiny":
        return {family: fields | _TINY_TRAINING for family, fields in _TRAINING.items()} | {
            ALL_OTHER_FAMILIES: _TINY_TRAINING
        }
    budgets = _BUDGETS[preset]
    families = {*_TRAINING, *budgets}
    return {
        family: _TRAINING.get(family, {}) | ({"budget": budgets[family]} if family in budgets else {})
        for family in families
    }
