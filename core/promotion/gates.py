"""What a candidate must reach: a pure function of candidate, incumbent and policy.

Every gate passes, fails, or cannot tell. A hard gate that does not pass keeps the candidate
out. A soft one that does not pass is told to the person who decides, who may pass over it.
Limits are kept by what meets them exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.domain import GateResult, Verdict
from core.params_promotion import PromotionParams
from core.promotion.evidence import ClassRates, Evidence, RowsComparison, RowSet, SliceRates
from core.promotion.verdicts import auc_verdict, rise_verdict, worst
from core.wording import count, signed

PARITY, CONTRACT, LEAK = "parity with Spark", "contract", "no leaky column"
AUC, CLASSES, SLICES = "AUC", "precision and recall by class", "precision and recall by slice"
CALIBRATION, LATENCY, COST = "calibration", "latency", "training cost"
#: Slices that a reason names; the evidence has them all.
MOST_NAMED = 3


@dataclass(frozen=True)
class Limits:
    """What the gates hold a candidate against."""

    policy: PromotionParams
    parity_tolerance: float
    #: Fingerprint of the contract that this code serves.
    contract_fingerprint: str
    #: Columns that tell the label: those the contract names, and the label itself.
    leaky: tuple[str, ...]


def judge(evidence: Evidence, limits: Limits) -> tuple[GateResult, ...]:
    """Returns every gate's verdict, for and against; hard gates first."""
    policy = limits.policy
    gates = [
        _parity(evidence, limits.parity_tolerance),
        _contract(evidence, limits.contract_fingerprint),
        _leak(evidence, limits.leaky),
        _auc(evidence.comparison(RowSet.BOTH), policy),
        _classes(evidence, policy.class_loss),
        _slices(evidence, policy.slice_loss),
        _calibration(evidence, policy.calibration_loss),
        _latency(evidence, policy),
    ]
    if policy.core_seconds is not None:
        gates.append(_cost(evidence, policy.core_seconds))
    return tuple(gates)


def hard_failures(gates: Sequence[GateResult]) -> tuple[GateResult, ...]:
    """Hard gates that do not pass: with one of them there is nothing to decide."""
    return tuple(gate for gate in gates if gate.hard and gate.verdict is not Verdict.PASS)


def soft_reservations(gates: Sequence[GateResult]) -> tuple[GateResult, ...]:
    """Soft gates that fail or cannot tell: what a person has to answer for."""
    return tuple(gate for gate in gates if not gate.hard and gate.verdict is not Verdict.PASS)


def _unknown(gate: str, reason: str, limit: float | None = None, hard: bool = False) -> GateResult:
    return GateResult(gate, Verdict.CANNOT_TELL, None, limit, reason, hard)


def _parity(evidence: Evidence, tolerance: float) -> GateResult:
    parity = evidence.parity
    if parity is None:
        reason = "What the served model says cannot be held against Spark."
        return _unknown(PARITY, reason, tolerance, hard=True)
    difference = parity.max_difference
    return GateResult(
        gate=PARITY,
        verdict=Verdict.PASS if difference <= tolerance else Verdict.FAIL,
        measured=difference,
        limit=tolerance,
        reason=f"The served model differs from Spark by at most {difference:.1e}: the export on "
        f"{count(parity.spark_rows, 'record')}, the registered bytes on "
        f"{count(parity.served_rows, 'row')} of the holdout.",
        hard=True,
    )


def _contract(evidence: Evidence, fingerprint: str) -> GateResult:
    found = evidence.candidate.contract_fingerprint
    if not found:
        return _unknown(CONTRACT, "The contract of its training data is not known.", hard=True)
    same = found == fingerprint
    return GateResult(
        gate=CONTRACT,
        verdict=Verdict.PASS if same else Verdict.FAIL,
        measured=None,
        limit=None,
        reason="Its training data passed the contract that is served."
        if same
        else "Its training data passed another contract than the one that is served.",
        hard=True,
    )


def _leak(evidence: Evidence, leaky: Sequence[str]) -> GateResult:
    inputs = evidence.candidate.inputs
    if not inputs:
        return _unknown(LEAK, "What the model takes is not known.", hard=True)
    found = [name for name in inputs if name in leaky]
    return GateResult(
        gate=LEAK,
        verdict=Verdict.FAIL if found else Verdict.PASS,
        measured=float(len(found)),
        limit=0.0,
        reason=f"It takes {', '.join(found)}, which tells the label."
        if found
        else f"None of its {count(len(inputs), 'input')} tells the label.",
        hard=True,
    )


def _auc(both: RowsComparison, policy: PromotionParams) -> GateResult:
    margin, found = policy.auc_margin, both.difference
    if found is None:
        return _unknown(AUC, both.note, margin)
    said = (
        f"AUC {signed(found.value, 4)} on {count(both.rows, 'row')}, {found.confidence:.0%} "
        f"interval {signed(found.low, 4)} to {signed(found.high, 4)}"
    )
    asked, rarer = signed(margin, 4), min(both.positives, both.rows - both.positives)
    if rarer < policy.minimum_class_rows:
        return GateResult(
            AUC,
            Verdict.CANNOT_TELL,
            found.value,
            margin,
            f"{said}: {count(rarer, 'row')} of the rarer class "
            f"are fewer than the {policy.minimum_class_rows} asked.",
        )
    verdict = auc_verdict(found, margin)
    follows = {
        Verdict.PASS: f"all of it reaches the {asked} asked",
        Verdict.FAIL: f"all of it is below the {asked} asked",
        Verdict.CANNOT_TELL: f"it holds the {asked} asked, so the rows are too few to tell",
    }
    return GateResult(AUC, verdict, found.value, margin, f"{said}: {follows[verdict]}.")


def _why_not_judged(evidence: Evidence) -> str:
    note = evidence.comparison(RowSet.BOTH).note
    return note or "The decision threshold of one of the two is not known."


def _classes(evidence: Evidence, most: float) -> GateResult:
    if evidence.judged is None:
        return _unknown(CLASSES, _why_not_judged(evidence), most)
    classes = evidence.judged.classes
    return _rates(CLASSES, classes, most, f"Of {len(classes)} classes", "")


def _slices(evidence: Evidence, most: float) -> GateResult:
    if evidence.judged is None:
        return _unknown(SLICES, _why_not_judged(evidence), most)
    slices = evidence.judged.slices
    told = [one for one in slices if not one.too_small]
    small = count(len(slices) - len(told), "slice")
    left_out = f"; {small} too small to tell" if len(told) < len(slices) else ""
    return _rates(SLICES, told, most, f"Of {count(len(told), 'slice')}", left_out)


def _rates(
    gate: str,
    groups: Sequence[ClassRates] | Sequence[SliceRates],
    most: float,
    of_these: str,
    left_out: str,
) -> GateResult:
    if not groups:
        return _unknown(gate, f"None has rows enough{left_out}.", most)
    verdict = worst([one.verdict for one in groups])
    losses = [loss for loss in map(_loss_of, groups) if loss is not None]
    spoken = sorted((one for one in groups if one.verdict is verdict), key=_by_loss)
    named = "; ".join(map(_told, spoken[:MOST_NAMED]))
    what = {
        Verdict.PASS: f"none lost more than {most:g}",
        Verdict.FAIL: f"{len(spoken)} lost more than {most:g}, beyond chance ({named})",
        Verdict.CANNOT_TELL: f"{len(spoken)} may have lost more than {most:g} ({named})",
    }
    reason = f"{of_these}, {what[verdict]}{left_out}."
    return GateResult(gate, verdict, max(losses) if losses else None, most, reason)


def _loss_of(one: ClassRates | SliceRates) -> float | None:
    """The larger loss of precision and recall; below zero where both are gains."""
    known = [d for d in (one.precision_difference, one.recall_difference) if d is not None]
    # Subtracted from 0, because a loss of -0.0 reads like an error.
    return max(0.0 - difference.value for difference in known) if known else None


def _by_loss(one: ClassRates | SliceRates) -> float:
    return -(_loss_of(one) or 0.0)


def _told(one: ClassRates | SliceRates) -> str:
    name = f"class {one.label}" if isinstance(one, ClassRates) else f"{one.column} {one.value}"
    rates = {"precision": one.precision_difference, "recall": one.recall_difference}
    told = [f"{what} {signed(d.value)}" for what, d in rates.items() if d is not None]
    return f"{name}: {', '.join(told) or 'undefined'}, {count(one.rows, 'row')}"


def _calibration(evidence: Evidence, most: float) -> GateResult:
    if evidence.judged is None:
        return _unknown(CALIBRATION, _why_not_judged(evidence), most)
    found = evidence.judged.calibration
    verdict = rise_verdict(found.difference, most)
    follows = {
        Verdict.PASS: f"no more than the {most:g} allowed",
        Verdict.FAIL: f"more than the {most:g} allowed, beyond chance",
        Verdict.CANNOT_TELL: f"more than the {most:g} allowed, which may be chance",
    }
    return GateResult(
        CALIBRATION,
        verdict,
        found.difference.value,
        most,
        f"Calibration error {found.candidate:.3f} against {found.incumbent:.3f}: "
        f"{signed(found.difference.value)}, {follows[verdict]}.",
    )


def _latency(evidence: Evidence, policy: PromotionParams) -> GateResult:
    """Judged by the size of request that takes more of its budget.

    The budget is the larger of what is fast enough in any case and of so many times what
    the incumbent took meanwhile: a busy machine slows both.
    """
    found = evidence.latency
    if found is None:
        return _unknown(LATENCY, "The candidate could not be timed.")
    mine, other = found.candidate, found.incumbent

    def budget_ms(enough: float, beside: float | None) -> float:
        return max(enough, policy.latency_factor * (beside or 0.0))

    single = budget_ms(policy.latency_ms, other.single_p95_ms if other else None)
    thousand = budget_ms(policy.latency_thousand_ms, other.thousand_p95_ms if other else None)
    share, size, took, budget = max(
        (mine.single_p95_ms / single, "One record", mine.single_p95_ms, single),
        (mine.thousand_p95_ms / thousand, "1,000 records", mine.thousand_p95_ms, thousand),
    )
    within = share <= 1
    word = "within" if within else "above"
    reason = f"{size} took {took:.3g} ms (95th percentile), {word} the budget of {budget:.3g} ms"
    if not within and other is None:
        return GateResult(
            LATENCY,
            Verdict.CANNOT_TELL,
            took,
            budget,
            f"{reason}; with no incumbent beside it, the machine may be what is slow.",
        )
    verdict = Verdict.PASS if within else Verdict.FAIL
    return GateResult(LATENCY, verdict, took, budget, f"{reason}.")


def _cost(evidence: Evidence, budget: float) -> GateResult:
    spent = evidence.costs.candidate.core_seconds
    if spent is None:
        return _unknown(COST, "What its training cost was not measured.", budget)
    within = spent <= budget
    word = "within" if within else "above"
    return GateResult(
        COST,
        Verdict.PASS if within else Verdict.FAIL,
        spent,
        budget,
        f"Its training took {spent:,.0f} core-seconds, {word} the budget of {budget:,.0f}.",
    )
