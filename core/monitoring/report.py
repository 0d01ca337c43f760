"""What a check leaves behind: one frozen value, stored as JSON in the check's MLflow run.

The words are NannyML's: the *reference* is what the version learned from, the *analysis* is
what arrived; both are cut into *chunks*. Courses over chunks are tuples in the order of
``DriftReport.chunks``. What could not be computed is ``None`` or missing, and a note says why.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from core.domain_watching import AlertKind, Level
from core.frozen import Frozen
from core.monitoring.report_performance import Estimator, MetricPerformance

#: Column of the version's probability of the positive class; no input may be called so.
PROBABILITY = "probability"


class Topic(StrEnum):
    """What a reason is about. The first four are the kinds of alerts, under the same names."""

    DRIFT = AlertKind.DRIFT.value
    QUALITY = AlertKind.QUALITY.value
    ESTIMATED_LOSS = AlertKind.ESTIMATED_LOSS.value
    REALIZED_LOSS = AlertKind.REALIZED_LOSS.value
    #: Whether there are rows enough.
    TRAFFIC = "traffic"
    #: Whether the estimate of performance can be trusted.
    ESTIMATOR = "estimator"


class Reason(Frozen):
    """One thing that was looked at: what was measured, against what limit, what follows.

    ``level`` is what this alone comes to. ``subject`` is the column, ``probability`` for the
    prediction, the metric, or empty where the reason is about all.
    """

    topic: Topic
    level: Level
    subject: str
    measured: float | None
    limit: float | None
    text: str


class CheckVerdict(Frozen):
    """What the check comes to; ``reasons`` are worst first, those that found nothing included."""

    level: Level
    #: One sentence.
    summary: str
    reasons: tuple[Reason, ...]

    def of(self, topic: Topic) -> tuple[Reason, ...]:
        """Reasons of one topic, worst first."""
        return tuple(reason for reason in self.reasons if reason.topic is topic)


class Side(Frozen):
    """One of the two sets of rows that were compared."""

    #: ``md5:`` and the hash by which the data is known; empty for the inference log.
    data_version: str
    rows: int
    #: Rows that NannyML looked at: all, or a seeded sample.
    sampled_rows: int
    first_at: datetime | None = None
    last_at: datetime | None = None


class Compared(Frozen):
    """What was held against what."""

    check_id: str
    problem: str
    checked_at: datetime
    #: Either of the two is set, as in ``Check``.
    batch_id: str | None
    window: str | None
    #: The version in production, and the run that made it.
    version: int
    run_id: str
    reference: Side
    analysis: Side
    #: Seed of every random choice.
    seed: int
    #: Which rows were answered by other versions and scored anew; 0 for a batch.
    rescored_rows: int = 0


class Chunk(Frozen):
    """Rows that lie together in time, on either side. ``rows`` is what it holds of the sample."""

    period: Literal["reference", "analysis"]
    label: str
    rows: int
    #: First and last row of the chunk, counted from 0 within its side's sample.
    first_row: int
    last_row: int
    start_at: datetime | None = None
    end_at: datetime | None = None


class UnseenCategory(Frozen):
    """A value that the reference does not have."""

    value: str
    rows: int


class ColumnQuality(Frozen):
    """Data quality of one input; shares are 0 to 1 of the side's rows."""

    column: str
    missing_reference: int
    missing_analysis: int
    missing_share_reference: float
    missing_share_analysis: float
    #: Rows with a category that is not in the reference, and the most frequent of these.
    unseen_rows: int = 0
    unseen_share: float = 0.0
    unseen: tuple[UnseenCategory, ...] = ()
    #: The contract's usual range, or the reference's own where the contract has none.
    usual_low: float | None = None
    usual_high: float | None = None
    out_of_range_rows: int = 0
    out_of_range_share: float = 0.0
    out_of_range_share_reference: float = 0.0


class Bin(Frozen):
    """One bar of a distribution. Numbers: ``low`` < value <= ``high``; None is an open end."""

    kind: Literal["range", "category", "other", "missing"]
    label: str
    low: float | None = None
    high: float | None = None
    reference_rows: int
    analysis_rows: int
    reference_share: float
    analysis_share: float


class MethodDrift(Frozen):
    """What one method of NannyML says of one column."""

    method: str
    #: Of the whole analysis.
    value: float | None
    lower_threshold: float | None
    upper_threshold: float | None
    #: Whether the value of the whole analysis is beyond a threshold.
    alert: bool
    #: In the order of ``DriftReport.chunks``.
    chunk_values: tuple[float | None, ...] = ()
    chunk_alerts: tuple[bool, ...] = ()
    #: Why there is no value.
    note: str = ""


class ColumnDrift(Frozen):
    """How far one column has moved from the reference."""

    column: str
    kind: Literal["number", "category"]
    #: 1 drifts most; the prediction has rank 0.
    rank: int
    #: Population stability index; see ``distances.psi``.
    psi: float | None
    #: The PSI that rows of one distribution would pass once in a thousand checks.
    psi_by_chance: float | None
    #: Of the same bins; 0 to 1, base 2.
    jensen_shannon: float | None
    #: What the PSI means by itself.
    level: Level
    bins: tuple[Bin, ...]
    methods: tuple[MethodDrift, ...] = ()
    note: str = ""


class Multivariate(Frozen):
    """One value for all columns: the reconstruction error, or the domain classifier's AUC."""

    value: float | None
    lower_threshold: float | None
    upper_threshold: float | None
    alert: bool
    chunk_values: tuple[float | None, ...] = ()
    chunk_alerts: tuple[bool, ...] = ()
    note: str = ""


class DriftReport(Frozen):
    """The result of a check."""

    compared: Compared
    verdict: CheckVerdict
    quality: tuple[ColumnQuality, ...]
    #: The reference's chunks first, then those of the analysis, each in order of time.
    chunks: tuple[Chunk, ...]
    #: Inputs, those that drift most first.
    features: tuple[ColumnDrift, ...]
    #: Of the probability.
    prediction: ColumnDrift | None
    reconstruction: Multivariate | None
    domain_classifier: Multivariate | None
    #: The first metric is the one that the verdict looks at.
    performance: tuple[MetricPerformance, ...]
    estimator: Estimator | None
    #: Rows of the analysis whose label is known.
    labelled_rows: int
    #: What was left out, and why.
    notes: tuple[str, ...] = ()
