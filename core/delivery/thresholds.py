"""What `dvc repro` has made, held against thresholds: a pure function of two reports.

The gates of a promotion compare two models row by row; here is only what Git holds of the
earlier one, its report. So this asks less: whether the model is good enough by itself, and
whether it has become worse than the one of another commit. Verdicts are those of gates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from core.domain import GateResult, Verdict
from core.params_delivery import Metric
from core.training.report import Confusion, EvaluationReport
from core.wording import LOWER_IS_BETTER, METRICS, count, signed

PARITY, NONE_SET = "parity with Spark", "metrics"
AUC_KEPT, CLASSES_KEPT = "AUC kept", "classes kept"
#: A difference of two numbers that should be equal is seldom 0.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Limits:
    """What a report is held against; from params.yaml."""

    parity_tolerance: float
    #: Metric -> value that is just good enough.
    thresholds: Mapping[Metric, float]
    auc_loss: float
    #: Precision or recall that a class may lose.
    class_loss: float


def judge(
    report: EvaluationReport, earlier: EvaluationReport | None, limits: Limits
) -> tuple[GateResult, ...]:
    """Returns every verdict with its reason; what has to pass comes first.

    Args:
        report: what the pipeline has just measured.
        earlier: the same of the commit that is compared with; ``None`` where it has none.
        limits: what both are held against.
    """
    return (
        _parity(report, limits.parity_tolerance),
        *_thresholds(report, limits.thresholds),
        _auc_kept(report, earlier, limits.auc_loss),
        _classes_kept(report, earlier, limits.class_loss),
    )


def failures(verdicts: tuple[GateResult, ...]) -> tuple[GateResult, ...]:
    """What keeps a model from being delivered: what is hard and fails."""
    return tuple(one for one in verdicts if one.hard and one.verdict is Verdict.FAIL)


def _result(
    gate: str, kept: bool, measured: float, limit: float, reason: str, *, hard: bool
) -> GateResult:
    verdict = Verdict.PASS if kept else Verdict.FAIL
    return GateResult(gate, verdict, measured, limit, reason, hard)


def _parity(report: EvaluationReport, tolerance: float) -> GateResult:
    found = report.parity
    reason = (
        f"The exported model differs from Spark by at most {found.max_difference:.1e} on "
        f"{count(found.rows, 'record')}; {tolerance:.0e} is allowed."
    )
    kept = found.max_difference <= tolerance
    return _result(PARITY, kept, found.max_difference, tolerance, reason, hard=True)


def _thresholds(
    report: EvaluationReport, thresholds: Mapping[Metric, float]
) -> Iterator[GateResult]:
    if not thresholds:
        reason = f"params.yaml has no threshold for {report.problem}."
        yield GateResult(NONE_SET, Verdict.CANNOT_TELL, None, None, reason)
    for metric, limit in thresholds.items():
        name = METRICS[metric]
        estimate = report.metrics.get(metric)
        if estimate is None:
            # What was promised and not measured is a failure, not a doubt.
            reason = f"{name} was not measured."
            yield GateResult(name, Verdict.FAIL, None, limit, reason, hard=True)
            continue
        lower = metric in LOWER_IS_BETTER
        over = limit - estimate.value if lower else estimate.value - limit
        reason = (
            f"{name} is {estimate.value:.4f} on {count(report.holdout_rows, 'row')} of the "
            f"holdout; at {'most' if lower else 'least'} {limit:g} is asked."
        )
        yield _result(name, over >= -ROUNDING, estimate.value, limit, reason, hard=True)


def _auc_kept(
    report: EvaluationReport, earlier: EvaluationReport | None, most: float
) -> GateResult:
    found = None if earlier is None else _auc_change(report, earlier)
    if found is None:
        reason = "There is no earlier AUC to compare with."
        return GateResult(AUC_KEPT, Verdict.CANNOT_TELL, None, most, reason, hard=True)
    reason = f"AUC has changed by {signed(found, 4)}; a loss of {most:g} is allowed."
    return _result(AUC_KEPT, -found <= most + ROUNDING, found, most, reason, hard=True)


def _auc_change(report: EvaluationReport, earlier: EvaluationReport) -> float | None:
    pair = report.metrics.get("auc"), earlier.metrics.get("auc")
    return None if pair[0] is None or pair[1] is None else pair[0].value - pair[1].value


def _classes_kept(
    report: EvaluationReport, earlier: EvaluationReport | None, most: float
) -> GateResult:
    """Soft: counts of another holdout, or of a few rows, say little without their rows."""
    changes = [] if earlier is None else list(_rate_changes(report, earlier))
    if not changes:
        reason = "There are no earlier counts to compare with."
        return GateResult(CLASSES_KEPT, Verdict.CANNOT_TELL, None, most, reason)
    worst, name = min(changes)
    said = f"The largest loss is that in {name}, {signed(worst, 4)}"
    reason = f"{said if worst < 0 else 'No class has lost'}; a loss of {most:g} is allowed."
    return _result(CLASSES_KEPT, -worst <= most + ROUNDING, worst, most, reason, hard=False)


def _rate_changes(
    report: EvaluationReport, earlier: EvaluationReport
) -> Iterator[tuple[float, str]]:
    now, then = rates(report.confusion), rates(earlier.confusion)
    for name, value in now.items():
        before = then[name]
        if value is not None and before is not None:
            yield value - before, name


def rates(confusion: Confusion) -> Mapping[str, float | None]:
    """Precision and recall of both classes, 0 to 1; ``None`` where there is nothing to divide."""
    tp, fp = confusion.true_positive, confusion.false_positive
    tn, fn = confusion.true_negative, confusion.false_negative
    return {
        "precision of the positive class": _share(tp, tp + fp),
        "recall of the positive class": _share(tp, tp + fn),
        "precision of the negative class": _share(tn, tn + fn),
        "recall of the negative class": _share(tn, tn + fp),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
