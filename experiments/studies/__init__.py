"""What is asked: one file per study, holding its question, grid, figure and verdict rules. Does not import jax.

A new study is one file and one line here, or an entry point of another package. A study is a module with::

    QUESTION: str                                   one sentence
    PRESETS: dict[str, dict]                        settings by preset
    cells(settings) -> list[Cell]                   the grid, in the order in which it is best run
    verdicts(table, settings) -> list[Claim]        by rules written before the run
    figure(table, settings) -> (matplotlib Figure, rows drawn)
    tables(table, settings) -> {title: rows}        what a terminal and the report show

What studies share is in `common`.
"""

from types import ModuleType

from envs.registry import Registry

STUDIES: Registry[ModuleType] = Registry(
    "studies",
    {
        "distribution-shift": "experiments.studies.distribution_shift",
        "emergence": "experiments.studies.emergence",
        "memory": "experiments.studies.memory",
        "mixture": "experiments.studies.mixture",
        "signal-and-scope": "experiments.studies.signal_and_scope",
        "slopes": "experiments.studies.slopes",
        "specialty": "experiments.studies.specialty",
        "taste-and-hunger": "experiments.studies.taste_and_hunger",
        "task-count": "experiments.studies.task_count",
        "test-time": "experiments.studies.test_time",
        "threshold-prediction": "experiments.studies.threshold_prediction",
        "weak-incentive": "experiments.studies.weak_incentive",
    },
)


def names() -> tuple[str, ...]:
    """The names of the registered studies."""
    return tuple(STUDIES)


def load(name: str) -> ModuleType:
    """A study's module."""
    return STUDIES.load(name)
