"""Columns of results.jsonl and of tasks.npz, and the names of what is evaluated. Does not import jax."""

from typing import Any

import numpy as np

Row = dict[str, Any]


# fmt: off
ROW_KEYS = (
    "cell", "study", "family", "variant", "control", "learner", "teacher", "reward", "network", "n_params", "pool_size",
    "pool_seed", "seed", "budget_kind", "env_steps", "simulations", "evaluated_on", "success", "score", "n_tasks",
    "n_episodes", "role", "success_greedy", "success_best", "attempts", "path",
    "success_by_attempt", "log_likelihood",
)
# fmt: on
"""`success` is of actions drawn from the policy, as in training, `success_greedy` of its most probable ones, and
`success_best` of the best of so many `attempts` with drawn actions; `path` is the number of steps in episodes that
succeeded (drawn actions) over the expert's number of steps in the same. Where an episode is a life of several attempts
at its task, all of these are of the last of them; `success_by_attempt` lists the success of each (drawn actions).
`log_likelihood` is of the expert's actions, nats a decision, where a study asks for it (`incentivize.agents.likelihood`)."""


ROW_IDENTITY = ("cell", "family", "role", "budget_kind", "env_steps", "simulations", "evaluated_on")
"""What a row is of: no two are of the same."""


TASK_FIELDS = [
    ("cell", "U12"),
    ("family", "U32"),  # a cell whose agent plays several is counted in each
    ("env_steps", np.int64),
    ("simulations", np.int32),
    ("evaluated_on", "U16"),
    ("ordinal", np.int64),
    ("successes", np.int32),
    ("successes_greedy", np.int32),
    ("successes_best", np.int32),
    ("episodes", np.int32),
    ("steps", np.int64),  # in the episodes that `successes` counts
    ("expert_steps", np.int64),  # from the same starts
    ("log_likelihood", np.float32),  # of the expert's actions in one episode, nats, where it was asked for
    ("decisions", np.int32),  # that it is the sum over
]


RENAMED_COLUMN = ("split", "evaluated_on")
"""A column of rows and of counts per task that older versions wrote, and its name now."""

RENAMED_BUDGET_KIND = ("split", "equal_share")
"""A value of the column `budget_kind` that older versions wrote, and its name now."""

EVALUATED_BLOCKS = ("seen", "validation", "unseen", "specialty")
"""Evaluated sets of tasks: the cell's pool; validation tasks; held-out tasks; the specialists' held-out tasks."""


def evaluated_blocks(specialists: int) -> tuple[str, ...]:
    """Return those of BLOCKS that are evaluated with so many specialists: without any, no held-out task is."""
    return EVALUATED_BLOCKS if specialists else ("seen", "validation")


def count_fields(life: int) -> list[Any]:
    """What is counted per task: TASK_FIELDS, and successes by attempt of a life, int32 [life]."""
    return [*TASK_FIELDS, ("by_attempt", np.int32, (life,))]


def with_current_names(row: Row) -> Row:
    """Return a row with the names that columns have now, whichever version wrote it."""
    old, new = RENAMED_COLUMN
    row = {new if key == old else key: value for key, value in row.items()}
    if row.get("budget_kind") == RENAMED_BUDGET_KIND[0]:
        row["budget_kind"] = RENAMED_BUDGET_KIND[1]
    return row


def rename_fields(counts: np.ndarray) -> np.ndarray:
    """Return counts per task with the names that fields have now, whichever version wrote them."""
    old, new = RENAMED_COLUMN
    names = tuple(new if name == old else name for name in counts.dtype.names or ())
    if names != counts.dtype.names and counts.dtype.names is not None:
        counts = counts.copy()
        counts.dtype.names = names
    return counts
