"""Whether the model still works: a pure function of measurements and of the policy."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, sqrt
from statistics import fmean

from core.domain_watching import Level
from core.monitoring.report import Reason, Topic
from core.monitoring.report_performance import (
    BAND_ERRORS,
    Calibration,
    Estimator,
    MetricCourse,
    MetricPerformance,
    PastError,
)
from core.params_monitoring import PerformanceParams


def reported_error(check_id: str, told: MetricPerformance) -> PastError | None:
    """What a check itself shows of its estimate; ``None`` where it has too few labels."""
    estimated, realized = told.estimated, told.realized
    if estimated is None or estimated.value is None:
        return None
    if realized is None or realized.value is None:
        return None
    return PastError(
        check_id=check_id,
        metric=told.metric,
        estimated=estimated.value,
        realized=realized.value,
        rows=realized.rows,
        standard_error=realized.standard_error,
    )


def assess_estimator(
    calibration: Calibration | None,
    reference_error: float | None,
    past: Sequence[PastError],
    policy: PerformanceParams,
) -> Estimator:
    """Says whether an estimate of performance can be trusted, and how far it may be off.

    Args:
        calibration: on the reference; ``None`` where it could not be measured.
        reference_error: estimated minus realized on the reference, by the first metric.
        past: earlier estimates of the first metric beside what turned out, newest first.
        policy: what is good enough.
    """
    mean_past = fmean(abs(one.error) for one in past) if past else None
    known = [abs(error) for error in (reference_error, mean_past) if error is not None]
    faults = _faults(calibration, past, policy)
    off_by = max(known) if known else None
    text = "not to be trusted: " + "; ".join(faults) if faults else "can be trusted"
    if off_by is not None:
        text += f"; it may be off by {off_by:.3f}"
    return Estimator(
        trusted=not faults,
        may_be_off_by=off_by,
        text=f"The estimate is {text}." if faults else f"The estimate {text}.",
        calibration=calibration,
        reference_error=reference_error,
        past=tuple(past),
        mean_past_error=mean_past,
    )


def _faults(
    calibration: Calibration | None, past: Sequence[PastError], policy: PerformanceParams
) -> list[str]:
    faults = []
    if calibration is None:
        faults.append("its calibration could not be measured")
    else:
        beyond = calibration.error_after - calibration.error_by_chance
        if beyond > policy.calibration_error:
            faults.append(
                f"its calibration error after recalibration is {calibration.error_after:.3f}, "
                f"{beyond:.3f} more than chance"
            )
    if past:
        mean = fmean(abs(one.error) for one in past)
        if mean - _error_by_chance(past) > policy.past_error:
            faults.append(f"its mean past error is {mean:.3f}, above {policy.past_error:g}")
    return faults


def _error_by_chance(past: Sequence[PastError]) -> float:
    """Mean absolute error of a perfect estimate: what was realized scatters by itself.

    The mean absolute deviation of a normal distribution is sqrt(2 / pi) standard deviations.
    """
    return sqrt(2 / pi) * fmean(one.standard_error or 0.0 for one in past)


def performance_reasons(
    performance: Sequence[MetricPerformance],
    estimator: Estimator | None,
    policy: PerformanceParams,
) -> list[Reason]:
    """Reasons of the first metric, and whether its estimate can be trusted."""
    if not performance:
        return []
    judging = performance[0]
    reasons = [
        _estimated(judging, estimator, policy),
        _realized(judging, estimator, policy),
    ]
    if estimator is not None and not estimator.trusted:
        reasons.append(
            Reason(
                topic=Topic.ESTIMATOR,
                level=Level.OK,
                subject=judging.metric,
                measured=estimator.may_be_off_by,
                limit=None,
                text=_clause(estimator.text),
            )
        )
    return [reason for reason in reasons if reason is not None]


def _estimated(
    judging: MetricPerformance, estimator: Estimator | None, policy: PerformanceParams
) -> Reason | None:
    reason = _loss_reason(Topic.ESTIMATED_LOSS, "estimated", judging, judging.estimated, policy)
    if reason is None or reason.level is not Level.CRITICAL:
        return reason
    if estimator is None or estimator.trusted:
        return reason
    text = f"{reason.text}; {_clause(estimator.text)}"
    return reason.model_copy(update={"level": Level.WARNING, "text": text})


def _realized(
    judging: MetricPerformance, estimator: Estimator | None, policy: PerformanceParams
) -> Reason | None:
    """Of these rows where their labels are known, else of the last ones whose labels came."""
    topic = Topic.REALIZED_LOSS
    if judging.realized is not None and judging.realized.value is not None:
        return _loss_reason(topic, "realized", judging, judging.realized, policy)
    past = estimator.past if estimator is not None else ()
    if not past:
        return None
    last = past[0]
    reach = None if last.standard_error is None else BAND_ERRORS * last.standard_error
    course = MetricCourse(
        value=last.realized,
        low=None if reach is None else last.realized - reach,
        high=None if reach is None else last.realized + reach,
        rows=last.rows,
    )
    word = f"in check {last.check_id[:8]}, whose labels came since, the realized"
    return _loss_reason(topic, word, judging, course, policy)


def _loss_reason(
    topic: Topic,
    word: str,
    judging: MetricPerformance,
    course: MetricCourse | None,
    policy: PerformanceParams,
) -> Reason | None:
    reference = judging.reference_value
    if reference is None or course is None or course.value is None:
        return None
    loss = reference - course.value
    level, limit = _loss_level(loss, judging, course, policy)
    metric = judging.metric.replace("_", " ")
    far = f"{abs(loss):.3f} {'below' if loss >= 0 else 'above'} the reference"
    text = f"{word} {metric} is {course.value:.3f}, {far}"
    if level is Level.OK and loss > policy.loss_warning:
        text += ", which so few rows may show by chance"
    return Reason(
        topic=topic, level=level, subject=judging.metric, measured=loss, limit=limit, text=text
    )


def _loss_level(
    loss: float, judging: MetricPerformance, course: MetricCourse, policy: PerformanceParams
) -> tuple[Level, float]:
    """Level and the limit that counted.

    A loss counts where even the top of the band is below the reference. NannyML's threshold,
    three standard deviations below what parts of the reference show, makes a warning of a
    smaller loss.
    """
    reference = judging.reference_value
    is_chance = reference is None or course.high is None or course.high >= reference
    if loss > policy.loss_critical and not is_chance:
        return Level.CRITICAL, policy.loss_critical
    low, value = judging.whole_threshold, course.value
    is_beyond = low is not None and value is not None and value < low
    if (loss > policy.loss_warning or is_beyond) and not is_chance:
        return Level.WARNING, policy.loss_warning
    return Level.OK, policy.loss_warning


def _clause(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:].rstrip(".")
