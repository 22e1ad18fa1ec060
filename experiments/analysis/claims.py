"""Claims: what a study concludes, by a rule that was written down before the run."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from incentivize.experiments.analysis.estimates import Estimate

Verdict = Literal["supported", "refuted", "inconclusive", "void"]
"""What came of a claim; "void" where a control found what cannot be there, so that the study itself is in doubt."""


@dataclass(frozen=True)
class Claim:
    """One row of `claims.json`.

    `low` and `high` are None where n is too small for an interval; `split` is of the tasks that it is about.
    """

    study: str
    claim: str
    verdict: Verdict
    effect: float | None
    low: float | None
    high: float | None
    n: int
    rule: str
    family: str
    reason: str
    evaluated_on: str = "unseen"

    def row(self) -> dict[str, object]:
        """The claim as JSON has it."""
        return asdict(self)


def judge(
    study: str,
    family: str,
    claim: str,
    rule: str,
    effect: Estimate | None,
    *,
    supported_above: float,
    refuted_below: float,
    objection: str | None = None,
    against: str | None = None,
    too_few: str | None = None,
    evaluated_on: str = "unseen",
) -> Claim:
    """Apply a rule of the usual form to an effect.

    Args:
        study: the study's name.
        family: the family that the claim is about; "" for all.
        claim: the claim in words.
        rule: the rule in words, as it was written before the run.
        effect: the estimated effect; None where a cell is missing, as nothing is imputed.
        supported_above: supported where the whole interval lies above.
        refuted_below: refuted where the whole interval lies below.
        objection: something a control found that makes the claim void whatever its effect.
        against: something beside the effect that refutes the claim by its own rule.
        too_few: why no verdict may be given, where n alone does not say so.
        evaluated_on: the tasks that the effect is measured on, one of `storage.schema.EVALUATED_BLOCKS` or a shift.

    Returns:
        The claim with its verdict and the reason for it.
    """
    verdict: Verdict = "inconclusive"
    if effect is None:
        reason = too_few or "cells are missing"
    elif effect.n < 3:
        reason = too_few or f"n = {effect.n}: no verdict from fewer than 3"
    elif objection:
        verdict, reason = "void", objection
    elif too_few:
        reason = too_few
    elif against:
        verdict, reason = "refuted", against
    elif effect.low > supported_above:
        verdict, reason = "supported", f"the interval lies above {supported_above:g}"
    elif effect.high < refuted_below:
        verdict, reason = "refuted", f"the interval lies below {refuted_below:g}"
    else:
        reason = f"the interval reaches between {refuted_below:g} and {supported_above:g}"
        if supported_above == refuted_below:
            reason = f"the interval holds {supported_above:g}"

    def known(value: float) -> float | None:
        return value if math.isfinite(value) else None

    if effect is None:
        return Claim(study, claim, verdict, None, None, None, 0, rule, family, reason, evaluated_on)
    found = (effect.mean, known(effect.low), known(effect.high), effect.n)
    return Claim(study, claim, verdict, *found, rule, family, reason, evaluated_on)


def leave_open(claim: Claim, why: str | None, verdicts: Sequence[Verdict] = ("supported", "refuted")) -> Claim:
    """Leave a claim open that has one of these verdicts, where there is a reason `why`."""
    return replace(claim, verdict="inconclusive", reason=why) if why and claim.verdict in verdicts else claim
