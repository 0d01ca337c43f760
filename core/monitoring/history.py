"""What earlier checks of the same version found, and how far their estimates were off."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import sqrt

import numpy as np
import pyarrow as pa

from core.data.batch_files import LABEL
from core.domain_watching import Level
from core.errors import NotFoundError
from core.monitoring.columns import numbers
from core.monitoring.examine import History
from core.monitoring.report import PROBABILITY, DriftReport
from core.monitoring.report_performance import NANNYML_NAMES, MetricPerformance, PastError
from core.monitoring.scatter import auc_standard_error
from core.monitoring.verdict_performance import reported_error
from core.params_monitoring import MonitoringParams
from core.training.evaluation import point_metrics

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LookedAt:
    """A batch, or the time from the first to the last row of a window."""

    batch_id: str | None
    span: tuple[datetime | None, datetime | None] | None

    def is_of_rows_of(self, later: LookedAt) -> bool:
        """Whether a later check has looked at the same batch, or for the most part at this time.

        Windows of neighbouring days touch each other, which is not the same rows.
        """
        if self.batch_id is not None or later.batch_id is not None:
            return self.batch_id == later.batch_id
        if self.span is None or later.span is None:
            return False
        (_, last), (first, end) = self.span, later.span
        if last is None or first is None or end is None:
            return False
        return last > first + (end - first) / 2


def read_history(
    reports: Sequence[DriftReport],
    own: LookedAt,
    labelled_rows: Callable[[str], pa.Table],
    threshold: float,
    params: MonitoringParams,
) -> History:
    """Reads what counts of earlier reports, newest first.

    Args:
        reports: of earlier checks of the same version.
        own: what this check looks at: looking at it twice is not two checks running.
        labelled_rows: batch id -> its rows whose label is known by now, with
            ``probability`` and ``label``.
        threshold: probability from which on the label is positive.
        params: how many checks count.
    """
    others = _others(reports, own)
    errors = []
    for report in others[: params.performance.past_checks]:
        error = _error(report, labelled_rows, threshold, params)
        if error is not None:
            errors.append(error)
    return History(psi=_psi_by_column(others, params), errors=tuple(errors))


def _others(reports: Sequence[DriftReport], own: LookedAt) -> list[DriftReport]:
    """Those that looked at other rows than this check and than each other."""
    known, others = [own], []
    for report in reports:
        side = report.compared.analysis
        both = (side.first_at, side.last_at)
        seen = LookedAt(report.compared.batch_id, None if None in both else both)
        if report.verdict.level is Level.NOT_ENOUGH_DATA or any(map(seen.is_of_rows_of, known)):
            continue
        known.append(seen)
        others.append(report)
    return others


def _psi_by_column(
    reports: Sequence[DriftReport], params: MonitoringParams
) -> dict[str, list[float]]:
    """PSI of the last checks, newest first; one that could not be computed ends the course."""
    courses: dict[str, list[float]] = {}
    for number, report in enumerate(reports[: params.drift.psi_checks - 1]):
        for drift in (*report.features, *filter(None, [report.prediction])):
            course = courses.setdefault(drift.column, [])
            if drift.psi is not None and len(course) == number:
                course.append(drift.psi)
    return courses


def _error(
    report: DriftReport,
    labelled_rows: Callable[[str], pa.Table],
    threshold: float,
    params: MonitoringParams,
) -> PastError | None:
    metric = params.performance.metrics[0]
    told = [one for one in report.performance if one.metric == metric]
    if not told or told[0].estimated is None or told[0].estimated.value is None:
        return None
    if report.compared.batch_id is None:
        return reported_error(report.compared.check_id, told[0])
    try:
        rows = labelled_rows(report.compared.batch_id)
    except NotFoundError as exc:
        LOG.info("batch %s is left out: %s", report.compared.batch_id, exc)
        return None
    if rows.num_rows < params.performance.minimum_labels:
        return None
    return _measured(report.compared.check_id, told[0], rows, threshold)


def _measured(
    check_id: str, told: MetricPerformance, rows: pa.Table, threshold: float
) -> PastError | None:
    """Of a batch: what its labels say by now."""
    label, probability = numbers(rows.column(LABEL)), numbers(rows.column(PROBABILITY))
    estimated = told.estimated
    if estimated is None or estimated.value is None or np.unique(label).size < 2:
        return None
    told_by_us = point_metrics(label, probability, threshold)
    realized = {NANNYML_NAMES.get(name, name): value for name, value in told_by_us.items()}
    if told.metric == "roc_auc":
        positives = int(label.sum())
        error = auc_standard_error(realized[told.metric], positives, label.size - positives)
    else:
        # The band's standard error is for all rows; labels are of some.
        error = estimated.standard_error
        error = None if error is None else error * sqrt(estimated.rows / rows.num_rows)
    return PastError(
        check_id=check_id,
        metric=told.metric,
        estimated=estimated.value,
        realized=realized[told.metric],
        rows=rows.num_rows,
        standard_error=error,
    )
