"""What a candidate must reach: a pure function of candidate, incumbent and policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.domain import GateResult, Verdict
from core.params import PromotionParams


@dataclass(frozen=True)
class Measured:
    """What the gates look at of one version."""

    version: int
    auc: float
    parity_max_difference: float
    contract_fingerprint: str


@dataclass(frozen=True)
class Limits:
    """What the gates hold it against."""

    policy: PromotionParams
    parity_tolerance: float
    #: Fingerprint of the contract that this code serves.
    contract_fingerprint: str


def judge(candidate: Measured, incumbent: Measured, limits: Limits) -> tuple[GateResult, ...]:
    """Returns every gate's verdict, for and against."""
    return (
        _parity(candidate, limits.parity_tolerance),
        _contract(candidate, limits.contract_fingerprint),
        _auc(candidate, incumbent, limits.policy.auc_margin),
    )


def hard_failures(gates: Sequence[GateResult]) -> tuple[GateResult, ...]:
    """Hard gates that do not pass: with one of them there is nothing to decide."""
    return tuple(gate for gate in gates if gate.hard and gate.verdict is not Verdict.PASS)


def soft_reservations(gates: Sequence[GateResult]) -> tuple[GateResult, ...]:
    """Soft gates that fail or cannot tell: what a person has to answer for."""
    return tuple(gate for gate in gates if not gate.hard and gate.verdict is not Verdict.PASS)


def _parity(candidate: Measured, tolerance: float) -> GateResult:
    difference = candidate.parity_max_difference
    good = difference <= tolerance
    return GateResult(
        gate="parity with Spark",
        verdict=Verdict.PASS if good else Verdict.FAIL,
        measured=difference,
        limit=tolerance,
        reason=f"The served model differs from Spark by at most {difference:.1e}.",
        hard=True,
    )


def _contract(candidate: Measured, fingerprint: str) -> GateResult:
    same = candidate.contract_fingerprint == fingerprint
    return GateResult(
        gate="contract",
        verdict=Verdict.PASS if same else Verdict.FAIL,
        measured=None,
        limit=None,
        reason="It was trained on the contract that is served."
        if same
        else "It was trained on another contract than the one that is served.",
        hard=True,
    )


def _auc(candidate: Measured, incumbent: Measured, margin: float) -> GateResult:
    limit = incumbent.auc + margin
    good = candidate.auc >= limit
    word = "not below" if good else "below"
    return GateResult(
        gate="AUC on the holdout",
        verdict=Verdict.PASS if good else Verdict.FAIL,
        measured=candidate.auc,
        limit=limit,
        reason=f"AUC {candidate.auc:.4f} is {word} the {limit:.4f} that v{incumbent.version} asks.",
    )
