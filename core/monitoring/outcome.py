"""What MLflow and the database keep of a report, apart from the report itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from core.adapters.mlflow import TrackedRun
from core.domain import RunStatus
from core.domain_watching import Check, Level
from core.monitoring.report import DriftReport

LEVEL, SUMMARY, ROWS = "level", "summary", "rows"
#: What MLflow does not take in the name of a metric.
_STRANGE = re.compile(r"[^\w\- ./]")


def check_metrics(report: DriftReport) -> dict[str, float]:
    """PSI, distances and alerts of every column, errors and performance: name -> value."""
    found: dict[str, float | None] = {
        "rows": report.compared.analysis.rows,
        "labelled_rows": report.labelled_rows,
    }
    for drift in (*report.features, *filter(None, [report.prediction])):
        name = _STRANGE.sub("_", drift.column)
        found[f"psi.{name}"] = drift.psi
        found |= {f"{method.method}.{name}": method.value for method in drift.methods}
    for quality in report.quality:
        name = _STRANGE.sub("_", quality.column)
        found[f"missing.{name}"] = quality.missing_share_analysis
        found[f"unseen.{name}"] = quality.unseen_share
        found[f"out_of_range.{name}"] = quality.out_of_range_share
    if report.reconstruction is not None:
        found["reconstruction_error"] = report.reconstruction.value
    if report.domain_classifier is not None:
        found["domain_classifier_auc"] = report.domain_classifier.value
    for told in report.performance:
        found[f"reference.{told.metric}"] = told.reference_value
        found[f"estimated.{told.metric}"] = told.estimated.value if told.estimated else None
        found[f"realized.{told.metric}"] = told.realized.value if told.realized else None
    return {name: float(value) for name, value in found.items() if value is not None}


def check_tags(report: DriftReport) -> Mapping[str, str]:
    """What the list of checks shows."""
    return {
        LEVEL: report.verdict.level.value,
        SUMMARY: report.verdict.summary,
        ROWS: str(report.compared.analysis.rows),
    }


def merged(check: Check, tracked: TrackedRun) -> Check:
    """A check as MLflow knows it by now."""
    has_begun = tracked.progress is not None
    status = RunStatus.QUEUED if tracked.status.is_active and not has_begun else tracked.status
    level, rows = tracked.tags.get(LEVEL), tracked.tags.get(ROWS)
    return replace(
        check,
        status=status,
        ended_at=tracked.ended_at,
        error=tracked.tags.get("error") or check.error,
        level=Level(level) if level else None,
        summary=tracked.tags.get(SUMMARY, ""),
        rows=int(rows) if rows else None,
    )
