"""The door for studies of other packages: every name of `incentivize.experiments` that they need.

A study of another package imports from here and from nowhere else of `incentivize.experiments`. Families, rewards and
networks of another package import from `incentivize.envs`, `.rewards` and `.agents`. See `docs/extending.md`.
"""

from incentivize.experiments.analysis.claim_guards import (
    scores_by_pool,
    teacher_levels,
    why_above_teacher,
    why_not_beaten,
)
from incentivize.experiments.analysis.claims import Claim, judge, leave_open
from incentivize.experiments.analysis.comparisons import (
    LEARNT_SCORE,
    by_seed,
    floor_at_zero,
    paired_difference,
    seed_matrix,
    seeds_by_tasks,
    why_not_learnt,
    why_unscored,
)
from incentivize.experiments.analysis.estimates import Estimate, jackknife, t_interval
from incentivize.experiments.analysis.pool_curves import n_star, unseen
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.cells import Cell
from incentivize.experiments.design.grid import blind_cells, cell_of, has_hidden_rule, headline_teacher, on_pool
from incentivize.experiments.design.specialists import specialists
from incentivize.experiments.errors import InputError
from incentivize.experiments.presentation.charts import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    PlotRows,
    describe_seeds,
    draw_teacher_level,
    legend,
    new_figure,
    plot_by_budget,
    plot_by_pool,
)
from incentivize.experiments.presentation.tables import mean_or_dash
from incentivize.experiments.settings.presets import STANDARD, TINY, with_large
from incentivize.experiments.settings.schema import Settings, describe_pool, evaluation_budgets, finite_pools
from incentivize.experiments.settings.training import Training

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "LEARNT_SCORE",
    "ORANGE",
    "PURPLE",
    "STANDARD",
    "TINY",
    "Cell",
    "Claim",
    "Estimate",
    "InputError",
    "PlotRows",
    "ResultsTable",
    "Settings",
    "Training",
    "blind_cells",
    "by_seed",
    "cell_of",
    "describe_pool",
    "describe_seeds",
    "draw_teacher_level",
    "evaluation_budgets",
    "finite_pools",
    "floor_at_zero",
    "has_hidden_rule",
    "headline_teacher",
    "jackknife",
    "judge",
    "leave_open",
    "legend",
    "mean_or_dash",
    "n_star",
    "new_figure",
    "on_pool",
    "paired_difference",
    "plot_by_budget",
    "plot_by_pool",
    "scores_by_pool",
    "seed_matrix",
    "seeds_by_tasks",
    "specialists",
    "t_interval",
    "teacher_levels",
    "unseen",
    "why_above_teacher",
    "why_not_beaten",
    "why_not_learnt",
    "why_unscored",
    "with_large",
]
