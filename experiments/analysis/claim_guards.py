"""Guards: reasons to leave a claim open, such as an arm that has not learnt, or a teacher that is no upper bound.

`comparisons.why_not_learnt` is the guard that every study asks of the arms that it compares. Does not import jax.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from incentivize.experiments.analysis.claims import Claim, leave_open
from incentivize.experiments.analysis.comparisons import (
    LEARNT_SCORE,
    by_seed,
    difference_matrix,
    why_not_learnt,
    why_unscored,
)
from incentivize.experiments.analysis.estimates import MIN_SEEDS, jackknife, normalised_score, t_interval
from incentivize.experiments.analysis.result_rows import base_variants
from incentivize.experiments.analysis.results_table import ResultsTable
from incentivize.experiments.settings.schema import PoolSize, Settings

ROLES_WITHOUT_SKILL = ("uniform", "scripted", "blind", "control")
"""Roles in which there is no skill to be had."""
MARGIN = 0.02  # of success, beyond the noise: less is not "above its teacher"
TEACHERS = {"fair": "fair expert", "informed": "expert"}
"""Names of teachers for a reader, by what the teacher knows."""


class TeacherLevel(NamedTuple):
    """A teacher's success on held-out tasks.

    Attributes:
        kind: what the teacher knows, a key of TEACHERS.
        success: the share of episodes in which the teacher succeeds.
        n_episodes: episodes that the success was measured in; infinite where that is not known.
    """

    kind: str
    success: float
    n_episodes: float


class BestOfArm(NamedTuple):
    """The success of one arm on unseen tasks, at one pool and budget.

    Attributes:
        role: the arm's part in the study, such as "generalist".
        mean: success, the mean over seeds.
        low: the lower end of the success's 95% interval.
    """

    role: str
    mean: float
    low: float


def own_scores(arm: ResultsTable, blocks: Sequence[str] = ("seen", "unseen")) -> list[dict[int, float]]:
    """Return an arm's scores by seed on the tasks of its pool and on unseen ones: memorising is learning, too."""
    columns = (by_seed(arm.where(evaluated_on=block), "score") for block in blocks)
    return [scores for scores in columns if scores]


def scores_by_pool(final: ResultsTable, role: str, pools: Sequence[PoolSize]) -> list[dict[int, float]]:
    """Return an arm's scores by seed at every pool, on unseen tasks and on its own, but not on the smallest pool's.

    An agent that knows these by heart has not learnt general skill. They may be one task, which a habit solves.

    Args:
        final: rows at the last budget.
        role: the arm's part in the study, such as "generalist".
        pools: the pools, from the smallest on.
    """
    scores = []
    for pool in pools:
        blocks = ("unseen",) if pool == pools[0] and len(pools) > 1 else ("seen", "unseen")
        scores += own_scores(final.where(role=role, pool_size=pool), blocks)
    return scores


def why_not_beaten(arm: ResultsTable, arm_name: str) -> str | None:
    """Say why an arm may not be called beaten, since it has learnt nothing; None where it has.

    Args:
        arm: the arm's rows at one pool and budget.
        arm_name: the arm in words, as a sentence begins.
    """
    if why_not_learnt(*own_scores(arm)):
        return f"{arm_name} has learnt nothing: its score stays below {LEARNT_SCORE}"
    return None


def why_specialists_open(
    table: ResultsTable, family: str, generalists: ResultsTable, specialists: ResultsTable
) -> str | None:
    """Say why generalists and specialists are not compared, by their rows; None where they are."""
    return why_unscored(table, family) or why_not_learnt(*(by_seed(arm, "score") for arm in (generalists, specialists)))


def why_above_their_teacher(table: ResultsTable, family: str, learner: str) -> str | None:
    """Say why specialists may not be called beaten: they are taught, and an agent is above their teacher; or None."""
    # The teacher of specialists always knows the task: it is the measured one where the rule is shown.
    return why_above_teacher(table, family, ("informed",)) if learner == "taught" else None


def why_specialists_not_beaten(generalists: ResultsTable, specialists: ResultsTable, settings: Settings) -> str | None:
    """Say why specialists may not be called beaten: some have not learnt their own task, and decide the outcome.

    They do not decide it where three others at least are left, and the interval over these lies above 0, too. Where the
    mean score of all is below LEARNT_SCORE, specialists are never called beaten.
    """
    scores = by_seed(specialists, "score")
    learnt = [task for task, score in sorted(scores.items()) if score >= LEARNT_SCORE]
    if len(learnt) == len(scores):
        return None
    differences = difference_matrix(generalists, specialists, settings)
    if differences is not None and len(learnt) >= MIN_SEEDS and not why_not_learnt(scores):
        others = differences[:, learnt]
        if jackknife(lambda *kept: others[np.ix_(*kept)].mean(), others.shape).low > 0:
            return None
    failed = len(scores) - len(learnt)
    return (
        f"{failed} of {len(scores)} specialists have not learnt their own task: their score stays below {LEARNT_SCORE}"
    )


def teacher_level_of(table: ResultsTable, family: str) -> TeacherLevel | None:
    """Return the measured teacher of a family; None where the run has none, as older runs have not."""
    level: Any = (table.meta.get("teacher") or {}).get(family)
    try:
        return TeacherLevel(str(level["kind"]), float(level["success"]), float(level.get("n_episodes") or math.inf))
    except (TypeError, ValueError, KeyError, AttributeError):  # none, or not as this version writes it
        return None


def arms_of(table: ResultsTable, family: str) -> list[BestOfArm]:
    """Return the unseen success of every arm of a family, at every pool and budget."""
    groups: dict[tuple[Any, ...], dict[int, float]] = {}
    base = base_variants(table.rows).get(family)
    for row in table.where(family=family, evaluated_on="unseen").rows:
        if base is not None and row.get("variant") != base:
            continue  # the teacher was measured in the family as the run has it
        if row["role"] not in ROLES_WITHOUT_SKILL and not row.get("simulations") and row.get("success") is not None:
            key = (row["role"], row.get("pool_size"), row["env_steps"])
            groups.setdefault(key, {})[row["seed"]] = row["success"]
    estimates = ((role, t_interval([*values.values()])) for (role, *_), values in groups.items())
    return [BestOfArm(role, estimate.mean, estimate.low) for role, estimate in estimates]


def why_above_teacher(table: ResultsTable, family: str, kinds: Sequence[str] = ("fair", "informed")) -> str | None:
    """Say why nothing is claimed against teaching: an arm is above the measured teacher by more than noise; or None.

    The Student t interval over seeds of the arm's unseen success, at any pool and budget, lies above the teacher's
    success by more than MARGIN and by more than 1.96 standard errors of what the teacher's episodes measure.

    Args:
        table: rows of the run; where it has no measured teacher, the answer is None.
        family: the family that the claim is about.
        kinds: the kinds of teacher that the claim is about, keys of TEACHERS.
    """
    teacher = teacher_level_of(table, family)
    if teacher is None or teacher.kind not in kinds:
        return None
    success = min(max(teacher.success, 0.0), 1.0)
    noise = 1.96 * math.sqrt(success * (1 - success) / max(teacher.n_episodes, 1))
    above = [arm for arm in arms_of(table, family) if arm.low > success + MARGIN + noise]
    if not above:
        return None
    best = max(above, key=lambda arm: arm.mean)
    name = "incentivized" if best.role == "generalist" else best.role
    return (
        f"the {name} agent ({best.mean:.2f}) is above its teacher ({success:.2f}): the teacher is no upper bound here, "
        "so nothing can be said against teaching"
    )


def teacher_levels(table: ResultsTable, settings: Settings) -> dict[str, list[dict[str, str]]]:
    """Return a table of measured teachers beside the best arm, by its title; empty where no teacher was measured."""
    lines = []
    for family in settings.families:
        teacher = teacher_level_of(table, family)
        best = max(arms_of(table, family), key=lambda arm: arm.mean, default=None)
        if teacher is not None:
            line = {"family": family, "teacher": TEACHERS.get(teacher.kind, teacher.kind)}
            line |= {"its success": f"{teacher.success:.2f}", "best arm": "-", "reaches": "-"}
            lines.append(line if best is None else line | {"best arm": best.role, "reaches": f"{best.mean:.2f}"})
    return {"the teacher on held-out tasks, and the most that any arm reaches": lines} if lines else {}


def guard_claims(claims: Sequence[Claim], table: ResultsTable, settings: Settings) -> list[Claim]:
    """Leave claims open about families in which nobody has learnt anything, whatever study the claims are from."""
    why = {family: _why_nobody_learnt(table, [family]) for family in settings.families}
    everywhere = _why_nobody_learnt(table, settings.families)
    return [leave_open(claim, why.get(claim.family, everywhere)) for claim in claims]


def _why_nobody_learnt(table: ResultsTable, families: Sequence[str]) -> str | None:
    """Say that no arm has learnt anything in any of these families; None where one has, or no level is known.

    Rows of other knobs have no score: they are compared with the blind level of the family as the run has it.
    """
    groups: dict[tuple[Any, ...], list[float]] = {}
    levels: dict[str, float | None] = table.meta.get("blind") or {}
    for row in table.rows:
        if row["family"] not in families or row["role"] in ROLES_WITHOUT_SKILL or row.get("control") == "blind":
            continue
        score, level = row.get("score"), levels.get(row["family"])
        if score is None:
            if level is None or level >= 1 or row.get("success") is None:
                return None
            score = normalised_score(row["success"], level) or 0.0
        key = ("family", "variant", "role", "pool_size", "env_steps", "evaluated_on", "simulations")
        groups.setdefault(tuple(map(row.get, key)), []).append(float(score))
    return why_not_learnt(*(dict(enumerate(scores)) for scores in groups.values())) if groups else None
