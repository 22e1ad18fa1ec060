"""The ledger: resources consumed by a cell."""

import math

from incentivize.experiments.cells import Cell
from incentivize.experiments.settings.presets import TRIALS


def ledger(
    cell: Cell, num_actions: int, horizon: int, flops: int, n_params: int, episodes: int, seconds: float
) -> dict[str, float | int | str]:
    """Count what a cell consumed up to its last budget, evaluations left out.

    `supervision_bits` are the most that the signal can tell: log2(actions) for a label, log2(horizon + 1) for an
    expert's distance, as in a reward on the way, and one for an episode that is rewarded at its end. A gradient counts
    as two forward passes beside its own (Kaplan et al. 2020, arXiv:2001.08361, sec. 2.1). The environments' own work is
    not counted.

    Args:
        cell: the cell.
        num_actions: number of actions of the cell's family.
        horizon: steps of the longest episode of the cell's family.
        flops: FLOPs of one forward pass of the network.
        n_params: number of parameters of the network.
        episodes: number of episodes that ended in training.
        seconds: wall-clock seconds that training took.
    """
    training, steps = cell.training, cell.evaluation_points[-1][0]
    begun = episodes + training.num_envs
    tasks = None if cell.pool_size is None else cell.pool_size * len(cell.members)
    met = begun if tasks is None else tasks * -math.expm1(-begun / tasks)  # expected: tasks are drawn with replacement
    taught = steps if cell.learner == "cloning" else min(training.taught_steps, steps)
    labels = taught if cell.teacher is not None else 0
    rewarded = steps - labels
    distances = rewarded if "shaped" in training.reward.split("+") else 0
    bits = labels * math.log2(num_actions) + distances * math.log2(horizon + 1) + episodes * rewarded / steps
    return {
        "label": cell.label,
        "env_steps": steps,
        "episodes": episodes,
        "distinct_tasks": round(met),
        "expert_labels": labels,
        "expert_calls": labels + distances,
        "supervision_bits": round(bits),
        "gradient_steps": steps // training.steps_per_update * training.epochs * training.minibatches,
        "acting_flops": flops * steps,
        "learning_flops": 3 * flops * steps * training.epochs,
        "parameters": n_params,
        "tuning_trials": max(TRIALS.get(member, 0) for member in cell.members),
        "seconds": round(seconds, 2),
    }
