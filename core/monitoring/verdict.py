"""What a check comes to: a pure function of what was measured and of the policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.domain_watching import Level
from core.monitoring.report import (
    PROBABILITY,
    CheckVerdict,
    ColumnDrift,
    ColumnQuality,
    Multivariate,
    Reason,
    Topic,
)
from core.monitoring.report_performance import Estimator, MetricPerformance
from core.monitoring.verdict_performance import performance_reasons
from core.monitoring.verdict_quality import quality_reasons
from core.params_monitoring import DriftParams, MonitoringParams

#: Reasons that the summary names.
MOST_NAMED = 2
_SEVERITY = {Level.OK: 0, Level.NOT_ENOUGH_DATA: 1, Level.WARNING: 2, Level.CRITICAL: 3}


@dataclass(frozen=True)
class Measured:
    """What the verdict looks at."""

    #: Rows of the analysis.
    rows: int
    reference_rows: int
    quality: tuple[ColumnQuality, ...] = ()
    features: tuple[ColumnDrift, ...] = ()
    prediction: ColumnDrift | None = None
    reconstruction: Multivariate | None = None
    domain_classifier: Multivariate | None = None
    performance: tuple[MetricPerformance, ...] = ()
    estimator: Estimator | None = None


def judge(measured: Measured, policy: MonitoringParams) -> CheckVerdict:
    """Returns the verdict with every reason, worst first.

    ``level`` of each column is taken as ``psi_level`` has set it.
    """
    if measured.rows < policy.minimum_rows:
        return _not_enough(measured.rows, policy.minimum_rows)
    reasons = [
        *_drift_reasons(measured, policy.drift),
        *quality_reasons(measured.quality, measured.reference_rows, measured.rows, policy.quality),
        *performance_reasons(measured.performance, measured.estimator, policy.performance),
    ]
    ranked = tuple(sorted(reasons, key=lambda reason: -_SEVERITY[reason.level]))
    level = ranked[0].level if ranked else Level.OK
    return CheckVerdict(level=level, summary=_summary(level, ranked), reasons=ranked)


def _not_enough(rows: int, minimum: int) -> CheckVerdict:
    text = f"not enough data ({rows} of {minimum})"
    reason = Reason(
        topic=Topic.TRAFFIC,
        level=Level.NOT_ENOUGH_DATA,
        subject="",
        measured=float(rows),
        limit=float(minimum),
        text=text,
    )
    return CheckVerdict(level=Level.NOT_ENOUGH_DATA, summary=_sentence(text), reasons=(reason,))


def _summary(level: Level, ranked: Sequence[Reason]) -> str:
    worst = [reason for reason in ranked if reason.level is level]
    if level is Level.OK:
        named = [reason.text for reason in worst if reason.measured is not None][:MOST_NAMED]
        return _sentence("; ".join(["nothing stands out", *named]))
    text = "; ".join(reason.text for reason in worst[:MOST_NAMED])
    more = sum(1 for reason in ranked if reason.level is not Level.OK) - len(worst[:MOST_NAMED])
    return _sentence(f"{text}; {more} more" if more else text)


def _sentence(text: str) -> str:
    return f"{text}."


def psi_level(
    psi: float | None,
    by_chance: float | None,
    before: Sequence[float],
    policy: DriftParams,
) -> Level:
    """What the PSI of one column means by itself.

    Args:
        psi: of this check; ``None`` where it could not be computed.
        by_chance: what rows of one distribution may show; a PSI below it means nothing.
        before: of the same column in earlier checks of the same version, newest first.
        policy: the limits.
    """
    if psi is None or (by_chance is not None and psi <= by_chance):
        return Level.OK
    if psi > policy.psi_critical or _is_running(psi, before, policy):
        return Level.CRITICAL
    return Level.WARNING if psi > policy.psi_warning else Level.OK


def _is_running(psi: float, before: Sequence[float], policy: DriftParams) -> bool:
    course = [psi, *before][: policy.psi_checks]
    return len(course) == policy.psi_checks and min(course) > policy.psi_warning


def _drift_reasons(measured: Measured, policy: DriftParams) -> list[Reason]:
    columns = [*measured.features, *filter(None, [measured.prediction])]
    reasons = [_psi_reason(drift, policy) for drift in columns]
    reasons += [_methods_reason(drift) for drift in columns]
    reasons.append(
        _multivariate_reason("reconstruction error of all columns", measured.reconstruction)
    )
    reasons.append(_multivariate_reason("AUC of the domain classifier", measured.domain_classifier))
    return [*filter(None, reasons), *_calm(columns, policy)]


def _named(drift: ColumnDrift) -> str:
    return "the prediction" if drift.column == PROBABILITY else drift.column


def _psi_reason(drift: ColumnDrift, policy: DriftParams) -> Reason | None:
    psi, name = drift.psi, _named(drift)
    if psi is None or psi <= policy.psi_warning:
        return None
    limit = policy.psi_warning
    if drift.level is Level.OK:
        text = f"the PSI of {name}, {psi:.2f}, is within chance for so few rows"
    elif psi > policy.psi_critical:
        limit = policy.psi_critical
        text = f"{name} drifted: PSI {psi:.2f} is above {limit:g}"
    elif drift.level is Level.CRITICAL:
        text = f"{name} drifted: PSI {psi:.2f} is above {limit:g} in {policy.psi_checks} checks"
    else:
        text = f"{name} drifted: PSI {psi:.2f} is above {limit:g}"
    return Reason(
        topic=Topic.DRIFT,
        level=drift.level,
        subject=drift.column,
        measured=psi,
        limit=limit,
        text=text,
    )


def _methods_reason(drift: ColumnDrift) -> Reason | None:
    """More than half of a column's methods raise an alert: one alone may do so by chance."""
    told = [method for method in drift.methods if method.value is not None]
    alerting = [method for method in told if method.alert]
    if len(alerting) * 2 <= len(told):
        return None
    names = ", ".join(method.method.replace("_", " ") for method in alerting)
    first = alerting[0]
    return Reason(
        topic=Topic.DRIFT,
        level=Level.WARNING,
        subject=drift.column,
        measured=first.value,
        limit=first.upper_threshold,
        text=f"{_named(drift)} is beyond what the reference shows by {names}",
    )


def _multivariate_reason(what: str, found: Multivariate | None) -> Reason | None:
    if found is None or found.value is None:
        return None
    low, high = found.lower_threshold, found.upper_threshold
    is_below = low is not None and found.value < low
    limit = low if is_below or high is None else high
    bounds = " to ".join(f"{end:.3f}" for end in (low, high) if end is not None)
    state = "outside" if found.alert else "within"
    return Reason(
        topic=Topic.DRIFT,
        level=Level.WARNING if found.alert else Level.OK,
        subject="",
        measured=found.value,
        limit=limit,
        text=f"the {what}, {found.value:.3f}, is {state} the reference's {bounds}",
    )


def _calm(columns: Sequence[ColumnDrift], policy: DriftParams) -> list[Reason]:
    """The column that moved most, where none moved much."""
    told = [(drift.psi, drift) for drift in columns if drift.psi is not None]
    if not told:
        return []
    psi, drift = max(told, key=lambda one: one[0])
    if psi > policy.psi_warning:
        return []
    return [
        Reason(
            topic=Topic.DRIFT,
            level=Level.OK,
            subject=drift.column,
            measured=psi,
            limit=policy.psi_warning,
            text=f"the largest PSI is {psi:.2f} ({_named(drift)})",
        )
    ]
