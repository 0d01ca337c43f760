"""What `dvc repro` has made against thresholds: every verdict, at its limit and beyond."""

from __future__ import annotations

import pytest

from core.delivery.thresholds import (
    AUC_KEPT,
    CLASSES_KEPT,
    NONE_SET,
    PARITY,
    Limits,
    failures,
    judge,
    rates,
)
from core.domain import GateResult, Verdict
from core.training.report import Confusion, Estimate, EvaluationReport, ParityResult
from tests.unit.core_fakes import report_of

LIMITS = Limits(1e-5, {"auc": 0.8, "brier": 0.2}, auc_loss=0.01, class_loss=0.05)


def _found(
    report: EvaluationReport, earlier: EvaluationReport | None = None, limits: Limits = LIMITS
) -> dict[str, GateResult]:
    return {one.gate: one for one in judge(report, earlier, limits)}


def _with(report: EvaluationReport, **changed: object) -> EvaluationReport:
    return report.model_copy(update=changed)


def _estimate(value: float) -> Estimate:
    return Estimate(value=value, low=value, high=value)


def test_a_good_model_passes_and_says_by_what() -> None:
    found = judge(report_of(0.85), report_of(0.85), LIMITS)
    assert {one.verdict for one in found} == {Verdict.PASS}
    assert failures(found) == ()
    told = {one.gate: (one.measured, one.limit) for one in found}
    assert told["AUC"] == (0.85, 0.8)
    assert told["Brier score"] == (0.1, 0.2)
    assert told[AUC_KEPT] == (0.0, 0.01)
    (classes,) = [one for one in found if one.gate == CLASSES_KEPT]
    assert classes.reason == "No class has lost; a loss of 0.05 is allowed."


@pytest.mark.parametrize(
    ("auc", "verdict"), [(0.8, Verdict.PASS), (0.7999, Verdict.FAIL), (0.9, Verdict.PASS)]
)
def test_a_threshold_is_kept_by_what_meets_it(auc: float, verdict: Verdict) -> None:
    assert _found(report_of(auc))["AUC"].verdict is verdict


@pytest.mark.parametrize(
    ("brier", "verdict"), [(0.2, Verdict.PASS), (0.2001, Verdict.FAIL), (0.0, Verdict.PASS)]
)
def test_of_an_error_less_is_better(brier: float, verdict: Verdict) -> None:
    report = report_of()
    report = _with(report, metrics={**report.metrics, "brier": _estimate(brier)})
    found = _found(report)["Brier score"]
    assert found.verdict is verdict
    assert "at most 0.2" in found.reason


def test_a_metric_that_was_promised_and_not_measured_fails() -> None:
    limits = Limits(1e-5, {"f1": 0.5}, 0.01, 0.05)
    found = judge(report_of(), None, limits)
    (failure,) = failures(found)
    assert (failure.gate, failure.reason) == ("F1", "F1 was not measured.")


def test_a_problem_without_thresholds_is_told() -> None:
    found = _found(report_of(), limits=Limits(1e-5, {}, 0.01, 0.05))
    assert found[NONE_SET].verdict is Verdict.CANNOT_TELL
    assert "plums" in found[NONE_SET].reason


@pytest.mark.parametrize(("difference", "verdict"), [(1e-5, Verdict.PASS), (1.1e-5, Verdict.FAIL)])
def test_the_export_keeps_to_spark(difference: float, verdict: Verdict) -> None:
    parity = ParityResult(rows=100, max_difference=difference, tolerance=1.0)
    assert _found(_with(report_of(), parity=parity))[PARITY].verdict is verdict


@pytest.mark.parametrize(
    ("auc", "verdict"), [(0.89, Verdict.PASS), (0.8899, Verdict.FAIL), (0.95, Verdict.PASS)]
)
def test_auc_may_be_lost_up_to_the_limit(auc: float, verdict: Verdict) -> None:
    found = _found(report_of(auc), report_of(0.9))[AUC_KEPT]
    assert found.verdict is verdict
    assert found.hard


def test_without_an_earlier_report_nothing_is_lost_and_nothing_is_known() -> None:
    found = judge(report_of(), None, LIMITS)
    unknown = {one.gate for one in found if one.verdict is Verdict.CANNOT_TELL}
    assert unknown == {AUC_KEPT, CLASSES_KEPT}
    assert failures(found) == ()


def test_a_class_that_lost_is_named_and_keeps_nothing_out() -> None:
    # Recall of the positive class: 8 of 10 before, 7 of 10 now.
    now = Confusion(true_positive=7, false_positive=0, true_negative=10, false_negative=3)
    found = judge(_with(report_of(), confusion=now), report_of(), LIMITS)
    (one,) = [one for one in found if one.gate == CLASSES_KEPT]
    assert one.verdict is Verdict.FAIL
    assert "recall of the positive class, −0.1000; a loss of 0.05" in one.reason
    assert failures(found) == ()


def test_rates_of_both_classes() -> None:
    found = rates(Confusion(true_positive=3, false_positive=1, true_negative=0, false_negative=0))
    assert list(found.values()) == [0.75, 1.0, None, 0.0]
