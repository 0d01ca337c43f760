"""The part of a check's report that tells whether the model still works."""

from __future__ import annotations

from core.frozen import Frozen

#: A band of NannyML is so many standard errors wide on either side.
BAND_ERRORS = 3.0
#: Name of a metric in ``evaluation.point_metrics`` -> NannyML's, where they differ.
NANNYML_NAMES = {"auc": "roc_auc"}


class MetricCourse(Frozen):
    """A metric of the whole analysis and of its chunks.

    ``low`` and ``high`` are NannyML's band of three standard errors; ``rows`` are those that
    the metric rests on.
    """

    value: float | None
    low: float | None
    high: float | None
    rows: int
    chunk_values: tuple[float | None, ...] = ()
    chunk_lows: tuple[float | None, ...] = ()
    chunk_highs: tuple[float | None, ...] = ()
    chunk_alerts: tuple[bool, ...] = ()
    note: str = ""

    @property
    def standard_error(self) -> float | None:
        """By the lower end of the band, because the upper one may be cut at 1."""
        if self.value is None or self.low is None:
            return None
        return (self.value - self.low) / BAND_ERRORS


class MetricPerformance(Frozen):
    """Estimated and, where labels are known, realized performance by one metric."""

    #: NannyML's name, such as ``roc_auc``.
    metric: str
    #: Realized on the whole reference, out of fold.
    reference_value: float | None
    #: What the reference's chunks keep to.
    lower_threshold: float | None
    upper_threshold: float | None
    #: What parts of the reference that are as large as the whole analysis stay above.
    whole_threshold: float | None
    estimated: MetricCourse | None = None
    realized: MetricCourse | None = None

    @property
    def estimated_loss(self) -> float | None:
        """How far the estimate lies below the reference; negative where it is above."""
        return _loss(self.reference_value, self.estimated)

    @property
    def realized_loss(self) -> float | None:
        """How far what was realized lies below the reference."""
        return _loss(self.reference_value, self.realized)


def _loss(reference: float | None, course: MetricCourse | None) -> float | None:
    if reference is None or course is None or course.value is None:
        return None
    return reference - course.value


class Calibration(Frozen):
    """Expected calibration error on the reference, 0 to 1, before and after recalibration.

    ``error_after`` is measured on rows that the recalibration did not see.
    """

    error_before: float
    error_after: float
    #: What a perfectly calibrated model would show by chance on as many rows.
    error_by_chance: float
    #: Whether NannyML uses its recalibration, which it does where that helps.
    recalibrated: bool


class PastError(Frozen):
    """What the estimator said of an earlier check, and what turned out."""

    check_id: str
    metric: str
    estimated: float
    realized: float
    #: Labelled rows.
    rows: int
    #: Of the realized value, which scatters by so much where labels are few.
    standard_error: float | None

    @property
    def error(self) -> float:
        """Estimated minus realized: positive where the estimate was too good."""
        return self.estimated - self.realized


class Estimator(Frozen):
    """Whether the estimate of performance can be trusted."""

    trusted: bool
    #: By how much the first metric's estimate may be off, beside its confidence band.
    may_be_off_by: float | None
    #: One sentence.
    text: str
    calibration: Calibration | None
    #: Estimated minus realized on the reference itself, by the first metric.
    reference_error: float | None
    #: Newest first; this check's own comes first where it has labels.
    past: tuple[PastError, ...] = ()
    mean_past_error: float | None = None
