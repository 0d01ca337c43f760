"""A check as a story: count, compare, ask NannyML about a sample, judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from core.monitoring.chunks import told_chunks
from core.monitoring.columns import (
    ColumnPlan,
    Compared,
    Tally,
    compare_columns,
    plan_columns,
    tally,
)
from core.monitoring.detector import Detector, Performed
from core.monitoring.report import (
    CheckVerdict,
    Chunk,
    ColumnDrift,
    MethodDrift,
    Multivariate,
)
from core.monitoring.report_performance import (
    Estimator,
    MetricPerformance,
    PastError,
)
from core.monitoring.sampling import Span, build_sample, draw, known_labels, span, times
from core.monitoring.verdict import Measured, judge
from core.monitoring.verdict_performance import assess_estimator, reported_error
from core.params_monitoring import MonitoringParams
from core.problems.contract import Contract

#: Told how far a check is: percent of it, and what it does.
Tell = Callable[[int, str], None]


class Arrived(Protocol):
    """What arrived, wherever its rows lie."""

    @property
    def rows(self) -> int:
        """Rows in all."""

    @property
    def labelled_rows(self) -> int:
        """Rows whose label is known."""

    @property
    def span(self) -> Span | None:
        """When the first and the last row happened; ``None`` where that is not known of all."""

    def tally(self, plans: Sequence[ColumnPlan]) -> Mapping[str, Tally]:
        """Counts all rows by a plan; however that is done, it gives what ``tally`` would."""

    def sample(self, rows: int, seed: int) -> pa.Table:
        """At most so many rows, those of ``draw``, in order of time.

        They hold the contract's fields and ``probability``, and ``label`` and ``at`` where
        these are known.
        """


@dataclass(frozen=True, eq=False)
class ArrivedTable:
    """What arrived, as one table in memory and in order of time."""

    table: pa.Table

    @property
    def rows(self) -> int:
        """Rows in all."""
        return int(self.table.num_rows)

    @property
    def labelled_rows(self) -> int:
        """Rows whose label is known."""
        return known_labels(self.table)

    @property
    def span(self) -> Span | None:
        """When the first and the last row happened."""
        return span(self.table)

    def tally(self, plans: Sequence[ColumnPlan]) -> Mapping[str, Tally]:
        """Counts all rows by a plan."""
        return tally(self.table, plans)

    def sample(self, rows: int, seed: int) -> pa.Table:
        """At most so many rows, in order of time."""
        return draw(self.table, rows, seed)


@dataclass(frozen=True)
class History:
    """Earlier checks of the same version, newest first."""

    #: column -> PSI.
    psi: Mapping[str, Sequence[float]] = field(default_factory=dict)
    #: What the estimator said, by the first metric, and what turned out.
    errors: tuple[PastError, ...] = ()


@dataclass(frozen=True)
class Findings:
    """All of a report that follows from the rows."""

    verdict: CheckVerdict
    compared: Compared
    reference_sample: int = 0
    analysis_sample: int = 0
    chunks: tuple[Chunk, ...] = ()
    reconstruction: Multivariate | None = None
    domain_classifier: Multivariate | None = None
    performance: tuple[MetricPerformance, ...] = ()
    estimator: Estimator | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Told:
    """What NannyML says of a sample."""

    reference_rows: int
    analysis_rows: int
    chunks: tuple[Chunk, ...]
    methods: Mapping[str, Sequence[MethodDrift]]
    reconstruction: Multivariate | None
    domain_classifier: Multivariate | None
    performed: Performed


def examine(
    check_id: str,
    contract: Contract,
    reference: pa.Table,
    arrived: Arrived,
    threshold: float,
    history: History,
    params: MonitoringParams,
    detector: Callable[[], Detector],
    tell: Tell,
) -> Findings:
    """Compares what arrived with the reference and says what it comes to.

    Args:
        check_id: by which this check's own error of the estimate is known.
        contract: names the inputs.
        reference: inputs, label and out-of-fold probability of what the version in
            production learned from.
        arrived: rows with the probability of that version.
        threshold: probability from which on that version's label is positive.
        history: earlier checks.
        params: what to look at, and the limits.
        detector: makes NannyML, which takes seconds to load; not called without rows enough.
        tell: is told how far the check is.
    """
    tell(20, "counting values")
    plans = plan_columns(contract, reference, arrived.rows, params.drift)
    compared = compare_columns(
        plans,
        tally(reference, plans),
        arrived.tally(plans),
        history.psi,
        params.drift,
    )
    rows, reference_rows = arrived.rows, reference.num_rows
    if rows < params.minimum_rows:
        return Findings(judge(Measured(rows, reference_rows), params), compared)
    told = _ask(contract, reference, arrived, threshold, params, detector, tell)
    compared = _with_methods(compared, told.methods)
    estimator = _estimator(check_id, told.performed, history, params)
    measured = Measured(
        rows=rows,
        reference_rows=reference_rows,
        quality=compared.quality,
        features=compared.features,
        prediction=compared.prediction,
        reconstruction=told.reconstruction,
        domain_classifier=told.domain_classifier,
        performance=told.performed.metrics,
        estimator=estimator,
    )
    return Findings(
        verdict=judge(measured, params),
        compared=compared,
        reference_sample=told.reference_rows,
        analysis_sample=told.analysis_rows,
        chunks=told.chunks,
        reconstruction=told.reconstruction,
        domain_classifier=told.domain_classifier,
        performance=told.performed.metrics,
        estimator=estimator,
        notes=_notes(told, compared),
    )


def _ask(
    contract: Contract,
    reference: pa.Table,
    arrived: Arrived,
    threshold: float,
    params: MonitoringParams,
    detector: Callable[[], Detector],
    tell: Tell,
) -> _Told:
    tell(30, "loading NannyML")
    nannyml = detector()
    then = draw(reference, params.sample_rows, params.seed)
    now = arrived.sample(params.sample_rows, params.seed)
    sample = build_sample(contract, then, now, threshold, params.chunks)
    tell(45, "drift of each column")
    methods = nannyml.univariate(sample, params.drift)
    tell(65, "drift of all columns together")
    reconstruction = nannyml.reconstruction(sample) if params.drift.multivariate else None
    classifier = nannyml.domain_classifier(sample) if params.drift.domain_classifier else None
    tell(80, "estimating performance")
    performed = nannyml.performance(sample, params.performance, params.seed)
    return _Told(
        reference_rows=then.num_rows,
        analysis_rows=now.num_rows,
        chunks=(
            *told_chunks(sample.reference_cut, None, "reference"),
            *told_chunks(sample.analysis_cut, times(now), "analysis"),
        ),
        methods=methods,
        reconstruction=reconstruction,
        domain_classifier=classifier,
        performed=performed,
    )


def _with_methods(compared: Compared, methods: Mapping[str, Sequence[MethodDrift]]) -> Compared:
    def told(drift: ColumnDrift) -> ColumnDrift:
        return drift.model_copy(update={"methods": tuple(methods.get(drift.column, ()))})

    return Compared(
        compared.quality,
        tuple(told(drift) for drift in compared.features),
        told(compared.prediction),
    )


def _estimator(
    check_id: str, performed: Performed, history: History, params: MonitoringParams
) -> Estimator | None:
    if not performed.metrics:
        return None
    own = reported_error(check_id, performed.metrics[0])
    past = (*filter(None, [own]), *history.errors)
    return assess_estimator(
        performed.calibration, performed.reference_error, past, params.performance
    )


def _notes(told: _Told, compared: Compared) -> tuple[str, ...]:
    """What could not be computed, column by column and for all."""
    notes = [*told.performed.notes]
    if told.reconstruction is not None and told.reconstruction.note:
        notes.append(f"reconstruction error: {told.reconstruction.note}")
    if told.domain_classifier is not None and told.domain_classifier.note:
        notes.append(f"domain classifier: {told.domain_classifier.note}")
    for drift in (*compared.features, compared.prediction):
        reasons = {method.note for method in drift.methods if method.note}
        notes += [f"{drift.column}: {reason}" for reason in sorted(reasons)]
    return tuple(notes)
