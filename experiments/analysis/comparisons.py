"""Comparisons of arms: within seeds, over seeds and tasks, and why there are none. Does not import jax."""

import numpy as np

from incentivize.experiments.analysis.estimates import Estimate, jackknife, t_interval
from incentivize.experiments.analysis.table import ResultsTable
from incentivize.experiments.settings.schema import Settings

LEARNT_SCORE = 0.2  # a score below it: nothing worth a comparison has been learnt


def by_seed(table: ResultsTable, key: str = "success") -> dict[int, float]:
    """A column of rows that differ in their seed, where it has a value."""
    return {row["seed"]: row[key] for row in table.rows if row.get(key) is not None}


def floor_at_zero(scores: dict[int, float]) -> dict[int, float]:
    """Scores, those below 0 as 0: who memorises is worse than blind, and coming up to that is no skill."""
    return {seed: max(score, 0.0) for seed, score in scores.items()}


def why_unscored(table: ResultsTable, family: str) -> str | None:
    """Why a family has no scores, if it has none."""
    level = table.meta["blind"][family]
    if level is None:
        return "a blind agent is missing, and without its level there are no scores"
    return "the blind level leaves no room" if level >= 1 else None


def why_not_learnt(*arms: dict[int, float]) -> str | None:
    """Why arms are not compared, by their scores: none of them has learnt anything. None where one has, or is missing.

    Every study asks this of the arms that a claim compares; `guards` has what is asked beside it.
    """
    if not arms or any(not scores or sum(scores.values()) / len(scores) >= LEARNT_SCORE for scores in arms):
        return None
    return f"nobody has learnt it: no arm's score reaches {LEARNT_SCORE}"


def paired_difference(first: dict[int, float], second: dict[int, float], settings: Settings) -> Estimate | None:
    """The mean difference over seeds, where every seed is there: nothing is imputed, nothing left out.

    Student's t; seeds that agree are not surer than one episode of an evaluation.
    """
    seeds = set(range(settings.seeds))
    if set(first) != seeds or set(second) != seeds:
        return None
    finest = 1 / (settings.eval_tasks * settings.eval_instances)
    return t_interval([first[seed] - second[seed] for seed in sorted(seeds)], finest)


def seeds_by_tasks(generalists: ResultsTable, specialists: ResultsTable, settings: Settings) -> Estimate | None:
    """Generalists minus specialists, a mean over seeds x tasks, either of which may have been others (`jackknife`).

    Args:
        generalists: rows in the specialty, one a seed.
        specialists: rows of those that were trained on its tasks.
        settings: which say how many of either there are; None where one is missing.
    """
    found = difference_matrix(generalists, specialists, settings)
    return None if found is None else jackknife(lambda *kept: found[np.ix_(*kept)].mean(), found.shape)


def difference_matrix(generalists: ResultsTable, specialists: ResultsTable, settings: Settings) -> np.ndarray | None:
    """Success of generalists minus that of specialists [seeds, tasks], as in `crossed`; None where one is missing."""
    mine, theirs = specialty_matrix(generalists, settings), specialists.per_task("specialty")
    if mine is None or set(theirs) != set(range(settings.specialists)):
        return None
    return mine - np.array([theirs[task] for task in sorted(theirs)])


def specialty_matrix(generalists: ResultsTable, settings: Settings) -> np.ndarray | None:
    """Success of generalists on the specialists' tasks [seeds, tasks]; None where one is missing."""
    found = []
    for seed in range(settings.seeds):
        mine = generalists.where(seed=seed).per_task("specialty")
        if set(mine) != set(range(settings.specialists)):
            return None
        found.append([mine[task] for task in sorted(mine)])
    return np.array(found)
