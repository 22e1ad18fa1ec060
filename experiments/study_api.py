"""The door for studies of other packages: every name that one needs, whichever room it stands in.

A study of another package imports from here and from nowhere else of `incentivize.experiments`. The families, rewards
and networks of another package import from `incentivize.envs`, `.rewards` and `.agents`. See `docs/extending.md`.
"""

from incentivize.experiments.analysis.claims import Claim, judge, opened
from incentivize.experiments.analysis.comparisons import LEARNT, by_seed, crossed, floored, paired, unlearnt, unscored
from incentivize.experiments.analysis.estimates import Estimate, jackknife, student
from incentivize.experiments.analysis.guards import above_teacher, not_beaten, scores_by_pool, teachers
from incentivize.experiments.analysis.pool_curves import half, unseen
from incentivize.experiments.analysis.table import Table
from incentivize.experiments.cells import Cell
from incentivize.experiments.design.grid import blind_cells, cell_of, headline_teacher, hidden, on_pool
from incentivize.experiments.design.specialists import specialists
from incentivize.experiments.errors import InputError
from incentivize.experiments.presentation.charts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    Drawn,
    against_budget,
    against_pools,
    canvas,
    legend,
    seeds,
    teacher_level,
)
from incentivize.experiments.settings.presets import STANDARD, TINY, with_large
from incentivize.experiments.settings.schema import Settings, Training, budgets_of, ending, size_of, tasks_in

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "LEARNT",
    "ORANGE",
    "PURPLE",
    "STANDARD",
    "TINY",
    "Cell",
    "Claim",
    "Drawn",
    "Estimate",
    "Settings",
    "InputError",
    "Table",
    "Training",
    "above_teacher",
    "against_budget",
    "against_pools",
    "blind_cells",
    "budgets_of",
    "by_seed",
    "canvas",
    "cell_of",
    "crossed",
    "ending",
    "floored",
    "half",
    "headline_teacher",
    "hidden",
    "jackknife",
    "judge",
    "legend",
    "not_beaten",
    "on_pool",
    "opened",
    "paired",
    "scores_by_pool",
    "seeds",
    "size_of",
    "specialists",
    "student",
    "tasks_in",
    "teacher_level",
    "teachers",
    "unlearnt",
    "unscored",
    "unseen",
    "with_large",
]
