"""Claims: what a study concludes, by a rule that was written down before the run."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from incentivize.experiments.analysis.estimates import MIN_SEEDS, Estimate

Verdict = Literal["supported", "refuted", "inconclusive", "void"]
"""The outcome of a claim; "void" where a control found what cannot be, so that the study itself is in doubt."""


@dataclass(frozen=True)
class Claim:
    """One row of `claims.json`.

    Attributes:
        study: the study's name.
        claim: the claim in words.
        verdict: the outcome, by the rule.
        effect: the estimated effect, in the rule's unit; None where cells are missing.
        low: the lower end of the effect's 95% interval; None where n is too small for an interval.
        high: the upper end of the effect's 95% interval; None where n is too small for an interval.
        n: independent units of the effect, as the rule has them; 0 where cells are missing.
        rule: the rule in words.
        family: the family that the claim is about; "all", or several joined by "+", for a claim about several.
        reason: why the verdict is what it is.
        evaluated_on: the tasks that the effect is measured on, one of `storage.schema.EVALUATED_BLOCKS` or a shift.
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
        """Return the claim as JSON has it."""
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
        family: the family that the claim is about; "all", or several joined by "+", for a claim about several.
        claim: the claim in words.
        rule: the rule in words, as it was written before the run.
        effect: the estimated effect; None where a cell is missing, as nothing is imputed.
        supported_above: the claim is supported where the whole interval lies above this.
        refuted_below: the claim is refuted where the whole interval lies below this.
        objection: what a control found that makes the claim void, whatever its effect.
        against: a finding beside the effect that refutes the claim by its own rule.
        too_few: why no verdict may be given, where n alone does not say so.
        evaluated_on: the tasks that the effect is measured on, one of `storage.schema.EVALUATED_BLOCKS` or a shift.

    Returns:
        The claim with its verdict and the reason for it.
    """
    bounds = (supported_above, refuted_below)
    verdict, reason = _verdict(effect, *bounds, objection=objection, against=against, too_few=too_few)
    if effect is None:
        return Claim(study, claim, verdict, None, None, None, 0, rule, family, reason, evaluated_on)
    low, high = (end if math.isfinite(end) else None for end in (effect.low, effect.high))
    return Claim(study, claim, verdict, effect.mean, low, high, effect.n, rule, family, reason, evaluated_on)


def _verdict(
    effect: Estimate | None,
    supported_above: float,
    refuted_below: float,
    *,
    objection: str | None,
    against: str | None,
    too_few: str | None,
) -> tuple[Verdict, str]:
    """Return the verdict and the reason for it; arguments are those of `judge`."""
    if effect is None:
        return "inconclusive", too_few or "cells are missing"
    if effect.n < MIN_SEEDS:
        return "inconclusive", too_few or f"n = {effect.n}: no verdict from fewer than {MIN_SEEDS}"
    if objection:
        return "void", objection
    if too_few:
        return "inconclusive", too_few
    if against:
        return "refuted", against
    if effect.low > supported_above:
        return "supported", f"the interval lies above {supported_above:g}"
    if effect.high < refuted_below:
        return "refuted", f"the interval lies below {refuted_below:g}"
    if supported_above == refuted_below:
        return "inconclusive", f"the interval holds {supported_above:g}"
    return "inconclusive", f"the interval reaches between {refuted_below:g} and {supported_above:g}"


def leave_open(claim: Claim, why: str | None, verdicts: Sequence[Verdict] = ("supported", "refuted")) -> Claim:
    """Leave a claim open that has one of these verdicts, where there is a reason `why`."""
    return replace(claim, verdict="inconclusive", reason=why) if why and claim.verdict in verdicts else claim
