"""What a candidate must reach, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.domain import Verdict
from core.params import PromotionParams
from core.promotion.gates import Limits, Measured, judge, passes

INCUMBENT = Measured(version=3, auc=0.85, parity_max_difference=2e-6, contract_fingerprint="same")
GOOD = Measured(version=4, auc=0.86, parity_max_difference=1e-6, contract_fingerprint="same")
LIMITS = Limits(
    PromotionParams(auc_margin=0.0, reason_min_length=10),
    parity_tolerance=1e-5,
    contract_fingerprint="same",
)
PARITY, CONTRACT, AUC = "parity with Spark", "contract", "AUC on the holdout"


@pytest.mark.parametrize(
    ("candidate", "margin", "failing"),
    [
        (GOOD, 0.0, set()),
        (replace(GOOD, auc=0.85), 0.0, set()),
        (replace(GOOD, auc=0.8499), 0.0, {AUC}),
        (replace(GOOD, auc=0.859), 0.01, {AUC}),
        (replace(GOOD, auc=0.86), 0.0099, set()),
        (replace(GOOD, auc=0.845), -0.01, set()),
        (replace(GOOD, parity_max_difference=1e-5), 0.0, set()),
        (replace(GOOD, parity_max_difference=1.1e-5), 0.0, {PARITY}),
        (replace(GOOD, contract_fingerprint="other"), 0.0, {CONTRACT}),
        (replace(GOOD, contract_fingerprint=""), 0.0, {CONTRACT}),
        (Measured(4, 0.5, 0.7, "other"), 0.0, {PARITY, CONTRACT, AUC}),
        (replace(GOOD, auc=float("nan")), 0.0, {AUC}),
        (replace(GOOD, parity_max_difference=float("nan")), 0.0, {PARITY}),
    ],
)
def test_gates(candidate: Measured, margin: float, failing: set[str]) -> None:
    policy = PromotionParams(auc_margin=margin, reason_min_length=10)
    results = judge(candidate, INCUMBENT, replace(LIMITS, policy=policy))
    assert [result.gate for result in results] == [PARITY, CONTRACT, AUC]
    assert {result.gate for result in results if result.verdict is not Verdict.PASS} == failing
    assert passes(results) is (not failing)


def test_every_gate_says_what_it_measured_against_what() -> None:
    parity, contract, auc = judge(GOOD, INCUMBENT, LIMITS)
    assert (parity.measured, parity.limit, parity.hard) == (1e-6, 1e-5, True)
    assert (contract.measured, contract.limit, contract.hard) == (None, None, True)
    assert (auc.measured, auc.limit, auc.hard) == (0.86, 0.85, False)
    assert auc.reason == "AUC 0.8600 is not below the 0.8500 that v3 asks."


def test_a_verdict_that_cannot_tell_is_no_pass() -> None:
    parity, contract, auc = judge(GOOD, INCUMBENT, LIMITS)
    assert not passes((parity, contract, replace(auc, verdict=Verdict.CANNOT_TELL)))
