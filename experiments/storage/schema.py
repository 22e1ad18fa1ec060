"""Columns of results.jsonl and of tasks.npz, and the names of evaluated blocks. Does not import jax."""

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
"""Columns of results.jsonl.

`success` is the share of episodes solved with actions drawn from the policy, as in training; `success_greedy` with the
most probable actions; `success_best` with the best of `attempts` drawn ones. `path` is the number of steps over the
expert's number of steps, in episodes solved with drawn actions. In lives of several attempts all of these are of the
last attempt; `success_by_attempt` lists the success of each (drawn actions). `log_likelihood` is of the expert's
actions, nats per decision, where a study asks for it (`incentivize.agents.likelihood`).
"""


ROW_IDENTITY = ("cell", "family", "role", "budget_kind", "env_steps", "simulations", "evaluated_on")
"""Columns that identify a row: no two rows agree in all of them."""


TASK_FIELDS = [
    ("cell", "U12"),
    ("family", "U32"),  # a cell of several families has counts in each
    ("env_steps", np.int64),
    ("simulations", np.int32),
    ("evaluated_on", "U16"),
    ("ordinal", np.int64),
    ("successes", np.int32),
    ("successes_greedy", np.int32),
    ("successes_best", np.int32),
    ("episodes", np.int32),
    ("steps", np.int64),  # in the episodes counted by `successes`
    ("expert_steps", np.int64),  # the expert's, from the same starts
    ("log_likelihood", np.float32),  # of the expert's actions in one episode, nats; 0 unless a study asks for it
    ("decisions", np.int32),  # whose log likelihoods are summed
]


RENAMED_COLUMN = ("split", "evaluated_on")
"""A column of rows and counts in files of older versions, and its present name."""

RENAMED_BUDGET_KIND = ("split", "equal_share")
"""A value of the column `budget_kind` in files of older versions, and its present name."""

EVALUATED_BLOCKS = ("seen", "validation", "unseen", "specialty")
"""Evaluated sets of tasks: the cell's pool; validation tasks; held-out tasks; the specialists' held-out tasks."""


def evaluated_blocks(specialists: int) -> tuple[str, ...]:
    """Return the blocks that are evaluated with a number of specialists; without any, no held-out task is."""
    return EVALUATED_BLOCKS if specialists else ("seen", "validation")


def count_fields(life: int) -> list[Any]:
    """Return the fields of counts per task: `TASK_FIELDS`, and successes by attempt, int32 [life]."""
    return [*TASK_FIELDS, ("by_attempt", np.int32, (life,))]


def with_current_names(row: Row) -> Row:
    """Return a row with the present names of columns, whichever version wrote it."""
    old, new = RENAMED_COLUMN
    row = {new if key == old else key: value for key, value in row.items()}
    if row.get("budget_kind") == RENAMED_BUDGET_KIND[0]:
        row["budget_kind"] = RENAMED_BUDGET_KIND[1]
    return row


def rename_fields(counts: np.ndarray) -> np.ndarray:
    """Return counts per task with the present names of fields, whichever version wrote them."""
    old, new = RENAMED_COLUMN
    names = tuple(new if name == old else name for name in counts.dtype.names or ())
    if names != counts.dtype.names and counts.dtype.names is not None:
        counts = counts.copy()
        counts.dtype.names = names
    return counts
