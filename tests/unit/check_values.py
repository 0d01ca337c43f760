"""Values of checks and their reports for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from core.domain_watching import Level
from core.monitoring.report import (
    PROBABILITY,
    Bin,
    CheckVerdict,
    Chunk,
    ColumnDrift,
    ColumnQuality,
    Compared,
    DriftReport,
    MethodDrift,
    Multivariate,
    Reason,
    Side,
    Topic,
)
from core.monitoring.report_performance import (
    Calibration,
    Estimator,
    MetricCourse,
    MetricPerformance,
    PastError,
)
from core.params import load_params
from core.settings import CODE_ROOT

POLICY = load_params(CODE_ROOT / "params.yaml").monitoring
AT = datetime(2026, 2, 3, 4, 5, tzinfo=UTC)


def quality_of(column: str = "age", **changed: Any) -> ColumnQuality:
    """A column without a fault."""
    given = {
        "column": column,
        "missing_reference": 0,
        "missing_analysis": 0,
        "missing_share_reference": 0.0,
        "missing_share_analysis": 0.0,
        **changed,
    }
    return ColumnQuality.model_validate(given)


def method_of(name: str = "jensen_shannon", *, alert: bool = False) -> MethodDrift:
    """One method of NannyML."""
    return MethodDrift(
        method=name,
        value=0.3 if alert else 0.05,
        lower_threshold=None,
        upper_threshold=0.1,
        alert=alert,
        chunk_values=(0.02, 0.3 if alert else 0.05),
        chunk_alerts=(False, alert),
    )


def drift_of(column: str = "age", psi: float | None = 0.05, **changed: Any) -> ColumnDrift:
    """A column with a PSI."""
    given = {
        "column": column,
        "kind": "number",
        "rank": 0 if column == PROBABILITY else 1,
        "psi": psi,
        "psi_by_chance": 0.01,
        "jensen_shannon": 0.1,
        "level": Level.OK,
        "bins": (
            Bin(
                kind="range",
                label="up to 1",
                high=1.0,
                reference_rows=60,
                analysis_rows=40,
                reference_share=0.6,
                analysis_share=0.4,
            ),
            Bin(
                kind="range",
                label="above 1",
                low=1.0,
                reference_rows=40,
                analysis_rows=60,
                reference_share=0.4,
                analysis_share=0.6,
            ),
        ),
        **changed,
    }
    return ColumnDrift.model_validate(given)


def course_of(value: float | None, band: float = 0.005, rows: int = 5000) -> MetricCourse:
    """A metric of the whole and of its two chunks."""
    return MetricCourse(
        value=value,
        low=None if value is None else value - band,
        high=None if value is None else value + band,
        rows=rows,
        chunk_values=(0.9, value),
        chunk_alerts=(False, False),
    )


def performance_of(
    estimated: float | None = 0.9,
    realized: float | None = None,
    *,
    lower: float = 0.7,
    band: float = 0.005,
) -> MetricPerformance:
    """AUC 0.9 in the reference."""
    return MetricPerformance(
        metric="roc_auc",
        reference_value=0.9,
        lower_threshold=lower,
        upper_threshold=0.99,
        whole_threshold=lower,
        estimated=course_of(estimated, band),
        realized=None if realized is None else course_of(realized, band),
    )


def error_of(estimated: float, realized: float, error: float | None = 0.0) -> PastError:
    """An estimate of an earlier check, and what turned out."""
    return PastError(
        check_id="e" * 32,
        metric="roc_auc",
        estimated=estimated,
        realized=realized,
        rows=1000,
        standard_error=error,
    )


def estimator_of(*, trusted: bool = True, past: tuple[PastError, ...] = ()) -> Estimator:
    """What is said of the estimator."""
    return Estimator(
        trusted=trusted,
        may_be_off_by=0.01,
        text="The estimate can be trusted." if trusted else "The estimate is not to be trusted.",
        calibration=CALIBRATED,
        reference_error=0.01,
        past=past,
    )


CALIBRATED = Calibration(
    error_before=0.03, error_after=0.02, error_by_chance=0.01, recalibrated=True
)


def report_of(
    check_id: str = "c" * 32,
    *,
    level: Level = Level.OK,
    psi: float = 0.05,
    batch_id: str | None = "b1",
    performance: tuple[MetricPerformance, ...] = (performance_of(),),
    **changed: Any,
) -> DriftReport:
    """A whole report of one input."""
    reason = Reason(
        topic=Topic.DRIFT, level=level, subject="age", measured=psi, limit=0.2, text="age moved"
    )
    given = {
        "compared": Compared(
            check_id=check_id,
            problem="plums",
            checked_at=AT,
            batch_id=batch_id,
            window=None if batch_id else "24h",
            version=1,
            run_id="f" * 32,
            reference=Side(data_version="md5:1", rows=100, sampled_rows=100),
            analysis=Side(data_version="md5:2", rows=100, sampled_rows=100),
            seed=7,
        ),
        "verdict": CheckVerdict(level=level, summary="age moved.", reasons=(reason,)),
        "quality": (quality_of(),),
        "chunks": tuple(
            Chunk(period=period, label="1 to 100", rows=100, first_row=0, last_row=99)
            for period in ("reference", "analysis")
        ),
        "features": (drift_of("age", psi, methods=(method_of(alert=True),)),),
        "prediction": drift_of(PROBABILITY, 0.02),
        "reconstruction": Multivariate(
            value=1.2,
            lower_threshold=1.0,
            upper_threshold=1.3,
            alert=False,
            chunk_values=(1.1, 1.2),
            chunk_alerts=(False, False),
        ),
        "domain_classifier": None,
        "performance": performance,
        "estimator": estimator_of(),
        "labelled_rows": 0,
        **changed,
    }
    return DriftReport.model_validate(given)
