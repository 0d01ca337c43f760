"""Why a run was started, where the retraining policy has started it."""

from __future__ import annotations

from collections.abc import Mapping

from core.adapters.mlflow import RunTracker
from core.errors import NotFoundError
from core.monitoring.job_spec import REPORT_FILE
from core.monitoring.report import DriftReport
from core.promotion.evidence import Cause, DriftedFeature
from core.training.artifacts import read_value

#: Features of a check that are kept with the evidence.
MOST_FEATURES = 5


def read_cause(tracker: RunTracker, tags: Mapping[str, str]) -> Cause | None:
    """The cause that a run is tagged with; ``None`` for a run that a person has started.

    Raises:
        UnavailableError: MLflow does not answer.
    """
    why, check_id = tags.get("cause", ""), tags.get("check", "")
    if not why:
        return None
    report = _report(tracker, check_id) if check_id else None
    return Cause(
        check_id=check_id,
        why=why,
        level=report.verdict.level if report else None,
        summary=report.verdict.summary if report else "",
        batch_id=report.compared.batch_id if report else None,
        window=report.compared.window if report else None,
        rows=report.compared.analysis.rows if report else None,
        features=tuple(
            DriftedFeature(column=one.column, psi=one.psi, level=one.level)
            for one in (report.features[:MOST_FEATURES] if report else ())
        ),
    )


def _report(tracker: RunTracker, check_id: str) -> DriftReport | None:
    foreign = NotFoundError(f"The report of check {check_id[:8]} is of another release.")
    try:
        return read_value(tracker, check_id, REPORT_FILE, DriftReport, foreign=foreign)
    except NotFoundError:  # it was deleted in MLflow; that the check was the cause remains
        return None
