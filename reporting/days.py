"""Lets days pass over a trained model in one process, by the product's own functions.

`pilothouse simulate` does it with a whole installation, its doors, alerts and retraining. Here
the same days go through the same check, without services, so that a report can have them in
a minute.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from core.bootstrap import LATER_ROWS
from core.bootstrap_engines import build_detector
from core.data.batch_files import LABEL
from core.data.ingest import reduce_texts
from core.data.tables import ROW_ID, contract_columns, read_table
from core.data.validation import validate
from core.monitoring.columns import numbers
from core.monitoring.examine import ArrivedTable, Findings, History, examine
from core.monitoring.report import PROBABILITY, ColumnDrift
from core.monitoring.report_performance import NANNYML_NAMES, MetricPerformance
from core.monitoring.sampling import in_order_of_time
from core.params_monitoring import MonitoringParams
from core.problems.contract import Arrivals, Contract, Problem
from core.scoring.scorer import Scorer
from core.simulation.days import Day as Arrived
from core.simulation.days import days_of
from core.training.evaluation import point_metrics
from core.training.workspace import Workspace
from reporting.results import Course, Day

LOG = logging.getLogger(__name__)
METRIC = "auc"


@dataclass(frozen=True)
class _Version:
    """A trained model, and what a check holds days against."""

    problem: Problem
    scorer: Scorer
    reference: pa.Table
    threshold: float
    monitoring: MonitoringParams


def course(
    problem: Problem,
    ws: Workspace,
    threshold: float,
    monitoring: MonitoringParams,
    *,
    days: int,
    seed: int,
) -> Course | None:
    """Checks day after day; ``None`` where the problem has no data that could arrive.

    Args:
        problem: what was trained.
        ws: its workspace, with the exported model and the reference.
        threshold: the model's decision threshold.
        monitoring: what a check looks at, and the limits.
        days: how many.
        seed: of the draws of a day's rows.
    """
    arrivals = problem.arrivals
    if arrivals is None:
        return None
    scorer = Scorer(problem, ws.onnx.read_bytes())
    version = _Version(problem, scorer, read_table(ws.reference), threshold, monitoring)
    later = LATER_ROWS[arrivals.source.provider](arrivals.source.name)
    days_told: list[Day] = []
    reference: float | None = None
    for arrived in days_of(later, problem.contract, arrivals, days, seed):
        found, day = _check(version, arrived, days_told)
        LOG.info("  %s, day %d of %d: %s", problem.name, day.number, days, day.summary)
        days_told.append(day)
        estimated = _told(found)
        if reference is None and estimated is not None:
            reference = estimated.reference_value
    return Course(
        problem=problem.name,
        title=problem.title,
        arrival=_in_words(arrivals),
        metric=METRIC,
        reference=reference,
        psi_warning=monitoring.drift.psi_warning,
        psi_critical=monitoring.drift.psi_critical,
        days=tuple(days_told),
    )


def _check(version: _Version, arrived: Arrived, before: Sequence[Day]) -> tuple[Findings, Day]:
    contract = version.problem.contract
    rows = _rows(arrived, contract)
    probability = version.scorer.probabilities(contract_columns(rows, contract))
    rows = rows.append_column(PROBABILITY, pa.array(probability))
    found = examine(
        f"{arrived.number:032d}",
        contract,
        version.reference,
        # Labels come later than the check: what it says, it says without them.
        ArrivedTable(rows.drop_columns([LABEL])),
        version.threshold,
        History(psi=_earlier_psi(before, version.monitoring.drift.psi_checks - 1)),
        version.monitoring,
        build_detector,
        lambda percent, message: None,
    )
    told = _told(found)
    estimate = told.estimated if told else None
    label = numbers(rows.column(LABEL))
    day = Day(
        number=arrived.number,
        rows=rows.num_rows,
        level=found.verdict.level,
        summary=found.verdict.summary,
        psi={drift.column: drift.psi for drift in _drifts(found) if drift.psi is not None},
        estimated=estimate.value if estimate else None,
        low=estimate.low if estimate else None,
        high=estimate.high if estimate else None,
        realized=point_metrics(label, np.asarray(probability), version.threshold)[METRIC],
    )
    return found, day


def _rows(arrived: Arrived, contract: Contract) -> pa.Table:
    """A day's rows as a batch holds them, in order of time, with their labels."""
    given = arrived.rows.append_column(contract.label.name, arrived.labels)
    given = given.append_column(ROW_ID, pa.array(range(given.num_rows), pa.int64()))
    return in_order_of_time(validate(reduce_texts(given, contract), contract).table)


def _drifts(found: Findings) -> tuple[ColumnDrift, ...]:
    return (*found.compared.features, found.compared.prediction)


def _told(found: Findings) -> MetricPerformance | None:
    """What is estimated of the metric; nothing where parameters leave it out."""
    name = NANNYML_NAMES.get(METRIC, METRIC)
    return next((one for one in found.performance if one.metric == name), None)


def _earlier_psi(before: Sequence[Day], checks: int) -> Mapping[str, Sequence[float]]:
    """PSI of the last checks by column, newest first."""
    courses: dict[str, list[float]] = {}
    for day in reversed(before[-checks:] if checks else []):
        for column, psi in day.psi.items():
            courses.setdefault(column, []).append(psi)
    return courses


def _in_words(arrivals: Arrivals) -> str:
    if arrivals.replayed:
        changed = " and ".join(
            f"{name} times {factor:g}" for name, factor in arrivals.inflation.items()
        )
        what = "each day is a seeded draw of the later rows"
        return f"{what}, with {changed} in the second half of the days" if changed else what
    return "the later rows in their order, cut into days"
