"""A check and its report as the core would give them, for tests of what is drawn of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.domain import RunStatus
from core.domain_watching import Alert, AlertKind, AlertStatus, Check, Level
from core.monitoring.report import (
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
    UnseenCategory,
)
from core.monitoring.report_performance import (
    Calibration,
    Estimator,
    MetricCourse,
    MetricPerformance,
    PastError,
)

START = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
SUMMARY = "The world changed: Fare drifts with a PSI of 0.31, above 0.30."
_CHUNKS = 6
_REFERENCE_CHUNKS = 3


def batch_id(number: int) -> str:
    """The id of ``app_fakes.make_batch``."""
    return f"{number * 2654435761 % 2**32:08x}{number:024x}"


def make_check(
    number: int = 1,
    status: RunStatus = RunStatus.FINISHED,
    level: Level | None = Level.CRITICAL,
) -> Check:
    """One check of a batch."""
    finished = status is RunStatus.FINISHED
    return Check(
        id=f"c4ec4{number:027d}",
        problem="titanic",
        status=status,
        version=3,
        started_by="operator",
        started_at=START + timedelta(hours=number),
        batch_id=batch_id(number),
        ended_at=None if status.is_active else START + timedelta(hours=number, seconds=20),
        error="NannyML found no rows." if status is RunStatus.FAILED else None,
        level=level if finished else None,
        summary=SUMMARY if finished else "",
        rows=418 if finished else None,
    )


def make_alert(number: int = 1, status: AlertStatus = AlertStatus.OPEN) -> Alert:
    """One alert about drift."""
    return Alert(
        id=f"a1e47{number:07d}",
        problem="titanic",
        kind=AlertKind.DRIFT,
        severity=Level.CRITICAL,
        summary=SUMMARY,
        check_id=make_check(number).id,
        status=status,
        raised_at=START + timedelta(hours=number),
        details=("Fare: PSI 0.31",),
    )


def make_drift_report(number: int = 1, level: Level = Level.CRITICAL) -> DriftReport:
    """A report in which Fare has drifted and Pclass has not."""
    values = (0.02, 0.03, 0.02, 0.09, 0.2, 0.31)
    alerts = tuple(value > 0.1 for value in values)
    return DriftReport(
        compared=Compared(
            check_id=make_check(number).id,
            problem="titanic",
            checked_at=START + timedelta(hours=number),
            batch_id=batch_id(number),
            window=None,
            version=3,
            run_id="3" * 32,
            reference=Side(data_version="md5:aa", rows=712, sampled_rows=712),
            analysis=Side(data_version="md5:bb", rows=418, sampled_rows=418),
            seed=7,
        ),
        verdict=CheckVerdict(level=level, summary=SUMMARY, reasons=_reasons(level)),
        quality=(
            ColumnQuality(
                column="Embarked",
                missing_reference=2,
                missing_analysis=40,
                missing_share_reference=0.003,
                missing_share_analysis=0.096,
                unseen_rows=3,
                unseen_share=0.007,
                unseen=(UnseenCategory(value="X", rows=3),),
            ),
        ),
        chunks=_chunks(),
        features=(
            _drift("Fare", 1, 0.31, Level.CRITICAL, values, alerts),
            _drift("Pclass", 2, 0.01, Level.OK, (0.01,) * _CHUNKS, (False,) * _CHUNKS),
        ),
        prediction=_drift("prediction", 0, 0.12, Level.OK, values, alerts),
        reconstruction=Multivariate(
            value=1.2,
            lower_threshold=0.9,
            upper_threshold=1.1,
            alert=True,
            chunk_values=(1.0, 1.0, 1.0, 1.1, 1.2, 1.3),
            chunk_alerts=(False, False, False, False, True, True),
        ),
        domain_classifier=None,
        performance=(_performance(),),
        estimator=Estimator(
            trusted=False,
            may_be_off_by=0.04,
            text="The estimate may be off by 0.04: the model is badly calibrated.",
            calibration=Calibration(
                error_before=0.09, error_after=0.06, error_by_chance=0.02, recalibrated=True
            ),
            reference_error=0.001,
            past=(
                PastError(
                    check_id="0" * 32,
                    metric="roc_auc",
                    estimated=0.85,
                    realized=0.81,
                    rows=120,
                    standard_error=0.02,
                ),
            ),
            mean_past_error=0.04,
        ),
        labelled_rows=120,
        notes=("Deck is missing in most rows.",),
    )


def _reasons(level: Level) -> tuple[Reason, ...]:
    drifted = Reason(
        topic=Topic.DRIFT,
        level=level,
        subject="Fare",
        measured=0.31,
        limit=0.3,
        text="Fare drifts with a PSI of 0.31, above 0.30.",
    )
    stable = Reason(
        topic=Topic.DRIFT,
        level=Level.OK,
        subject="Pclass",
        measured=0.01,
        limit=0.2,
        text="Pclass has not moved.",
    )
    return (drifted, stable)


def _chunks() -> tuple[Chunk, ...]:
    return tuple(
        Chunk(
            period="reference" if number < _REFERENCE_CHUNKS else "analysis",
            label=f"[{number * 100}:{number * 100 + 99}]",
            rows=100,
            first_row=number * 100,
            last_row=number * 100 + 99,
        )
        for number in range(_CHUNKS)
    )


def _drift(
    column: str,
    rank: int,
    psi: float,
    level: Level,
    values: tuple[float, ...],
    alerts: tuple[bool, ...],
) -> ColumnDrift:
    bins = tuple(
        Bin(
            kind="range",
            label=f"{low} to {low + 10}",
            low=float(low),
            high=float(low + 10),
            reference_rows=100,
            analysis_rows=50 + low,
            reference_share=0.25,
            analysis_share=0.1 + low / 100,
        )
        for low in (0, 10, 20, 30)
    )
    method = MethodDrift(
        method="jensen_shannon",
        value=values[-1],
        lower_threshold=None,
        upper_threshold=0.1,
        alert=alerts[-1],
        chunk_values=values,
        chunk_alerts=alerts,
    )
    return ColumnDrift(
        column=column,
        kind="number",
        rank=rank,
        psi=psi,
        psi_by_chance=0.03,
        jensen_shannon=psi / 2,
        level=level,
        bins=bins,
        methods=(method,),
    )


def _performance() -> MetricPerformance:
    return MetricPerformance(
        metric="roc_auc",
        reference_value=0.87,
        lower_threshold=0.82,
        upper_threshold=0.92,
        whole_threshold=None,
        estimated=MetricCourse(
            value=0.83,
            low=0.8,
            high=0.86,
            rows=418,
            chunk_values=(0.87, 0.88, 0.87, 0.85, 0.83, 0.81),
            chunk_lows=(0.84, 0.85, 0.84, 0.82, 0.8, 0.78),
            chunk_highs=(0.9, 0.91, 0.9, 0.88, 0.86, 0.84),
            chunk_alerts=(False, False, False, False, False, True),
        ),
        realized=MetricCourse(
            value=0.81,
            low=None,
            high=None,
            rows=120,
            chunk_values=(0.87, 0.88, 0.86, 0.84, 0.82, None),
            chunk_lows=(),
            chunk_highs=(),
            chunk_alerts=(),
        ),
    )
