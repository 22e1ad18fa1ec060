"""Studies: one file each, holding its question, grid, figure and verdict rules. Does not import jax.

A new study is one file and one line here, or an entry point of another package. A study is a module with::

    QUESTION: str                                   one sentence
    PRESETS: dict[str, dict]                        settings by preset
    cells(settings) -> list[Cell]                   the grid, in the order in which it is best run
    verdicts(table, settings) -> list[Claim]        by rules written before the run
    figure(table, settings) -> (matplotlib Figure, rows drawn)
    tables(table, settings) -> {title: rows}        tables for the terminal and the report

A figure that would fill a study has a file beside it (`task_count_figure`). The study test-time is in
`inference_search`, as pytest would take a module called `test_*` for a test.

The grids of studies are made of `design`, their verdicts of `analysis`, their figures of `presentation`.
May import these, cells, settings, errors and envs, `training.build` inside functions, and storage for types; never
reporting, viewing or execution.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from incentivize.envs.registry import Registry
from incentivize.experiments.errors import InputError, check_name

if TYPE_CHECKING:
    from incentivize.experiments.cells import Cell
    from incentivize.experiments.settings import Settings
    from incentivize.experiments.storage.run_directory import RunDirectory

STUDIES: Registry[ModuleType] = Registry(
    "studies",
    {
        "distribution-shift": "incentivize.experiments.studies.distribution_shift",
        "emergence": "incentivize.experiments.studies.emergence",
        "memory": "incentivize.experiments.studies.memory",
        "mixture": "incentivize.experiments.studies.mixture",
        "signal-and-scope": "incentivize.experiments.studies.signal_and_scope",
        "slopes": "incentivize.experiments.studies.slopes",
        "specialty": "incentivize.experiments.studies.specialty",
        "taste-and-hunger": "incentivize.experiments.studies.taste_and_hunger",
        "task-count": "incentivize.experiments.studies.task_count",
        "test-time": "incentivize.experiments.studies.inference_search",
        "threshold-prediction": "incentivize.experiments.studies.threshold_prediction",
        "weak-incentive": "incentivize.experiments.studies.weak_incentive",
    },
)


def names() -> tuple[str, ...]:
    """Return the names of the registered studies."""
    return tuple(STUDIES)


def load(name: str) -> ModuleType:
    """Import a study's module.

    Raises:
        KeyError: where no study has that name.
        LoadError: where a package brings the study, and its module cannot be imported.
    """
    return STUDIES.load(name)


def cells_of_run(directory: RunDirectory, settings: Settings) -> list[Cell]:
    """Return the cells of a run directory.

    Raises:
        InputError: where its settings cannot be those of a run.
    """
    from incentivize import envs  # and with it jax, which listing the studies does not need

    try:
        for family in settings.families:
            check_name("families", family, envs.names())
            knobs: dict[str, Any] = settings.knobs.get(family, {})
            envs.make(family, life=settings.life, **knobs)
        return load(settings.study).cells(settings)
    except (InputError, ValueError, TypeError, KeyError) as error:
        why = str(error).removesuffix(".")
        raise InputError(
            f"{directory.path / 'config.toml'}: does not hold valid settings of a run ({why}). Restore it."
        ) from None
